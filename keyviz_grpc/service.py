"""The servicers: one face for a node's own source, one for a cluster's aggregator."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeVar

import grpc

from keyviz_grpc.answer_bounds import UNBOUNDED, AnswerBounds
from keyviz_grpc.caller import caller_of
from keyviz_grpc.cluster import Cluster
from keyviz_grpc.codec import (
    Question,
    Ready,
    answer_bytes,
    decode_hot_keys_query,
    decode_overview_via,
    encode_hot_keys,
    encode_overview,
    question_of,
    ready_before,
)
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import HotKeysDisabled, SamplerDisabled
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.hotkeys.answer import MAX_KEYS_BYTES, check_asked, top_of, within_bytes
from keyviz_grpc.hotkeys.protocols import HotKeysSource, waiting
from keyviz_grpc.interceptors import with_status
from keyviz_grpc.metrics import ServerMetrics
from keyviz_grpc.outcome import Answer
from keyviz_grpc.proto import admin_pb2_grpc, keyviz_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.rpc_types import Context, Handler
from keyviz_grpc.source import PromptSource, Source
from keyviz_grpc.tracing import is_wanted, past, span

audit = logging.getLogger("keyviz.audit")

_Result = TypeVar("_Result")

DEFAULT_DEADLINE_S: Final = 10.0

KEPT_GIVEN: Final = 4
"""Questions whose last answer is given again; as many callers ask in words of their own."""


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], _Result]) -> _Result:
    # The thread logs under the same request id, and its spans belong to the same trace.
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(threads, lambda: context.run(work))


def _encoded(answer: Answer, accept: tuple[int, ...], metrics: ServerMetrics | None) -> bytes:
    began = time.perf_counter()
    with span("keyviz.encode", encoding="columnar" if accept else "rows"):
        raw = answer_bytes(answer, accept=accept)
    _note_encoded(answer.matrix.shape, began, metrics)
    return raw


def _note_encoded(shape: tuple[int, int], began: float, metrics: ServerMetrics | None) -> None:
    if metrics is not None:
        metrics.encoded(shape, time.perf_counter() - began)


class Servicer(keyviz_pb2_grpc.KeyVizServicer, admin_pb2_grpc.AdminServicer):
    """All methods of both services, which are the same ones.

    What answers them raises KeyVizError. Behind a barrier (`interceptors`), which turns that into the status of the
    call, stand `methods`; the generated code's names do it themselves, for servers that have none.
    """

    @abstractmethod
    async def matrix_bytes(self, question: Question, context: Context) -> bytes:
        """The serialized answer of GetKeyVizMatrix: what is packed already need not become a message first."""

    @abstractmethod
    async def overview(self, request: pb.GetClusterOverviewRequest, context: Context) -> pb.GetClusterOverviewResponse:
        """The answer of GetClusterOverview."""

    @abstractmethod
    async def hot_keys(self, request: pb.GetHotKeysRequest, context: Context) -> pb.GetHotKeysResponse:
        """The answer of GetHotKeys."""

    async def GetKeyVizMatrix(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetKeyVizMatrixRequest, context: Context
    ) -> pb.GetKeyVizMatrixResponse:
        """See the proto file."""
        raw = await with_status(self.matrix_bytes(Question(request.SerializeToString()), context), context)
        return pb.GetKeyVizMatrixResponse.FromString(raw)

    async def GetClusterOverview(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetClusterOverviewRequest, context: Context
    ) -> pb.GetClusterOverviewResponse:
        """See the proto file."""
        return await with_status(self.overview(request, context), context)

    async def GetHotKeys(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetHotKeysRequest, context: Context
    ) -> pb.GetHotKeysResponse:
        """See the proto file."""
        return await with_status(self.hot_keys(request, context), context)

    def methods(self) -> dict[str, Handler]:
        """Their handlers by name. As of the generated code, but that no matrix is parsed and serialized once more."""
        return {
            "GetKeyVizMatrix": grpc.unary_unary_rpc_method_handler(self.matrix_bytes, request_deserializer=question_of),
            "GetClusterOverview": grpc.unary_unary_rpc_method_handler(
                self.overview,
                request_deserializer=pb.GetClusterOverviewRequest.FromString,
                response_serializer=pb.GetClusterOverviewResponse.SerializeToString,
            ),
            "GetHotKeys": grpc.unary_unary_rpc_method_handler(
                self.hot_keys,
                request_deserializer=pb.GetHotKeysRequest.FromString,
                response_serializer=pb.GetHotKeysResponse.SerializeToString,
            ),
        }


class NodeServicer(Servicer):
    """Answers from one node's own source and never asks anybody else. `source` None: its sampler is off."""

    def __init__(
        self,
        source: Source | None,
        threads: ThreadPoolExecutor,
        metrics: ServerMetrics | None = None,
        *,
        bounds: AnswerBounds = UNBOUNDED,
    ) -> None:
        self._source, self._threads, self._metrics, self._bounds = source, threads, metrics, bounds
        self._prompt: PromptSource | None = source if isinstance(source, PromptSource) else None
        # What was ready while the source stood at this number, by the question's bytes.
        self._given: dict[bytes, Ready] = {}
        self._given_at = 0

    def _sampler(self) -> Source:
        if self._source is None:
            raise SamplerDisabled
        return self._source

    async def matrix_bytes(self, question: Question, context: Context) -> bytes:
        """See Servicer."""
        del context
        # The way to a thread and back takes longer than little work does.
        ready = self._ready_bytes(question)
        if ready is not None:
            return ready
        query, accept, source = question.query, question.accept, self._sampler()
        return await _in_thread(self._threads, lambda: self._made(source, query, accept))

    def _ready_bytes(self, question: Question) -> bytes | None:
        prompt = self._prompt
        if prompt is None or (standing := prompt.standing()) is None:
            return None
        number, now_unix_ms = standing
        began = read = time.perf_counter()
        ready = self._given.get(question.raw) if number == self._given_at else None
        if ready is None:
            answer = prompt.matrix_at_once(question.query)
            read = time.perf_counter()
            ready = None if answer is None else self._made_ready(question, answer, number)
        if ready is None:
            return None
        raw = ready.made_at(now_unix_ms)
        if is_wanted():
            rows, columns = ready.shape
            past("keyviz.read", began, read, series=question.query.series.value, rows=rows, columns=columns)
            past("keyviz.encode", read, time.perf_counter(), encoding="columnar")
        _note_encoded(ready.shape, read, self._metrics)
        return raw

    def _made_ready(self, question: Question, answer: Answer, number: int) -> Ready | None:
        """What is left to do is little, or nothing is done; kept for the next time."""
        ready = ready_before(answer, accept=question.accept)
        if ready is not None:
            self._bounds.check(ready.shape)
            if number != self._given_at:
                # An earlier number does not come again, and what was packed at that time may be large.
                self._given, self._given_at = {}, number
            elif len(self._given) >= KEPT_GIVEN:
                del self._given[next(iter(self._given))]
            self._given[question.raw] = ready
        return ready

    def _made(self, source: Source, query: MatrixQuery, accept: tuple[int, ...]) -> bytes:
        with span("keyviz.read", series=query.series.value) as note:
            answer = source.matrix(query)
            note(rows=answer.matrix.shape[0], columns=answer.matrix.shape[1])
        self._bounds.check(answer.matrix.shape)
        return _encoded(answer, accept, self._metrics)

    async def overview(self, request: pb.GetClusterOverviewRequest, context: Context) -> pb.GetClusterOverviewResponse:
        """See Servicer."""
        del context
        decode_overview_via(request)
        return encode_overview(self._sampler().overview())

    async def hot_keys(self, request: pb.GetHotKeysRequest, context: Context) -> pb.GetHotKeysResponse:
        """See Servicer."""
        query, source = decode_hot_keys_query(request), self._sampler()
        if not isinstance(source, HotKeysSource):
            raise HotKeysDisabled
        with waiting() as given_up:
            message = await _in_thread(
                self._threads, lambda: _hot_keys_message(source.hot_keys(query, given_up), query)
            )
        _note_hot_keys(query, context)
        return message


