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
Ending: TypeAlias = Callable[[Callable[[], None]], None]
_Result = TypeVar("_Result")

UNWATCHED_S: Final = 0.02
"""So long nobody looks whether a client is still there: most work is done by then, and a task takes a part of that."""

ROUTE_KEY: Final = "keyviz.route"
"""Where a request's scope says which endpoint it found: a word from a small fixed set."""


def header_of(scope: Scope, name: bytes) -> bytes:
    """The first value of a header, by its name in lower case; nothing where it is absent."""
    for header, value in scope["headers"]:
        if header == name:
            return bytes(value)
    return b""


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


def _at_once(cancel: Callable[[], None]) -> None:
    cancel()


async def while_connected(request: Request, work: Awaitable[_Result], end: Ending = _at_once) -> _Result:
    """The result of the work, which is ended when the client goes away; then raises ClientDisconnect.

    end: called with what cancels the work, when that is not to be done at once. It may come to its end before.
    """
    client = _Client(request, end)
    try:
        # In this very task: one of its own takes turns of the loop to begin and to tell that it is done.
        result = await work
    except asyncio.CancelledError:
        if not client.is_why():
            raise
        raise ClientDisconnect from None
    except Exception:
        if client.is_outlasted:
            raise ClientDisconnect from None
        raise
    else:
        if client.is_gone:
            raise ClientDisconnect
        return result
    finally:
        client.let_go()


class _Client:
    """Ends the work of the task that made this once the client of a request is gone; see `asyncio.timeout`."""

    def __init__(self, request: Request, end: Ending) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be cancelled")
        self._request, self._end, self.is_gone, self._has_cancelled = request, end, False, False
        self._task: asyncio.Task[object] | None = task
        self._cancelled_before = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle = self._loop.call_later(UNWATCHED_S, self._watch)
        self._watching: asyncio.Task[None] | None = None

    def _watch(self) -> None:
        self._watching = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        try:
            while (await self._request.receive())["type"] != "http.disconnect":
                pass
        except Exception:
            log.exception("a client could not be watched any more, and counts as gone")
        # Work that is done in this turn of the loop is done.
        self._next = self._loop.call_soon(self._leave)

    def _leave(self) -> None:
        self.is_gone = True
        self._end(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._has_cancelled = True
            self._task.cancel()

    @property
    def is_outlasted(self) -> bool:
        """Whether the client is gone and the work went on, for others who hear what came of it."""
        return self.is_gone and not self._has_cancelled

    def is_why(self) -> bool:
        """Whether the task is cancelled for nothing but this."""
        return self._has_cancelled and self._task is not None and self._task.cancelling() - 1 <= self._cancelled_before

    def let_go(self) -> None:
        """The work is over. An error that knows a frame that knows its task would be kept by it."""
        self._next.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if self._has_cancelled and self._task is not None:
            self._task.uncancel()
        self._task = None
