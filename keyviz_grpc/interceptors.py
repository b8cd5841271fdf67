"""What stands before every handler: the error barrier and the credentials."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import grpc

from keyviz_grpc.auth import Refused, Verifier, claimed_subject
from keyviz_grpc.caller import CALLER
from keyviz_grpc.errors import ON_THE_WIRE, InvalidRequest, KeyVizError, SamplerDisabled
from keyviz_grpc.half_open import INTERNAL
from keyviz_grpc.rpc_types import Context, Handler
from keyviz_grpc.tracing import is_wanted, served

log = logging.getLogger(__name__)
audit = logging.getLogger("keyviz.audit")

_Reply = TypeVar("_Reply")

MAX_DETAILS_CHARS: Final = 1000
MAX_METHOD_CHARS: Final = 200
MOST_OPEN_CALLS: Final = 16
OPEN_SERVICES: Final = ("/grpc.health.v1.Health/",)


class Barrier:
    """Turns what a unary handler raises into the status of its call.

    Our own errors have one each and their words. Anything else is INTERNAL with a stable text; the log has the
    traceback.
    """

    def around(self, handler: Handler, method: str) -> Handler:
        """See Layer."""
        if handler.unary_unary is None:
            return handler
        inner: Any = handler.unary_unary

        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                if not is_wanted():
                    return await inner(request, context)
                with served(method, context.invocation_metadata() or ()):
                    return await inner(request, context)
            except grpc.aio.AbortError:
                raise
            except tuple(ON_THE_WIRE) as error:
                await _end(context, error)
            except Exception as error:
                log.exception("a handler failed", extra={"method": method})
                forget_frames(error)
                await context.abort(grpc.StatusCode.INTERNAL, INTERNAL)

        return grpc.unary_unary_rpc_method_handler(
            guarded,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


async def with_status(work: Awaitable[_Reply], context: Context) -> _Reply:
    """What a method gives; where it raises an error of ours, the call ends with that one's status and words."""
    try:
        return await work
    except tuple(ON_THE_WIRE) as error:
        await _end(context, error)
        raise


async def _end(context: Context, error: KeyVizError) -> None:
    entry = next(ON_THE_WIRE[kind] for kind in type(error).__mro__ if kind in ON_THE_WIRE)
    # Existing clients compare these words, and people want to see the field first.
    plain = isinstance(error, InvalidRequest | SamplerDisabled)
    details = str(error) if plain else f"{entry.http_code}: {error}"
    forget_frames(error)
    await context.abort(grpc.StatusCode[entry.grpc_code], details[:MAX_DETAILS_CHARS])


