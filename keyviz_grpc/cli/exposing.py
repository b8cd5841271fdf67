"""`/metrics` for Prometheus on a listener of its own, inside the loop of a command."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keyviz_grpc.http_serving import plain_config, served
from keyviz_grpc.listening import address_of, bind

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 32
HEAD_S: Final = 10.0
ANSWER_S: Final = 20.0
"""In which an answer is made and taken, and the next request begun."""


def process_registry() -> CollectorRegistry:
    """A registry that shows the process already: memory, files, CPU, Python, garbage collection."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


@contextlib.asynccontextmanager
async def metrics_served(registry: CollectorRegistry, address: str) -> AsyncIterator[str]:
    """Serves `/metrics` on HOST:PORT inside the block, which gets the address as really bound.

    Raises SettingError for an address that cannot be bound.
    """
    listener = bind(address)
    app = Starlette(routes=[Route("/metrics", _exposing(registry))])
    config = plain_config(app, _Impatient, grace_s=1, lifespan=False, most_connections=MAX_CONNECTIONS)
    try:
        async with served(config, listener):
            log.info("serving metrics", extra={"address": address_of(listener)})
            yield address_of(listener)
    finally:
        listener.close()


class _Impatient(HttpToolsProtocol):
    """A connection that asks for nothing in time, or does not take what it asked for, is let go.

    There are few, and others want to look. uvicorn's own patience is for connections between two requests alone.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._within(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._within(None)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        self._within(HEAD_S)

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._within(ANSWER_S)
        super().on_headers_complete()

    def _within(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Not closed, which would wait for a reader that takes nothing.
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


def _exposing(registry: CollectorRegistry) -> Callable[[Request], Awaitable[Response]]:
    async def expose(request: Request) -> Response:
        del request
        return Response(await run_in_threadpool(generate_latest, registry), media_type=CONTENT_TYPE_LATEST)

    return expose
