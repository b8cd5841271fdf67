"""Real processes for tests: started on port 0, waited for by their ready line, and ended whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio

from keyviz_grpc.cli.children import Child, end_all

# httpx reads the machine's certificates for every client that is not told which to trust.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(slots=True)
class Processes:
    """Starts commands and remembers them; `log` is all that they said on stderr."""

    children: list[Child] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    async def start(self, module: str, *arguments: str) -> Child:
        """Starts `python -m module` without waiting for it."""
        child = await Child.start(
            module, module, arguments, forward=lambda name, line: self.log.append(f"[{name}] {line}")
        )
        self.children.append(child)
        return child

    async def node(self, *arguments: str) -> Child:
        """A node on a free port of loopback that is ready."""
        child = await self.start("keyviz_grpc.cli.node", "--listen", "127.0.0.1:0", *arguments)
        await child.wait_ready()
        return child

    async def gateway(self, peers: list[str], *arguments: str) -> Child:
        """A gateway over these peers, HTTP and gRPC on free ports of loopback, that is ready."""
        listen = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        child = await self.start("gateway", *listen, "--peers", ",".join(peers), *arguments)
        await child.wait_ready()
        return child


async def ask(gateway: Child, endpoint: str = "matrix", **parameters: object) -> dict[str, Any]:
    """The body of a 200 answer of one of the gateway's key visualizer endpoints."""
    url = f"http://{gateway.ready['http']}/admin/api/v1/keyviz/{endpoint}"
    async with httpx.AsyncClient(trust_env=False, timeout=30, verify=NO_CERTIFICATES) as client:
        answer = await client.get(url, params={name: str(value) for name, value in parameters.items()})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def eventually(condition: Callable[[], bool], *, within_s: float = 15) -> None:
    """Waits for something that nobody announces, such as the end of another process's child."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


def loopback_address(listener: socket.socket) -> str:
    """Where a socket that was just bound to a free port of loopback listens."""
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest_asyncio.fixture
async def processes() -> AsyncIterator[Processes]:
    """Ended after the test, frozen ones too."""
    started = Processes()
    yield started
    for child in started.children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.process.pid, signal.SIGCONT)
    await end_all(started.children, grace_s=10)


def refusal_of(module: str, *arguments: str) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a command line that is wrong, in this process: nothing may be started."""
    main = importlib.import_module(module).main
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patched,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patched.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue(), err.getvalue()


def finished(module: str, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a command that ends by itself."""
    ran = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ | (env or {}),
    )
    return ran.returncode, ran.stdout, ran.stderr
