"""Which endpoint answers which path."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

BELOW: Final = "path"
"""The path parameter that holds what stands behind the path of an application for all paths below it."""


class Paths:
    """An ASGI application of many. The one of just that path answers, else the first of those above it, else `other`.

    above: by paths that end in a slash. Nothing has to be started or ended with it.
    """

    def __init__(self, alone: Mapping[str, ASGIApp], above: Mapping[str, ASGIApp], other: ASGIApp) -> None:
        self.alone, self._above, self._other = alone, above, other

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """See ASGI."""
        kind = scope["type"]
        if kind == "http":
            return self._found(scope)(scope, receive, send)
        return _lifespan(receive, send) if kind == "lifespan" else self._other(scope, receive, send)

    def _found(self, scope: Scope) -> ASGIApp:
        path: str = scope["path"]
        if (root := scope.get("root_path")) and (path == root or path.startswith(f"{root}/")):
            path = path.removeprefix(root)
        if (found := self.alone.get(path)) is not None:
            return found
        for above, app in self._above.items():
            if path.startswith(above):
                scope["path_params"] = {BELOW: path.removeprefix(above)}
                return app
        return self._other


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