class ClusterServicer(Servicer):
    """Answers for a whole cluster, so that aggregators stack into trees."""

    def __init__(
        self,
        cluster: Cluster,
        threads: ThreadPoolExecutor,
        metrics: ServerMetrics | None = None,
        *,
        bounds: AnswerBounds = UNBOUNDED,
    ) -> None:
        self._cluster, self._threads, self._metrics, self._bounds = cluster, threads, metrics, bounds

    async def matrix_bytes(self, question: Question, context: Context) -> bytes:
        """See Servicer."""
        query = replace(question.query, known=None)  # a merged answer is always told in full
        return await self._matrix(query, question.accept, _deadline(context))

    async def _matrix(self, query: MatrixQuery, accept: tuple[int, ...], deadline: Deadline) -> bytes:
        answer = await self._cluster.matrix(query, deadline)
        self._bounds.check_all(answer)
        return await _in_thread(self._threads, lambda: _encoded(answer, accept, self._metrics))

    async def overview(self, request: pb.GetClusterOverviewRequest, context: Context) -> pb.GetClusterOverviewResponse:
        """See Servicer."""
        via = decode_overview_via(request)
        return encode_overview(await self._cluster.overview(_deadline(context), via))

    async def hot_keys(self, request: pb.GetHotKeysRequest, context: Context) -> pb.GetHotKeysResponse:
        """See Servicer."""
        query = decode_hot_keys_query(request)
        answer = await self._cluster.hot_keys(query, _deadline(context))
        message = await _in_thread(self._threads, lambda: _hot_keys_message(answer, query))
        _note_hot_keys(query, context)
        return message


def _hot_keys_message(answer: HotKeysAnswer, query: HotKeysQuery) -> pb.GetHotKeysResponse:
    if not query.via:
        check_asked(answer, query)
    most_bytes = min(query.max_bytes or MAX_KEYS_BYTES, MAX_KEYS_BYTES)
    return encode_hot_keys(within_bytes(top_of(answer, query.top), most_bytes), bounds=not query.via)


def _note_hot_keys(query: HotKeysQuery, context: Context) -> None:
    """One audit line for an answer that holds user keys: who got it and of what, none of the keys."""
    told = {"route_id": query.route_id, "label": query.label, "series": query.series.value, "via": list(query.via)}
    line = {"who": caller_of(context), "client": context.peer(), "outcome": "ok", **told}
    audit.info("hot keys", extra=line)


def _deadline(context: Context) -> Deadline:
    left_s = context.time_remaining()
    return Deadline.after(DEFAULT_DEADLINE_S if left_s is None else min(left_s, 600.0))
