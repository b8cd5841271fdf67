"""One HTTP connection with bounds: the size and the age of a request's head, and readers that stopped reading."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.edge import content_security_policy
from gateway.responses import JSON

MAX_HEAD_BYTES: Final = 64 << 10
HEAD_S: Final = 30.0
STALLED_S: Final = 60.0
MOST_WAITING_BYTES: Final = 64 << 10
"""Of an answer, before the next piece of it waits for the reader."""

LEAST_TAKEN_BYTES: Final = 240 << 10
"""In STALLED_S seconds, of what waits for a reader: 4 KiB a second. Whoever takes less is let go."""


class BoundedConnection(HttpToolsProtocol):
    """As uvicorn's, but what is not HTTP gets the error envelope, a head has limits, and a reader must take something.

    One that takes nothing, or a byte now and then, is let go with all that waits for it.
    """

    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None
    """Runs, or has run, while a head is waited for."""
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """See asyncio.Protocol."""
        super().connection_made(transport)
        plain = transport.get_extra_info("socket")
        if plain is not None:
            # asyncio does this for sockets that name their protocol, which ours do not. Without it the last piece of an
            # answer waits up to 40 ms for the reader's acknowledgement of those before.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # asyncio's own for a plain connection; over TLS it would be eight times as much.
        transport.set_write_buffer_limits(MOST_WAITING_BYTES)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._end_wait()
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if self._nobody_watches():
            self._in_head = True
        if self._in_head and not self.transport.is_closing():
            # Only now: most heads come whole, and never have to be waited for.
            if self._timer is None:
                self._wait()
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("the head of the request is too large")

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        self._head_bytes = 0
        self._in_head = True
        self._end_wait()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._in_head = False
        self._end_wait()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._stalled is not None and not self.transport.is_closing():
            self._stalled.cancel()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_the_rest()

    def send_400_response(self, msg: str) -> None:
        """The answer to what is not HTTP, in the envelope and with the headers that every answer carries."""
        body = orjson.dumps({"error": "invalid_request", "message": msg})
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"content-type: {JSON}\r\ncontent-length: {len(body)}\r\ncache-control: no-store\r\n"
            "x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\nx-frame-options: DENY\r\n"
            f"content-security-policy: {content_security_policy()}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
        self._watch_the_rest()

    def _nobody_watches(self) -> bool:
        # uvicorn's own timer ends with any byte, be it of no request at all or of a body that nobody waits for.
        answering = self.cycle is not None and not self.cycle.response_complete
        watched = self._timer is not None or self.timeout_keep_alive_task is not None
        return not (answering or watched or self.transport.is_closing())

    def _wait(self) -> None:
        self._timer = self.loop.call_later(HEAD_S, self._end)

    def _end_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def timeout_keep_alive_handler(self) -> None:
        """As uvicorn's, and for good where the last answer was not taken."""
        super().timeout_keep_alive_handler()
        self._end()

    def _end(self) -> None:
        # A connection that is only closed lasts until its reader has taken everything.
        if self.transport.get_write_buffer_size():
            self._cut()
        else:
            self.transport.close()

    def _watch_the_rest(self) -> None:
        # Of a connection that is closed with this answer nothing else does.
        if left := self.transport.get_write_buffer_size():
            if self._stalled is not None:
                self._stalled.cancel()
            self._watch_reader(left)

    def _watch_reader(self, left: int) -> None:
        self._stalled = self.loop.call_later(STALLED_S, self._let_go_if_stalled, left)

    def _let_go_if_stalled(self, left: int) -> None:
        now = self.transport.get_write_buffer_size()
        if left - now < LEAST_TAKEN_BYTES:
            self._cut()
        else:
            self._watch_reader(now)

    def _cut(self) -> None:
        # With a reset: else the system would go on offering what it has taken over already.
        plain = self.transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
