"""Serving an ASGI application inside a loop that is already there: our socket, our signals, our bounds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from gateway.connection import BoundedConnection
from keyviz_grpc.errors import SettingError

log = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 75
CERTIFICATE_LOOK_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """What a listener shows: PEM files, read again when they change."""

    certificate: Path
    key: Path

    def load_into(self, context: ssl.SSLContext) -> None:
        """Raises SettingError, without any content, for files that are missing or do not go together."""
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            names = f"{str(self.certificate)!r} with {str(self.key)!r}"
            raise SettingError(f"TLS certificate {names} cannot be used: {error.strerror or error}") from error

    def marks(self) -> tuple[tuple[int, int] | None, ...]:
        """Changes when a file does."""
        marks: list[tuple[int, int] | None] = []
        for path in (self.certificate, self.key):
            try:
                status = path.stat()
            except OSError:
                marks.append(None)
            else:
                marks.append((status.st_mtime_ns, status.st_size))
        return tuple(marks)


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


@contextlib.asynccontextmanager
async def http_server(
    app: ASGIApp, listener: socket.socket, *, tls: CertificateFiles | None = None, grace_s: float = 5.0
) -> AsyncIterator[None]:
    """Serves inside the block; after it, requests under way have `grace_s` seconds to end.

    Raises SettingError for a certificate that cannot be used.
    """
    config = uvicorn.Config(
        app,
        http=BoundedConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(grace_s),
    )
    config.load()
    watching: asyncio.Task[None] | None = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        tls.load_into(context)
        config.ssl = context
        watching = asyncio.create_task(_renew(tls, context))
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    started = asyncio.create_task(server.serving.wait())
    try:
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        server.should_exit = True
        started.cancel()
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await asyncio.gather(started, return_exceptions=True)
        await serving


async def _renew(tls: CertificateFiles, context: ssl.SSLContext) -> None:
    """New connections get a new certificate a few seconds after its files changed."""
    marks = tls.marks()
    while True:
        await asyncio.sleep(CERTIFICATE_LOOK_S)
        now = tls.marks()
        if now == marks:
            continue
        try:
            # Tried aside first: half a pair must not spoil the context in use.
            tls.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            tls.load_into(context)
        except SettingError as error:
            log.warning("the new certificate is not used yet", extra={"reason": str(error)})
        else:
            marks = now
