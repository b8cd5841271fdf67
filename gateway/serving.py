"""Serving an ASGI application inside a loop that is already there: our socket, our signals, our bounds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from gateway.connection import BoundedConnection
from keyviz_grpc.errors import SettingError
from keyviz_grpc.http_serving import plain_config, served

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


@contextlib.asynccontextmanager
async def http_server(
    app: ASGIApp, listener: socket.socket, *, tls: CertificateFiles | None = None, grace_s: float = 5.0
) -> AsyncIterator[None]:
    """Serves inside the block; after it, requests under way have `grace_s` seconds to end.

    Raises SettingError for a certificate that cannot be used.
    """
    config = plain_config(app, BoundedConnection, grace_s=math.ceil(grace_s), lifespan=True, keep_alive_s=KEEP_ALIVE_S)
    config.load()
    async with contextlib.AsyncExitStack() as stack:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            tls.load_into(context)
            config.ssl = context
            stack.push_async_callback(_ended, asyncio.create_task(_renew(tls, context)))
        await stack.enter_async_context(served(config, listener))
        yield


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


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
