"""Responses that must never be kept by anybody: JSON, and nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.limits import Unsent
from gateway.row_texts import Piece
from gateway.streamed import Pieces, Streamed, size_of

JSON: Final = "application/json; charset=utf-8"
NO_STORE: Final = {"Cache-Control": "no-store"}
TLS_PIECE_BYTES: Final = 128 << 10
"""All of a piece is encrypted at once, and only the next one waits for a reader that does not take it."""

_ALWAYS: Final = ((b"content-type", JSON.encode()), (b"cache-control", b"no-store"))


class InPieces(Response):
    """JSON whose body is some pieces, sent one after the other as the reader takes them; over TLS smaller ones.

    headers: on top of those that all JSON has here, names in lower case.
    With `unsent` it counts there until its reader has taken nearly all of it, or has gone; Overloaded is raised before
    anything is sent where it has no room there.
    """

    def __init__(
        self,
        pieces: Pieces,
        *,
        status: int = 200,
        headers: Iterable[tuple[bytes, bytes]] = (),
        unsent: Unsent | None = None,
    ) -> None:
        # All that the base does besides is to encode a body and headers that this one does not have.
        self.status_code, self.background = status, None
        self.raw_headers = [(b"content-length", b"%d" % size_of(pieces)), *_ALWAYS, *headers]
        self._pieces, self._unsent = pieces, unsent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        del receive
        if self._unsent is not None:
            self._unsent.hold(self._pieces)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            pieces = _smaller(self._pieces) if scope.get("scheme") == "https" else self._pieces
            for piece in pieces if scope["method"] != "HEAD" else ():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                if isinstance(self._pieces, Streamed):
                    await asyncio.sleep(0)  # the next one is work, and others wait
            # The server takes a further message once what it has of the body before is small.
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if self._unsent is not None:
                self._unsent.let_go(self._pieces)


def _smaller(pieces: Pieces) -> Iterator[Piece]:
    for piece in pieces:
        whole = memoryview(piece)
        yield from (whole[at : at + TLS_PIECE_BYTES] for at in range(0, len(whole), TLS_PIECE_BYTES))


def json_response(
    body: bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A JSON document that is ready; `headers` come on top."""
    return Response(body, status_code=status, headers={**NO_STORE, **(headers or {})}, media_type=JSON)
