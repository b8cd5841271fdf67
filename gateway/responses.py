"""Responses that must never be kept by anybody: JSON, and nothing at all."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.limits import Unsent

JSON: Final = "application/json; charset=utf-8"
NO_STORE: Final = {"Cache-Control": "no-store"}


class InPieces(Response):
    """A response whose body is some pieces, sent one after the other as the reader takes them.

    With `unsent` it counts there until its reader has taken nearly all of it, or has gone; Overloaded is raised before
    anything is sent where it has no room there.
    """

    def __init__(
        self, pieces: Sequence[bytes | memoryview], *, status: int, headers: Mapping[str, str], unsent: Unsent | None
    ) -> None:
        headers = {"Content-Length": str(sum(map(len, pieces))), **headers}
        super().__init__(status_code=status, headers=headers, media_type=JSON)
        self._pieces, self._unsent = pieces, unsent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        del receive
        with contextlib.nullcontext() if self._unsent is None else self._unsent.held(self._pieces):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for piece in self._pieces if scope["method"] != "HEAD" else ():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            # The server takes a further message once what it has of the body before is small.
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def json_response(
    body: bytes | Sequence[bytes | memoryview],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    unsent: Unsent | None = None,
) -> Response:
    """A JSON document that is ready, in one piece or in several; `headers` come on top.

    unsent: where one in pieces counts until it is taken.
    """
    more = {**NO_STORE, **(headers or {})}
    if isinstance(body, bytes):
        return Response(body, status_code=status, headers=more, media_type=JSON)
    return InPieces(body, status=status, headers=more, unsent=unsent)
