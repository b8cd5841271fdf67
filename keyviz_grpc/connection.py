"""One connection to a peer: made when it is needed, anew when certificates change or when gRPC would wait in vain."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import Final, TypeAlias

import grpc

from keyviz_grpc.auth import Credentials
from keyviz_grpc.deadline import NOT_IN_TIME
from keyviz_grpc.errors import FailureKind, SettingError
from keyviz_grpc.request_id import HEADER, REQUEST_ID
from keyviz_grpc.tls import TlsFiles
from keyviz_grpc.tracing import outgoing

log = logging.getLogger(__name__)

_Method: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"

_READY: Final = grpc.ChannelConnectivity.READY
_FAILED: Final = grpc.ChannelConnectivity.TRANSIENT_FAILURE
_CONNECTING: Final = grpc.ChannelConnectivity.CONNECTING

LEAST_S: Final = 0.005
"""With less time than this nobody is asked: gRPC ends a call that much early, and then it is another peer's turn."""
RETIRE_S: Final = 60.0
IDLE_LOOK_S: Final = 0.2
UNACKNOWLEDGED_MS: Final = 3000
QUICK_S: Final = 0.5
"""A connection that fails sooner was refused or cut: whoever asks next tries anew at once."""
GONE: Final = "GOAWAY"
"""What gRPC says of a call on a connection that the other side has ended in good order."""
AGAIN_S: Final = 1.0
"""A connection that fails later got no answer: who asks within this time is not made to wait for the next try."""


@dataclass(frozen=True, slots=True)
class Status:
    """All that is kept of a failed call: gRPC's own error objects must not live on.

    was_cut: whether its connection ended, so that whoever is asked may not have seen the question. kind: what it is
    where gRPC has no code for it, since nobody was asked or the connection was let go of.
    """

    code: str
    details: str
    was_cut: bool = False
    kind: FailureKind | None = None


class Connection:
    """One gRPC channel at a time to one address."""

    def __init__(
        self, address: str, *, max_message_bytes: int, credentials: Credentials | None, tls: TlsFiles | None
    ) -> None:
        self._calls: dict[grpc.aio.Channel, int] = {}
        self._address, self._credentials, self._tls = address, credentials, tls
        self._options = _options(max_message_bytes)
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, _Method] = {}
        self._marks: object = None
        self._closed = False
        self._lost = 0
        self._renew_at = math.inf
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection right now."""
        return self._channel is not None and self._channel.get_state() is _READY

    async def call(self, path: str, request: bytes, left_s: float) -> bytes | Status:
        """The bytes of the reply to one call of at most `left_s` seconds, or why there are none."""
        if left_s < LEAST_S:
            return Status("", NOT_IN_TIME, kind=FailureKind.DEADLINE_EXCEEDED)
        if self._closed:
            return _without_connection("the connection was closed: the peer left the cluster")
        try:
            channel = self._current()
        except SettingError as error:
            return _without_connection(str(error))
        method, metadata = self._method(channel, path), self._metadata()
        state, lost, began = channel.get_state(), self._lost, time.monotonic()
        self._calls[channel] = self._calls.get(channel, 0) + 1
        try:
            return await method(request, timeout=left_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            if channel is self._channel and not self.is_ready and state is not _FAILED:
                now = time.monotonic()
                self._renew_at = now if now - began < QUICK_S else now + AGAIN_S
            code, details = error.code(), error.details() or ""
            if code is grpc.StatusCode.UNAVAILABLE and (not self.is_ready or GONE in details):
                self._lost += 1
            # Of several calls that end with a connection the later ones may see the next one already.
            was_cut = code is grpc.StatusCode.UNAVAILABLE and state is _READY and self._lost != lost
            return Status(code.name, details, was_cut)
        except asyncio.CancelledError:
            # gRPC cancels whoever awaits a call when its channel is closed, although nobody cancelled the task.
            if _is_cancelled():
                raise
            return _without_connection("the connection was closed during the call")
        finally:
            self._end_call(channel)

    def _end_call(self, channel: grpc.aio.Channel) -> None:
        calls = self._calls.pop(channel)
        if calls > 1:
            self._calls[channel] = calls - 1

    async def close(self) -> None:
        """Lets go of it; calls under way end as `unreachable`."""
        self._closed = True
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()

    def _method(self, channel: grpc.aio.Channel, path: str) -> _Method:
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = channel.unary_unary(path)
        return method

    def _metadata(self) -> grpc.aio.Metadata:
        # As gRPC has it: of anything else it makes one for each call, once it has looked at what that is.
        metadata = grpc.aio.Metadata(*(self._credentials.metadata() if self._credentials is not None else ()))
        if request_id := REQUEST_ID.get():
            metadata.add(HEADER, request_id)
        for name, value in outgoing():
            metadata.add(name, value)
        return metadata

    @property
    def _is_stuck(self) -> bool:
        """Whether the channel waits before it tries again, although the peer may be back. Nobody else waits for it."""
        if self._channel is None or time.monotonic() < self._renew_at:
            return False
        state = self._channel.get_state()
        return state is _FAILED or (state is _CONNECTING and self._channel not in self._calls)

    def _current(self) -> grpc.aio.Channel:
        marks = None if self._tls is None else self._tls.marks()
        old = self._channel
        if old is not None and marks == self._marks and not self._is_stuck:
            return old
        if self._tls is None:
            made = grpc.aio.insecure_channel(self._address, options=self._options)
        else:
            try:
                credentials = self._tls.read()
            except SettingError as error:
                if old is None:
                    raise
                log.warning("new TLS files are not used yet", extra={"peer": self._address, "reason": str(error)})
                self._marks = marks
                return old
            made = grpc.aio.secure_channel(self._address, credentials, options=[*self._options, *self._tls.options()])
        self._channel, self._marks, self._renew_at = made, marks, math.inf
        self._methods.clear()
        if old is not None:
            self._retire(old)
        return made

    def _retire(self, channel: grpc.aio.Channel) -> None:
        # Calls under way end on the old connection; nobody waits for them here.
        task = asyncio.ensure_future(self._close_when_idle(channel))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _close_when_idle(self, channel: grpc.aio.Channel) -> None:
        # Not by the grace of gRPC itself, of which a close that must be quicker leaves the rest undone.
        try:
            async with asyncio.timeout(RETIRE_S):
                while channel in self._calls:  # noqa: ASYNC110 - each call is bounded by its own deadline
                    await asyncio.sleep(IDLE_LOOK_S)
        except TimeoutError:
            log.warning("calls on an old connection do not end", extra={"peer": self._address})
        finally:
            await channel.close()


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.enable_http_proxy", 0),
        # A question that gRPC sent again by itself would come to whoever listens there by now, and nobody would know.
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.dns_min_time_between_resolutions_ms", 1000),
        # What a network drops without a word, as after a partition or where it has forgotten an idle connection, would
        # be sent again and again for a quarter of an hour; so many milliseconds without an acknowledgement end it. gRPC
        # sets that for a connection with pings alone, which are so rare that none is ever sent.
        ("grpc.keepalive_time_ms", 7_200_000),
        ("grpc.keepalive_timeout_ms", UNACKNOWLEDGED_MS),
    ]


def _without_connection(details: str) -> Status:
    return Status("", details, kind=FailureKind.UNREACHABLE)


def _is_cancelled() -> bool:
    """Whether somebody cancelled this very task.

    Not asked where the error is caught: a task and an error that knows a frame that knows the task would hold each
    other, and all that was asked for with them, until the garbage collector comes across them.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
