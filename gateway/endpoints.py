"""One path of the HTTP face: methods, HEAD, and work that ends when its client leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.problems import Refused

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
_Result = TypeVar("_Result")

ROUTE_KEY: Final = "keyviz.route"
"""Where a request's scope says which endpoint it found: a word from a small fixed set."""


class Endpoint:
    """An ASGI application for one path. GET answers HEAD too; any other method is 405 with Allow."""

    def __init__(self, name: str, **handlers: Handler) -> None:
        """name: for metrics and logs. handlers: by method, in lower case."""
        self._name = name
        self._handlers = {method.upper(): handler for method, handler in handlers.items()}
        if "GET" in self._handlers:
            self._handlers["HEAD"] = self._handlers["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        scope[ROUTE_KEY] = self._name
        request = Request(scope, receive, send)
        handler = self._handlers.get(request.method)
        if handler is None:
            allow = ", ".join(sorted(self._handlers))
            told = f"this path takes {' and '.join(sorted(self._handlers))}, not {request.method[:20]}"
            raise Refused("method_not_allowed", told, headers={"Allow": allow})
        response = await handler(request)
        if request.method == "HEAD":
            response.body = b""
        await response(scope, receive, send)


async def while_connected(request: Request, work: Awaitable[_Result]) -> _Result:
    """The result of the work, which is cancelled when the client goes away; then raises ClientDisconnect."""
    try:
        async with asyncio.timeout(None) as stay:
            watch = asyncio.ensure_future(_end_when_gone(request, stay))
            try:
                # In this very task: one of its own takes turns of the loop to begin and to tell that it is done.
                return await work
            finally:
                watch.cancel()
    except TimeoutError:
        if not stay.expired():
            raise
        raise ClientDisconnect from None


async def _end_when_gone(request: Request, stay: asyncio.Timeout) -> None:
    try:
        while (await request.receive())["type"] != "http.disconnect":
            pass
    except Exception:
        log.exception("a client could not be watched any more, and counts as gone")
    stay.reschedule(0.0)