class Gate:
    """Refuses every call without good credentials, except health checks; each refusal leaves an audit line."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def refusal(self, details: grpc.HandlerCallDetails) -> Handler | None:
        """The handler that refuses this call, None where it may go on, which then has a caller."""
        method = details.method
        if method.startswith(OPEN_SERVICES):
            return None
        offered = [str(value) for key, value in details.invocation_metadata if key == "authorization"]
        try:
            # Each call has a context of its own.
            CALLER.set(self._verifier.verify(offered[0] if len(offered) == 1 else None))
        except Refused as refused:
            claimed = claimed_subject(offered[0].partition(" ")[2]) if offered else ""
            line = {"who": claimed, "method": method[:MAX_METHOD_CHARS], "outcome": "unauthenticated"}
            return _refusing(str(refused), audited=line)
        except Exception:
            # The barrier does not stand before the gate, and gRPC would tell the caller the exception's text.
            log.exception("checking credentials failed", extra={"method": method})
            return _refusing(INTERNAL, grpc.StatusCode.INTERNAL)
        return None


class Admission:
    """At most `limit` unary calls inside at once, and as many answers being sent; one more is refused at once.

    An answer is being sent until its caller has taken it, so callers that do not read hold so many answers at most.
    Together those are never more than `unsent_bytes`, or one answer that is larger: the next one is refused when its
    size is known, for any number of calls may have been let in before that.
    Health checks do not count; of them one connection has MOST_OPEN_CALLS at most, taken or not.
    """

    def __init__(self, limit: int, unsent_bytes: int) -> None:
        self._limit, self._most_unsent_bytes = limit, unsent_bytes
        self._unsent_bytes = 0
        self._inside = 0
        self._open = 0
        self._unguarded: Counter[str] = Counter()

    def around(self, handler: Handler, method: str) -> Handler:
        """See Layer."""
        if handler.unary_unary is None:
            return handler
        inner: Any = handler.unary_unary
        serialize: Any = handler.response_serializer or bytes
        if method.startswith(OPEN_SERVICES):
            return grpc.unary_unary_rpc_method_handler(
                self._few_at_once(inner),
                request_deserializer=handler.request_deserializer,
                response_serializer=serialize,
            )
        admitted = self._admitted(inner, serialize)
        return grpc.unary_unary_rpc_method_handler(admitted, request_deserializer=handler.request_deserializer)

    def _few_at_once(self, inner: Any) -> Any:
        """The same method, of which one connection has MOST_OPEN_CALLS at most."""

        async def checked(request: Any, context: Any) -> Any:
            connection = context.peer()
            if self._unguarded[connection] >= MOST_OPEN_CALLS:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "overloaded: too many calls of one connection")
            self._unguarded[connection] += 1
            _when_over(lambda _: self._checked(connection))
            return await inner(request, context)

        return checked

    def _admitted(self, inner: Any, serialize: Any) -> Any:
        """The same method where there is a place, its answer in bytes."""

        async def admitted(request: Any, context: Any) -> Any:
            if words := self._full():
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, words)
            taken_bytes = 0

            def over(_: object) -> None:
                self._open -= 1
                self._unsent_bytes -= taken_bytes

            self._inside += 1
            self._open += 1
            _when_over(over)
            try:
                raw: bytes = serialize(await inner(request, context))
                # One at a time: nothing comes between making an answer's bytes and taking its place.
                if not self._has_place(size := len(raw)):
                    del raw  # an abort outlives its call
                    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._unread(size))
                taken_bytes = size
                self._unsent_bytes += size
                return raw
            finally:
                self._inside -= 1

        return admitted

    def _has_place(self, size: int) -> bool:
        return not self._unsent_bytes or self._unsent_bytes + size <= self._most_unsent_bytes

    def _unread(self, more: int = 0) -> str:
        held = f"{self._unsent_bytes} bytes wait for callers that do not read them"
        beside = f", and {more} more would be over {self._most_unsent_bytes}" if more else ""
        return f"overloaded: {held}{beside}: try again"

    def _full(self) -> str:
        if self._unsent_bytes >= self._most_unsent_bytes:
            return self._unread()
        if self._inside >= self._limit:
            return f"overloaded: {self._limit} calls are under way already, try again"
        if self._open >= 2 * self._limit:
            return f"overloaded: {self._open - self._inside} answers wait for callers that do not read them, try again"
        return ""

    def _checked(self, connection: str) -> None:
        self._unguarded[connection] -= 1
        if not self._unguarded[connection]:
            del self._unguarded[connection]


def _when_over(then: Callable[[object], None]) -> None:
    """Called at the end of the call that is being served: its answer is taken, or given up.

    The call's own task tells it. Its context would as well, but gRPC keeps what asks that in a cycle with the call.
    """
    task = asyncio.current_task()
    if task is not None:
        task.add_done_callback(then)


def forget_frames(error: BaseException) -> None:
    """Lets go of what the functions held that an error has left, for a call that is aborted because of it.

    gRPC keeps an abort in a cycle with its call, and Python with the abort what was raised before: an answer that was
    too large to send would take memory until the garbage collector comes across it.
    """
    traceback.clear_frames(error.__traceback__)


def _refusing(
    message: str,
    code: grpc.StatusCode = grpc.StatusCode.UNAUTHENTICATED,
    *,
    audited: Mapping[str, str] | None = None,
) -> Handler:
    async def refuse(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        del request
        if audited is not None:  # not before: only here is it known from where the call comes
            audit.warning("request refused", extra={**audited, "client": context.peer()})
        await context.abort(code, message)

    # As if the request were a stream, whatever the method: a refusal does not wait for a message that may never come.
    return grpc.stream_unary_rpc_method_handler(refuse)
