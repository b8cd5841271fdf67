"""One peer, one call: deadline, cap, credentials, by which name it is asked, and what its answer becomes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from keyviz_grpc.auth import Credentials
from keyviz_grpc.bytes_budget import HELD_KEY_BYTES, BytesBudget
from keyviz_grpc.codec import (
    decode_hot_keys,
    decode_overview,
    encode_hot_keys_query,
    encode_overview_request,
    known_bytes,
    parse,
    query_bytes,
)
from keyviz_grpc.connection import Connection, Status
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind, MalformedAnswer, TooLarge
from keyviz_grpc.failed_calls import failed, outcome_of
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.outcome import Answer, Outcome, Overview
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import Known, MatrixQuery
from keyviz_grpc.reading import Unpaid, pay, read_raw
from keyviz_grpc.remembered import NodeColumns, Recalled, Shelf
from keyviz_grpc.slicing import Reply, Slicer
from keyviz_grpc.tls import TlsFiles

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

SERVICE_PATHS: Final = ("/keyviz.v1.KeyViz/", "/Admin/")
ACCEPT: Final = (pb.MATRIX_ENCODING_COLUMNAR,)


@dataclass(slots=True)
class ClientShared:
    """What the clients of one process share: settings, credentials, and threads that decode.

    received: told the address and the bytes of each answer that came in.
    remembered: where closed columns are kept that need not be sent again; None = nothing is.
    node_id: what the aggregator is called whose clients these are, "" = there is none.
    """

    node_id: str = ""
    max_message_bytes: int = 64 << 20
    credentials: Credentials | None = None
    tls: TlsFiles | None = None
    received: Callable[[str, int], None] | None = None
    remembered: Shelf | None = None
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="keyviz-decode")
    )
    _asked: tuple[MatrixQuery, bytes] | None = None

    def request(self, query: MatrixQuery) -> bytes:
        """The bytes of a question: the same for all peers of a fan-out as a rule, but for what is known of each."""
        if self._asked is None or self._asked[0] is not query:
            self._asked = query, query_bytes(query, accept=ACCEPT)
        return self._asked[1]


class PeerClient:
    """A peer over gRPC. Implements `Peer`.

    questions: how many are under way, each of one call or of several. told_id: see `Peer`.
    """

    def __init__(self, address: str, shared: ClientShared) -> None:
        self.address = address
        self._shared = shared
        self._connection = Connection(
            address,
            max_message_bytes=shared.max_message_bytes,
            credentials=shared.credentials,
            tls=shared.tls,
        )
        self._path = SERVICE_PATHS[0]
        self._told: tuple[str, int] | None = None
        self._was_connected = False
        self.questions = 0
        self.told_id = ""
        self._slicer = Slicer(shared.max_message_bytes, lambda: int(time.time() * 1000))
        self._columns = NodeColumns(shared.remembered)
        self._known: tuple[Known, bytes] | None = None

    def matrix(
        self, query: MatrixQuery, deadline: Deadline, budget: BytesBudget
    ) -> Coroutine[object, object, Answer | Outcome]:
        """See `Peer`."""
        began, whole = time.perf_counter(), self._columns.recall(query)

        def once(part: MatrixQuery) -> Awaitable[Reply]:
            if part is query:
                return self._ask_once(whole, deadline, budget, began)
            return self._ask_once(self._columns.recall(part), deadline, budget.part(), began)

        return self._guarded(self._slicer.ask(query, once, budget.give_back, whole.known_below_unix_ms))

    async def _ask_once(self, recalled: Recalled, deadline: Deadline, budget: BytesBudget, began: float) -> Reply:
        raw = await self._call("GetKeyVizMatrix", self._request(recalled), deadline)
        latency_ms = (time.perf_counter() - began) * 1000
        if isinstance(raw, Outcome):
            over_cap = raw.kind is FailureKind.MESSAGE_TOO_LARGE
            return Reply(replace(raw, latency_ms=latency_ms), over_cap=over_cap)
        if self._shared.received is not None:
            self._shared.received(self.address, len(raw))
        node_id, incarnation = self._told or ("", 0)
        known = Outcome(self.address, node_id=node_id, incarnation=incarnation, latency_ms=latency_ms)
        try:
            pay(budget, len(raw))
            answer = await read_raw(raw, recalled, known, budget, threads=self._shared.threads)
        except (Unpaid, MalformedAnswer, TooLarge) as error:
            budget.give_back()  # what came is not kept, and something shorter may be asked for now
            return self._unread(error, budget, latency_ms)
        if not answer.node_id and self._told is None:
            answer = await self._ask_who(answer, deadline)
        left_out = answer.history is not None and answer.history.left_out_columns > 0
        return Reply(answer, 0 if left_out else len(raw))

    def _request(self, recalled: Recalled) -> bytes:
        every, known = self._shared.request(recalled.query), recalled.known
        if known is None:
            return every
        if self._known is None or self._known[0] is not known:
            self._known = known, known_bytes(known)
        return every + self._known[1]

    def _unread(self, error: Unpaid | MalformedAnswer | TooLarge, budget: BytesBudget, latency_ms: float) -> Reply:
        if isinstance(error, Unpaid):
            return Reply(self._over_budget(error.size_bytes, budget, latency_ms))
        too_large = isinstance(error, TooLarge)
        kind = FailureKind.MESSAGE_TOO_LARGE if too_large else FailureKind.MALFORMED
        return Reply(self._failed(kind, str(error), latency_ms), over_cap=too_large)

    def _over_budget(self, size_bytes: int, budget: BytesBudget, latency_ms: float) -> Outcome:
        kind, advice = budget.refusal
        if kind is FailureKind.OVERLOADED:
            detail = f"no memory for {size_bytes} bytes of its answer: the answers of other requests hold it"
        else:
            detail = f"{size_bytes} bytes more than the {budget.total_bytes} that all answers together may hold"
        return self._failed(kind, f"{detail}: {advice}", latency_ms)

    async def _ask_who(self, answer: Answer, deadline: Deadline) -> Answer:
        # An older node does not say who it is with every answer; it is asked once a connection.
        overview = await self.overview(deadline.child(1.0, 0.5))
        if isinstance(overview, Overview):
            self._told = (overview.self_.node_id, overview.incarnation)
        elif overview.kind is FailureKind.INCOMPATIBLE:
            self._told = ("", 0)  # it has no such method; any other failure is asked about again
        node_id, incarnation = self._told or ("", 0)
        named = replace(answer.outcomes[0], node_id=node_id, incarnation=incarnation)
        return replace(answer, outcomes=(named,)) if not answer.merged else answer

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview | Outcome:
        """See `Peer`. Without a way the question is the aggregator's own."""
        return await self._guarded(self._overview(deadline, via or tuple(filter(None, (self._shared.node_id,)))))

    async def _overview(self, deadline: Deadline, via: tuple[str, ...]) -> Overview | Outcome:
        raw = await self._call("GetClusterOverview", encode_overview_request(via).SerializeToString(), deadline)
        if isinstance(raw, Outcome):
            return raw
        try:
            return decode_overview(parse(pb.GetClusterOverviewResponse, raw))
        except MalformedAnswer as error:
            return self._failed(FailureKind.MALFORMED, str(error))

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline, budget: BytesBudget) -> HotKeysAnswer | Outcome:
        """See `HotKeysPeer`. A peer that lacks the method is not forgotten for it, as it would be for the others."""
        return await self._guarded(self._hot_keys(query, deadline, budget))

    async def _hot_keys(self, query: HotKeysQuery, deadline: Deadline, budget: BytesBudget) -> HotKeysAnswer | Outcome:
        began = time.perf_counter()
        request = encode_hot_keys_query(query).SerializeToString()
        path, raw = await self._call_alive("GetHotKeys", request, deadline)
        if isinstance(raw, Status) and raw.code == "UNIMPLEMENTED" and path == SERVICE_PATHS[0]:
            raw = await self._call_path(SERVICE_PATHS[1], "GetHotKeys", request, deadline)
        latency_ms = (time.perf_counter() - began) * 1000
        if isinstance(raw, Status):
            without = raw.code == "UNIMPLEMENTED"
            told = replace(raw, details="an older node: it has no GetHotKeys") if without else raw
            return replace(self._outcome_of(told), latency_ms=latency_ms)
        known, loop = Outcome(self.address, latency_ms=latency_ms), asyncio.get_running_loop()
        try:
            pay(budget, len(raw))
            answer = await loop.run_in_executor(self._shared.threads, _decode_hot_keys, raw, known)
            pay(budget, HELD_KEY_BYTES * len(answer.keys))
        except Unpaid as unpaid:
            return self._over_budget(unpaid.size_bytes, budget, latency_ms)
        except MalformedAnswer as error:
            return self._failed(FailureKind.MALFORMED, str(error), latency_ms)
        return answer

    async def _guarded(self, work: Awaitable[_Result | Outcome]) -> _Result | Outcome:
        self.questions += 1
        try:
            return await work
        except Exception:
            # Whatever one peer's answer brings about here, the others' answers still count.
            log.exception("asking a peer failed", extra={"peer": self.address})
            return self._failed(FailureKind.INTERNAL, "its answer could not be handled: see the log here")
        finally:
            self.questions -= 1

    async def close(self) -> None:
        """Lets go of the connection; calls under way fail as `unreachable`."""
        self._columns.forget()
        await self._connection.close()

    async def _call(self, method: str, request: bytes, deadline: Deadline) -> bytes | Outcome:
        if self._was_connected and not self._connection.is_ready:
            # A peer that went away between two calls leaves no failed call behind. What is remembered of a node's
            # columns holds for that node alone, whoever listens there now.
            self._path, self._told = SERVICE_PATHS[0], None
        path = self._path
        result = await self._call_path(path, method, request, deadline)
        if isinstance(result, bytes):
            self._was_connected = True
            return result
        try:
            path, again = await self._again_if_cut(path, result, method, request, deadline)
            return again if isinstance(again, bytes) else await self._failure(path, again, method, request, deadline)
        finally:
            self._was_connected = self._connection.is_ready

    async def _failure(
        self, path: str, result: Status, method: str, request: bytes, deadline: Deadline
    ) -> bytes | Outcome:
        """What a call under `path` has come to that failed so; by an older node's name it may come to something yet."""
        if result.code == "UNIMPLEMENTED" and path == SERVICE_PATHS[0]:
            older = await self._call_path(SERVICE_PATHS[1], method, request, deadline)
            if isinstance(older, bytes):
                self._path = SERVICE_PATHS[1]
                return older
            if older.code != "UNIMPLEMENTED":
                result = older
        # A node may lack GetClusterOverview alone: what its matrices taught stays true.
        if result.code == "UNAVAILABLE" or (result.code == "UNIMPLEMENTED" and method == "GetKeyVizMatrix"):
            self._forget()
        return self._outcome_of(result)

    def _forget(self) -> None:
        # Whatever listens there next may be another version or another node.
        self._path, self._told = SERVICE_PATHS[0], None
        self._slicer.forget()
        self._columns.forget()

    async def _call_alive(self, method: str, request: bytes, deadline: Deadline) -> tuple[str, bytes | Status]:
        """Under which path it was asked in the end, which another call may have changed meanwhile, and what came."""
        path = self._path
        result = await self._call_path(path, method, request, deadline)
        return await self._again_if_cut(path, result, method, request, deadline)

    async def _again_if_cut(
        self, path: str, result: bytes | Status, method: str, request: bytes, deadline: Deadline
    ) -> tuple[str, bytes | Status]:
        """The same, once a first try has come to that result."""
        if isinstance(result, Status) and result.was_cut:
            # The connection was from before a restart, and that was seen by asking: questions may be asked again.
            self._path, self._told = SERVICE_PATHS[0], None
            path = self._path
            result = await self._call_path(path, method, request, deadline)
        return path, result

    def _call_path(self, path: str, method: str, request: bytes, deadline: Deadline) -> Awaitable[bytes | Status]:
        return self._connection.call(path + method, request, deadline.left_s())

    def _outcome_of(self, status: Status) -> Outcome:
        return outcome_of(status, self.address, cap_bytes=self._shared.max_message_bytes)

    def _failed(self, kind: FailureKind, detail: str, latency_ms: float = 0.0) -> Outcome:
        return failed(self.address, kind, detail, latency_ms)


def _decode_hot_keys(raw: bytes, known: Outcome) -> HotKeysAnswer:
    return decode_hot_keys(parse(pb.GetHotKeysResponse, raw), outcome=known)
