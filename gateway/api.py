"""The endpoints that look at the cluster: matrix, cell, cluster, health and readiness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from gateway import encodings
from gateway.endpoints import header_of, while_connected
from gateway.gate import Gate
from gateway.hot_keys import (
    NOTHING_TO_TELL,
    read_absent,
    read_hot_keys_request,
    render_hot_keys,
    render_no_hot_keys,
)
from gateway.limits import InFlight, Unsent
from gateway.matrix_body import MatrixRenderer
from gateway.metrics import Metrics
from gateway.params import MatrixRequest, read_cell_request, read_matrix_request
from gateway.problems import Refused
from gateway.render import render_cell, render_overview
from gateway.responses import InPieces, json_response
from gateway.settings import GatewaySettings
from gateway.shared import SharedWork
from gateway.streamed import Pieces, Streamed, size_of
from keyviz_grpc.aggregator.flights import Flights, Room
from keyviz_grpc.cluster import Cluster
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.hotkeys.answer import check_asked, top_of
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.remembered import Shelf
from keyviz_grpc.tracing import span
from keyviz_grpc.version import VERSION

_VARIES: Final = (b"vary", b"Accept-Encoding")

REMEMBERED_QUERIES: Final = 64
"""Who polls mostly asks with the same words. Each is at most as long as the head of a request."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One form of one matrix: requests that want the same share one rendering."""

    asked: MatrixRequest
    encoding: str

    def __hash__(self) -> int:
        return hash(self.asked.query)


@lru_cache(REMEMBERED_QUERIES)
def _wanted(query_string: bytes, accept_encoding: bytes) -> _Wanted:
    """Raises InvalidRequest naming the parameter and its value."""
    encoding = encodings.choose(accept_encoding.decode("latin-1"))
    return _Wanted(read_matrix_request(QueryParams(query_string)), encoding)


@dataclass(frozen=True, slots=True)
class _Body:
    """pieces: together the body; several readers may take them where they are a sequence."""

    pieces: Pieces
    encoding: str

    @property
    def size_bytes(self) -> int:
        return size_of(self.pieces)


