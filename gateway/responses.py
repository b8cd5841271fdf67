"""Responses that must never be kept by anybody: JSON, and nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.limits import Unsent

JSON: Final = "application/json; charset=utf-8"
NO_STORE: Final = {"Cache-Control": "no-store"}


class Watched(Response):
    """A response that counts as unsent until its reader has taken nearly all of it, or has gone."""

    def __init__(self, unsent: Unsent, body: bytes, **of_response: Any) -> None:
        super().__init__(body, **of_response)
        self._unsent = unsent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        del scope, receive
        with self._unsent.held(len(self.body)):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            # The server takes a further message once what it has of the body before is small.
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def json_response(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None, unsent: Unsent | None = None
) -> Response:
    """A JSON document that is ready; `headers` come on top. unsent: where a large one counts until it is taken."""
    kind = Response if unsent is None else partial(Watched, unsent)
    return kind(body, status_code=status, headers={**NO_STORE, **(headers or {})}, media_type=JSON)
