"""HTTP inside a loop that is already there: a socket of ours, and signals that belong to the command."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def plain_config(
    app: ASGIApp,
    connection: type[HttpToolsProtocol],
    *,
    grace_s: int,
    lifespan: bool,
    keep_alive_s: int = 5,
    most_connections: int | None = None,
) -> uvicorn.Config:
    """HTTP/1.1 alone: no web sockets, no log of its own, no headers that tell the server or believe a proxy.

    grace_s: how long requests under way may take at the end. most_connections: one more is answered with 503.
    """
    return uvicorn.Config(
        app,
        http=connection,
        ws="none",
        lifespan="on" if lifespan else "off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=most_connections,
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=grace_s,
    )


@contextlib.asynccontextmanager
async def served(config: uvicorn.Config, listener: socket.socket) -> AsyncIterator[None]:
    """Serves inside the block, which begins when the server has started or failed to; waits for its end."""
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    started = asyncio.create_task(server.serving.wait())
    try:
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        server.should_exit = True
        started.cancel()
        await asyncio.gather(started, return_exceptions=True)
        await serving


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the command."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Says when it is done."""
        await super().startup(sockets=sockets)
        self.serving.set()
