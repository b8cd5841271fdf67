"""The standard health service, service by service: the process itself (""), and whether there is anything to show."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2

from keyviz_grpc.rpc_types import Context

log = logging.getLogger(__name__)


MAX_WATCHERS: Final = 16
"""They hold calls that matrices need."""

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
LOOK_S: Final = 5.0
"""Between two looks while all is well."""
LOOK_AGAIN_S: Final = 0.5
"""Between two looks while it is not: somebody waits for it."""


class _Whole:
    """What a watcher is told: changes, and nothing twice.

    A write that was begun comes to its end, whoever is cancelled meanwhile, for gRPC fails a call in which another
    write is begun before.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._writing: asyncio.Future[None] | None = None
        self.last: int | None = None

    async def write(self, answer: health_pb2.HealthCheckResponse) -> None:
        """As the context's, unless it says again what was said last."""
        if answer.status == self.last:
            return
        self.last = answer.status
        self._writing = asyncio.ensure_future(self._context.write(answer))
        await asyncio.shield(self._writing)

    async def settled(self) -> None:
        """Waits for the write that is under way, if any, however it ends."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)


class _Servicer(health.aio.HealthServicer):  # type: ignore[misc]  # the library has no types
    """As the library's, but watchers are few, for health is open to everybody, and a drain does not wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self._watching = 0
        self._draining = asyncio.Event()

    async def Watch(  # noqa: N802 - the method's name on the wire
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> None:
        """See the health service."""
        if self._watching >= MAX_WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_WATCHERS} are watching already, use Check")
        self._watching += 1
        told = _Whole(context)
        watch = asyncio.ensure_future(super().Watch(request, told))
        drain = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait({watch, drain}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._watching -= 1
            for one in (watch, drain):
                one.cancel()
            await asyncio.gather(watch, drain, return_exceptions=True)
            await told.settled()
        if self._draining.is_set():
            await told.write(health_pb2.HealthCheckResponse(status=NOT_SERVING))

    async def enter_graceful_shutdown(self) -> None:
        """See the library's; every watcher is told and let go."""
        self._draining.set()
        await super().enter_graceful_shutdown()


class Health:
    """What a server says of itself. `servicer` is for the server; "" is SERVING as long as it takes calls at all."""

    def __init__(self, services: Sequence[str]) -> None:
        self.servicer = _Servicer()
        self._services = tuple(services)
        self._following: asyncio.Task[None] | None = None

    async def start(self, *, ready: bool) -> None:
        """The server takes calls; ready: whether its services have something to show."""
        await self.servicer.set("", SERVING)
        await self._say(ready=ready)

    async def follow(self, ready: Callable[[], Awaitable[bool]]) -> None:
        """Starts, and looks again and again whether there is something to show, until `drain`."""
        await self.start(ready=False)
        self._following = asyncio.create_task(self._look(ready))

    async def drain(self) -> None:
        """NOT_SERVING for everything, for good."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self.servicer.enter_graceful_shutdown()

    async def _look(self, ready: Callable[[], Awaitable[bool]]) -> None:
        before = False
        while True:
            now = await self._is(ready)
            if now is not before:
                log.info("ready" if now else "not ready: no node answers")
                await self._say(ready=now)
            before = now
            await asyncio.sleep(LOOK_S if now else LOOK_AGAIN_S)

    async def _is(self, ready: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await ready()
        except Exception:
            log.exception("looking whether there is something to show failed")
            return False

    async def _say(self, *, ready: bool) -> None:
        for name in self._services:
            await self.servicer.set(name, SERVING if ready else NOT_SERVING)
