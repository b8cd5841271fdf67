"""Child processes that speak JSON lines, and what each of them used."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

END_S = 10.0


class Child:
    """`python -m benchmarks.roles.<role> <options as JSON>`, ended with the block.

    ready: what the child said when it was ready. Raises RuntimeError when a child ends instead of answering.
    """

    def __init__(self, role: str, **options: Any) -> None:
        command = [sys.executable, "-m", f"benchmarks.roles.{role}", json.dumps(options)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._role = role
        self._ready: dict[str, Any] | None = None

    @property
    def ready(self) -> dict[str, Any]:
        """Waits for it, so that several children can start at once."""
        if self._ready is None:
            self._ready = self._line()
        return self._ready

    def ask(self, command: str) -> dict[str, Any]:
        """Sends a command, returns what the child says to it."""
        if self._process.stdin is None:
            raise RuntimeError(f"{self._role} has no input")
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the process of {self._role} ended with {self._process.poll()}")
        told: dict[str, Any] = json.loads(line)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def say(**told: Any) -> None:
    """One line to the parent."""
    print(json.dumps(told), flush=True)


def options() -> dict[str, Any]:
    """What the parent gave."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def used() -> dict[str, float]:
    """This process: CPU seconds so far, and the most memory that it ever had resident, in megabytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peaks = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    peak = peaks[0] if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": time.process_time(), "peak_mb": peak}


def commands(handlers: dict[str, Callable[[], dict[str, Any]]]) -> None:
    """Answers commands until the parent closes its end; `used` is always one."""
    for line in sys.stdin:
        say(**{"used": used, **handlers}[line.strip()]())