class Api:
    """Answers from a cluster. wall_clock: unix seconds."""

    def __init__(
        self,
        cluster: Cluster,
        gate: Gate,
        *,
        settings: GatewaySettings,
        metrics: Metrics,
        threads: ThreadPoolExecutor,
        remembered: Shelf | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster, self._gate, self._settings = cluster, gate, settings
        self._metrics, self._threads, self._wall_clock = metrics, threads, wall_clock
        self._in_flight = InFlight(settings.max_requests)
        self._unsent = Unsent(settings.max_unsent_bytes)
        self._bodies: SharedWork[_Wanted, _Body] = SharedWork(metrics.joined_body)
        # A probe that leaves in the middle ends no question: the next one would be refused while that comes to its end.
        self._readiness: Flights[str, bool] = Flights(Room(1), lasting=True)
        self._renderer = MatrixRenderer(shelf=remembered)
        metrics.watch_in_flight(lambda: self._in_flight.count)

    async def matrix(self, request: Request) -> Response:
        """GET …/keyviz/matrix."""
        self._gate.admit(request)
        self._unsent.check()
        wanted = _wanted(request.scope["query_string"], header_of(request.scope, b"accept-encoding"))
        with self._in_flight.place() as place:
            body = await self._bodies.of(request, wanted, lambda: self._matrix_body(wanted), left=place.give_back)
        return _response(body, self._unsent)

    async def _matrix_body(self, wanted: _Wanted) -> _Body:
        with span("keyviz.matrix", series=wanted.asked.query.series):
            answer = await self._cluster.matrix(wanted.asked.query, self._deadline())
            _check_known(answer.outcomes, wanted.asked.query.node_id)
            with span("keyviz.encode", encoding=wanted.encoding or "identity") as note:
                body = await self._written(answer, wanted)
                note(bytes=body.size_bytes)
        return body

    async def _written(self, answer: Answer, wanted: _Wanted) -> _Body:
        """What is little work on the loop, the rest in a thread; a long body of one reader is only begun."""
        loop, plain = asyncio.get_running_loop(), not wanted.encoding
        if plain and self._renderer.is_quick(answer, identity=wanted.asked.identity):
            body, took_s = self._plain(answer, wanted)
            # Its reader has it before the next turn of the loop.
            loop.call_soon(self._metrics.rendered, took_s, body.size_bytes)
            return body
        if not plain or self._bodies.is_shared(wanted) or not self._renderer.streams(answer):
            return await loop.run_in_executor(self._threads, self._render, answer, wanted)
        return self._begun(answer, wanted)

    def _begun(self, answer: Answer, wanted: _Wanted) -> _Body:
        began = time.perf_counter()
        streamed = self._renderer.streamed(answer, identity=wanted.asked.identity)
        spent_s = time.perf_counter() - began
        return _Body(replace(streamed, pieces=self._measured(streamed, spent_s)), "")

    def _measured(self, streamed: Streamed, spent_s: float) -> Iterator[bytes | memoryview]:
        """Its pieces, and at the end what they took together with what was spent before."""
        pieces = iter(streamed)
        while True:
            began = time.perf_counter()
            piece = next(pieces, None)
            spent_s += time.perf_counter() - began
            if piece is None:
                break
            yield piece
        self._metrics.rendered(spent_s, streamed.size_bytes)

    def _plain(self, answer: Answer, wanted: _Wanted) -> tuple[_Body, float]:
        """And the seconds that it took."""
        began = time.perf_counter()
        return _Body(self._renderer.pieces(answer, identity=wanted.asked.identity), ""), time.perf_counter() - began

    def _render(self, answer: Answer, wanted: _Wanted) -> _Body:
        plain, took_s = self._plain(answer, wanted)
        self._metrics.rendered(took_s, plain.size_bytes)
        return self._packed(plain, wanted.encoding)

    def _packed(self, plain: _Body, encoding: str) -> _Body:
        if not encoding or plain.size_bytes < encodings.SMALLEST_BYTES:
            return plain
        began = time.perf_counter()
        packed = encodings.pack(b"".join(plain.pieces), encoding)
        self._metrics.packed(encoding, time.perf_counter() - began, len(packed))
        return _Body((packed,), encoding)

    async def cell(self, request: Request) -> Response:
        """GET …/keyviz/cell."""
        self._gate.admit(request)
        asked = read_cell_request(request.query_params)
        with self._in_flight.place():
            work = self._cluster.cell(
                bucket_id=asked.bucket_id,
                column_unix_ms=asked.column_unix_ms,
                series=asked.series,
                deadline=self._deadline(),
            )
            cell = await while_connected(request, work)
        return self._small(request, render_cell(cell))

    async def hot_keys(self, request: Request) -> Response:
        """GET …/keyviz/hotkeys, for those who may see user keys."""
        session = self._gate.admit_full(request)
        query, wants_absence = read_hot_keys_request(request.query_params), read_absent(request.query_params)
        answer: HotKeysAnswer | None = None
        try:
            with self._in_flight.place():
                answer = await while_connected(request, self._cluster.hot_keys(query, self._deadline()))
                _check_known(answer.outcomes, query.node_id)
                check_asked(answer, query)
                loop, wanted = asyncio.get_running_loop(), encodings.choose(request.headers.get("accept-encoding", ""))
                body = await loop.run_in_executor(self._threads, self._hot_keys_body, answer, query, wanted)
        except NOTHING_TO_TELL as error:
            if not wants_absence:
                raise
            return self._small(request, render_no_hot_keys(error, query, answer))
        keys = min(len(answer.keys), query.top)
        told = {"route_id": query.route_id, "label": query.label, "series": query.series.value, "keys": keys}
        self._gate.note_look(request, session, "hot keys", told)
        return _response(body, self._unsent)

    def _hot_keys_body(self, answer: HotKeysAnswer, query: HotKeysQuery, encoding: str) -> _Body:
        # Intervals of 1024 sampled keys take 18 ms to find: not on the loop.
        return self._packed(_Body((render_hot_keys(top_of(answer, query.top), query),), ""), encoding)

    async def cluster(self, request: Request) -> Response:
        """GET …/cluster."""
        self._gate.admit(request)
        with self._in_flight.place():
            overview = await while_connected(request, self._cluster.overview(self._deadline()))
        now = int(self._wall_clock() * 1000)
        return self._small(request, render_overview(overview, version=VERSION, now_unix_ms=now))

    async def healthz(self, request: Request) -> Response:
        """GET /admin/healthz: 200 while serving."""
        del request
        return json_response(b'{"status":"ok"}')

    async def readyz(self, request: Request) -> Response:
        """GET /admin/readyz: 200 while the cluster can be shown, else 503. All who ask at once cause one question."""
        work = self._readiness.join("ready", lambda: self._cluster.ready(self._deadline()))
        if not await while_connected(request, work):
            raise Refused("not_ready", "no node of the cluster answers")
        return json_response(b'{"status":"ready"}')

    def _small(self, request: Request, content: bytes) -> Response:
        wanted = encodings.choose(request.headers.get("accept-encoding", ""))
        return _response(self._packed(_Body((content,), ""), wanted))

    def _deadline(self) -> Deadline:
        return Deadline.after(self._settings.timeout_s)


def _check_known(outcomes: Sequence[Outcome], node_id: str) -> None:
    """Raises InvalidRequest when one node's view is asked for and it is certain that no such node exists."""
    if not node_id or not all(outcome.ok for outcome in outcomes):
        return
    known = {outcome.node_id for outcome in outcomes if outcome.node_id}
    if node_id not in known:
        raise InvalidRequest("node", node_id, f"no node of the cluster has this id, known are {sorted(known)}")


def _response(body: _Body, unsent: Unsent | None = None) -> Response:
    encoded = ((b"content-encoding", body.encoding.encode()),) if body.encoding else ()
    return InPieces(body.pieces, headers=(_VARIES, *encoded), unsent=unsent)
