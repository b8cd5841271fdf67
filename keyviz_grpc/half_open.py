"""Calls that were begun and go no further: each holds a place, so it is let go in seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from keyviz_grpc.curfew import Curfew
from keyviz_grpc.rpc_types import Context, Handler

log = logging.getLogger(__name__)

MESSAGE_S: Final = 5.0
MOST_WAITING: Final = 64
STREAM_S: Final = 60.0
MOST_STREAMS: Final = 16

NO_MESSAGE: Final = "request: the bytes are not a message of this method"
NONE_CAME: Final = "request: its message did not come"
INTERNAL: Final = "internal: see the server's log"


class Promptness:
    """Waits for the one message of a call itself, for up to `message_s`, and bounds streams in number and life.

    gRPC waits for that message as long as the connection lives, and whoever has no credentials may ask for health. Of
    calls whose message is not there at most MOST_WAITING wait; one more ends the one that has waited longest, for
    messages come right behind the head of a call, so somebody in good faith is hardly ever that one.
    Streams in both directions (reflection) are MOST_STREAMS at most, each for `stream_s`.
    """

    def __init__(self, *, message_s: float = MESSAGE_S, stream_s: float = STREAM_S) -> None:
        self._message_s, self._stream_s = message_s, stream_s
        self._waiting = Curfew(MOST_WAITING)
        self._streams = 0

    def around(self, handler: Handler, method: str) -> Handler:
        """See Layer."""
        if handler.unary_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                self._with_message(handler.unary_unary, handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._with_message(handler.unary_stream, handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._many_for_many(handler.stream_stream, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return handler  # it waits for no message: a refusal

    def _with_message(self, inner: Any, deserializer: Any) -> Callable[[object, Context], Awaitable[Any]]:
        """What waits for the message, and then calls `inner` with it; of one coroutine, for every call enters it."""
        parse, waiting, message_s = deserializer or bytes, self._waiting, self._message_s

        async def answer(_: object, context: Context) -> Any:
            number = waiting.enter(message_s)
            try:
                raw: Any = await context.read()
            except asyncio.CancelledError:
                if not waiting.is_why(number):
                    raise
                raw = None
            finally:
                waiting.leave(number)
            if raw is None:
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, NONE_CAME)
            if raw is grpc.aio.EOF:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, NONE_CAME)
            try:
                request = parse(raw)
            except DecodeError:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, NO_MESSAGE)
            return await inner(request, context)

        return answer

    def _many_for_many(self, inner: Any, method: str) -> Callable[[AsyncIterable[Any], Any], Awaitable[None]]:
        async def answer(requests: AsyncIterable[Any], context: Any) -> None:
            if self._streams >= MOST_STREAMS:
                words = f"overloaded: {MOST_STREAMS} streams are open already, try again"
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, words)
            self._streams += 1
            context.add_done_callback(self._stream_ended)
            try:
                async with asyncio.timeout(self._stream_s):
                    async for reply in inner(requests, context):
                        await context.write(reply)
            except TimeoutError:
                words = f"a stream lasts {self._stream_s:g} s at most"
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, words)
            except grpc.aio.AbortError:
                raise
            except DecodeError:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, NO_MESSAGE)
            except Exception:
                log.exception("a stream failed", extra={"method": method})
                await context.abort(grpc.StatusCode.INTERNAL, INTERNAL)

        return answer

    def _stream_ended(self, context: object) -> None:
        del context
        self._streams -= 1
