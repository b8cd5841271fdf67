"""A real nginx on loopback, in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import require_tool
from tests.e2e.conftest import eventually


def free_port() -> int:
    """Of loopback, free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Nginx:
    """site: from the port to what goes into `http { … }`."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    async def start(self, site: Callable[[int], str]) -> None:
        """Returns once it accepts; a configuration that nginx does not take is an error with its words."""
        program = require_tool("nginx", "apt-get install nginx-light")
        whole = self._write(site)
        checking = await asyncio.create_subprocess_exec(program, "-t", "-c", whole, stderr=asyncio.subprocess.PIPE)
        _, complaint = await checking.communicate()
        assert checking.returncode == 0, complaint.decode()
        self.process = await asyncio.create_subprocess_exec(program, "-c", whole, stderr=asyncio.subprocess.DEVNULL)
        await eventually(self._accepts)

    def change(self, site: Callable[[int], str]) -> None:
        """Gracefully: requests under way end where they began."""
        self._write(site)
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    async def end(self) -> None:
        """And waits for it."""
        if self.process is not None:
            self.process.terminate()
            await self.process.wait()

    def _write(self, site: Callable[[int], str]) -> Path:
        places = " ".join(
            f"{name}_temp_path {self.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        whole = self.folder / "nginx.conf"
        whole.write_text(
            f"{user} daemon off; pid {self.folder}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; {places}\n{site(self.port)}\n}}\n"
        )
        return whole

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
