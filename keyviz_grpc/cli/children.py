"""Processes that a command starts, watches and ends, and that end by themselves when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from keyviz_grpc.errors import KeyVizError

_LINE_LIMIT: Final = 1 << 20


class ChildFailed(KeyVizError):
    """A process that was started did not get as far as its ready line, or ended when it should not have."""


@dataclass(slots=True)
class Child:
    """One command of this distribution as a process.

    Its standard input is a pipe that closes when this process ends, however it ends. `ready` holds what its ready
    line says (`{"grpc": "HOST:PORT", ...}`). Its log lines go to `forward`.
    """

    name: str
    process: asyncio.subprocess.Process
    forward: Callable[[str, str], None]
    ready: dict[str, str] = field(default_factory=dict)
    last_line: str = ""
    _is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def start(
        cls, name: str, module: str, arguments: Sequence[str], *, forward: Callable[[str, str], None]
    ) -> Self:
        """Starts `python -m module` in a session of its own, without this process's KEYVIZ_ variables."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if not key.startswith("KEYVIZ_")},
            limit=_LINE_LIMIT,
            start_new_session=True,
        )
        child = cls(name, process, forward)
        child._readers = [asyncio.create_task(child._read_stdout()), asyncio.create_task(child._read_stderr())]
        return child

    async def wait_ready(self) -> None:
        """Waits for the ready line. Raises ChildFailed, with the last thing that the process said, if it ends first."""
        ready = asyncio.create_task(self._is_ready.wait())
        ended = asyncio.create_task(self.wait())
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not self._is_ready.is_set():
                raise ChildFailed(f"{self.name} did not start ({self.how_it_ended}): {self.last_line}")
        finally:
            for task in (ready, ended):
                task.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    async def wait(self) -> None:
        """Waits until the process has ended and everything that it said is read."""
        await self.process.wait()
        await asyncio.gather(*self._readers)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.returncode is None

    @property
    def how_it_ended(self) -> str:
        """`exit status 1`, `SIGKILL`, or `still running`."""
        status = self.process.returncode
        if status is None:
            return "still running"
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def ask_to_end(self) -> None:
        """SIGTERM."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def _read_stdout(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - asked for above
        async for raw in self.process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            if line.startswith("ready ") and not self._is_ready.is_set():
                self.ready = dict(part.split("=", 1) for part in line.split()[1:])
                self._is_ready.set()

    async def _read_stderr(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - asked for above
        async for raw in self.process.stderr:
            self.last_line = raw.decode("utf-8", "replace").rstrip()
            self.forward(self.name, self.last_line)


async def end_all(children: Sequence[Child], *, grace_s: float) -> None:
    """Asks all to end, and kills those that still run after the grace."""
    for child in children:
        child.ask_to_end()
    waiting = [asyncio.create_task(child.wait()) for child in children]
    if waiting:
        await asyncio.wait(waiting, timeout=grace_s)
    for child in children:
        if child.running:
            child.kill()
    await asyncio.gather(*waiting)
