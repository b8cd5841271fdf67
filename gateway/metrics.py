"""What Prometheus sees of the HTTP face. Every label has a small, fixed set of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from keyviz_grpc.outcome import Answer

MAX_PEERS: Final = 256
OTHER: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)
_BYTES: Final = tuple(4.0**power for power in range(4, 14))


class Metrics:
    """One registry for one gateway; nothing here is shared by the process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._peers: set[str] = set()
        self._requests = self._counter("http_requests", "Requests answered.", ("route", "method", "status"))
        self._seconds = self._histogram("http_request_seconds", "Time to the last byte handed over.", ("route",))
        self._in_flight = Gauge("keyviz_http_in_flight", "Requests to the API under way.", registry=self.registry)
        self._outcomes = self._counter("peer_outcomes", "What peers contributed: ok or a failure kind.", ("kind",))
        self._latency = self._histogram("peer_latency_seconds", "How long a peer took to answer.", ("peer",))
        self._warnings = self._counter("peer_warnings", "Warnings about peers' answers.", ("code",))
        self._rows = Gauge("keyviz_matrix_rows", "Rows of the latest matrix.", registry=self.registry)
        self._columns = Gauge("keyviz_matrix_columns", "Columns of the latest matrix.", registry=self.registry)
        self._conflicts = Gauge(
            "keyviz_matrix_conflicts", "Cells in conflict in the latest matrix.", registry=self.registry
        )
        self._render_seconds = self._histogram("render_seconds", "Time to render a matrix as JSON.", ())
        self._json_bytes = self._histogram("json_bytes", "Size of a rendered matrix.", (), _BYTES)
        self._pack_seconds = self._histogram("compress_seconds", "Time to compress a body.", ("encoding",))
        self._packed_bytes = self._histogram("compressed_bytes", "Size of a compressed body.", ("encoding",), _BYTES)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"keyviz_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...] = _SECONDS
    ) -> Histogram:
        return Histogram(f"keyviz_{name}", text, labels, buckets=buckets, registry=self.registry)

    def watch_in_flight(self, count: Callable[[], int]) -> None:
        """Reads the number of requests under way from `count` whenever somebody looks."""
        self._in_flight.set_function(count)

    def answered(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """A request came to its end."""
        self._requests.labels(route, method if method in _METHODS else OTHER, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def saw(self, answer: Answer) -> None:
        """A cluster's answer came in."""
        for outcome in answer.outcomes:
            self._outcomes.labels("ok" if outcome.kind is None else outcome.kind.value).inc()
            self._latency.labels(self._peer(outcome.address or "self")).observe(outcome.latency_ms / 1000)
            for warning in outcome.warnings:
                self._warnings.labels(warning.code.value).inc()
        rows, columns = answer.matrix.shape
        self._rows.set(rows)
        self._columns.set(columns)
        self._conflicts.set(0 if answer.matrix.conflicts is None else int(answer.matrix.conflicts.sum()))

    def rendered(self, seconds: float, size: int) -> None:
        """A matrix was rendered."""
        self._render_seconds.observe(seconds)
        self._json_bytes.observe(size)

    def packed(self, encoding: str, seconds: float, size: int) -> None:
        """A body was compressed."""
        self._pack_seconds.labels(encoding).observe(seconds)
        self._packed_bytes.labels(encoding).observe(size)

    def _peer(self, address: str) -> str:
        if address not in self._peers and len(self._peers) >= MAX_PEERS:
            return OTHER
        self._peers.add(address)
        return address

    async def expose(self, request: Request) -> Response:
        """The text format of Prometheus."""
        del request
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
