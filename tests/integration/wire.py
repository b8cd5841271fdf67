"""A TCP proxy that does to bytes what bad networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Literal

Manner = Literal["pass", "silent", "drip", "reset"]


class Wire:
    """Between clients and one server. `manner` is how answers travel from now on, on connections that are open too.

    pass: at once. silent: not at all. drip: a byte now and then. reset: the connection is torn in the middle of one.
    """

    def __init__(self, target: str, manner: Manner = "pass") -> None:
        self.target, self.manner = target, manner
        self.address = ""
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        host, _, port = self.target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        up = asyncio.create_task(self._up(reader, far_writer))
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the end of the test, or of the proxy
                await self._down(far_reader, writer)
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)
            for each in (writer, far_writer):
                each.transport.abort()
                self._writers.discard(each)
            self._tasks.discard(task)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.manner == "reset" and len(data) > 200:
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return
                for part in [data] if self.manner in ("pass", "reset") else (data[n : n + 1] for n in range(len(data))):
                    while self.manner == "silent":  # noqa: ASYNC110 - a test changes it
                        await asyncio.sleep(0.02)
                    writer.write(part)
                    await writer.drain()
                    if self.manner == "drip":
                        await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Lets everybody go."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def wire(target: str, manner: Manner = "pass", listen: str = "127.0.0.1:0") -> AsyncIterator[Wire]:
    """A proxy that listens inside the block."""
    made = Wire(target, manner)
    host, _, port = listen.rpartition(":")
    server = await asyncio.start_server(made._accept, host, int(port))
    made.address = "{}:{}".format(*server.sockets[0].getsockname()[:2])
    try:
        yield made
    finally:
        server.close()
        await made.close()
        await server.wait_closed()
