"""What Prometheus sees of the gateway. Every label has a small, bounded set of values."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from keyviz_grpc.cli.exposing import process_registry
from keyviz_grpc.hotkeys import HotKeysAnswer
from keyviz_grpc.labelled import Labelled
from keyviz_grpc.metrics import BYTES, OTHER, SECONDS
from keyviz_grpc.outcome import Answer, Outcome

MAX_PEERS: Final = 256
FORGET_S: Final = 600.0
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """One registry for one gateway; nothing here is shared by the process. An `Observer` of its aggregator."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = process_registry() if registry is None else registry
        self._requests = self._counter("http_requests", "Requests answered.", ("route", "method", "status"))
        self._seconds = self._histograms("http_request_seconds", "Time to the last byte handed over.", ("route",))
        self._in_flight = self._gauge("http_in_flight", "Requests to the API under way.")
        self._outcomes = self._counter("peer_outcomes", "What peers contributed: ok or a failure kind.", ("kind",))
        self._latency = self._histograms("peer_latency_seconds", "How long a peer took to answer or fail.", ("peer",))
        self._received = self._histograms("peer_answer_bytes", "Size of one answer of a peer.", ("peer",), BYTES)
        self._hot_outcomes = self._counter(
            "hot_keys_peer_outcomes", "What peers contributed to hot keys: ok or a failure kind.", ("kind",)
        )
        self._hot_latency = self._histograms(
            "hot_keys_peer_latency_seconds", "How long a peer took to answer for hot keys or fail.", ("peer",)
        )
        self._peers = _Peers((self._latency, self._received, self._hot_latency))
        self._warnings = self._counter("peer_warnings", "Warnings about peers' answers.", ("code",))
        self._merge_seconds = self._histogram("merge_seconds", "Time to merge the answers and fold them.", ())
        self._remembered = self._gauge("remembered_bytes", "Memory that closed columns take, of --remember at most.")
        self._fan_outs = self._gauge("fan_outs_in_flight", "Different questions that are with the peers.")
        self._coalesced = self._counter(
            "coalesced_requests", "Requests that waited for an identical one: its fan-out or its body.", ("stage",)
        )
        self._rows = self._gauge("matrix_rows", "Rows of the latest matrix.")
        self._columns = self._gauge("matrix_columns", "Columns of the latest matrix.")
        self._conflicts = self._gauge("matrix_conflicts", "Cells in conflict in the latest matrix.")
        self._responded = self._gauge("matrix_nodes_responded", "Nodes that contributed to the latest matrix.")
        self._expected = self._gauge("matrix_nodes_expected", "Nodes that should have contributed to it.")
        self._render_seconds = self._histogram("render_seconds", "Time to render a matrix as JSON.", ())
        self._json_bytes = self._histogram("json_bytes", "Size of a rendered matrix.", (), BYTES)
        self._pack_seconds = self._histograms("compress_seconds", "Time to compress a body.", ("encoding",))
        self._packed_bytes = self._histograms("compressed_bytes", "Size of a compressed body.", ("encoding",), BYTES)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Labelled[Counter]:
        return Labelled(Counter(f"keyviz_{name}", text, labels, registry=self.registry))

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"keyviz_{name}", text, registry=self.registry)

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        return Histogram(f"keyviz_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _histograms(
        self, name: str, text: str, labels: tuple[str, ...], buckets: Sequence[float] = SECONDS
    ) -> Labelled[Histogram]:
        return Labelled(self._histogram(name, text, labels, buckets))

    def watch_in_flight(self, count: Callable[[], int]) -> None:
        """Reads the number of requests under way from `count` whenever somebody looks."""
        self._in_flight.set_function(count)

    def watch_fan_outs(self, count: Callable[[], int]) -> None:
        """Reads the number of fan-outs under way from `count` whenever somebody looks."""
        self._fan_outs.set_function(count)

    def watch_remembered(self, used_bytes: Callable[[], int]) -> None:
        """Reads what is remembered of closed columns from `used_bytes` whenever somebody looks."""
        self._remembered.set_function(used_bytes)

    def answered(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """A request came to its end."""
        self._requests.of(route, method if method in _METHODS else OTHER, str(status)).inc()
        self._seconds.of(route).observe(seconds)

    def received(self, peer: str, size_bytes: int) -> None:
        """One answer of a peer came in over the wire."""
        self._received.of(self._peers.label(peer)).observe(size_bytes)

    def asked(self, peer: str, result: Answer | Outcome, seconds: float) -> None:
        """See Observer. Of a peer that is an aggregator itself, every leaf's outcome counts."""
        self._told_by(peer, result, seconds, self._latency, self._outcomes)

    def asked_for_hot_keys(self, peer: str, result: HotKeysAnswer | Outcome, seconds: float) -> None:
        """See Observer. Apart from matrices, for a node may well answer those and have hot keys off."""
        self._told_by(peer, result, seconds, self._hot_latency, self._hot_outcomes)

    def _told_by(
        self,
        peer: str,
        result: Answer | HotKeysAnswer | Outcome,
        seconds: float,
        latency: Labelled[Histogram],
        outcomes: Labelled[Counter],
    ) -> None:
        latency.of(self._peers.label(peer)).observe(seconds)
        for outcome in (result,) if isinstance(result, Outcome) else result.outcomes:
            outcomes.of("ok" if outcome.kind is None else outcome.kind.value).inc()

    def merged(self, answer: Answer, seconds: float) -> None:
        """See Observer."""
        self._merge_seconds.observe(seconds)
        for outcome in answer.outcomes:
            for warning in outcome.warnings:
                self._warnings.of(warning.code.value).inc()
        rows, columns = answer.matrix.shape
        self._rows.set(rows)
        self._columns.set(columns)
        marks = answer.matrix.conflicts
        self._conflicts.set(0 if marks is None else int(np.count_nonzero(marks)))
        self._responded.set(answer.responded)
        self._expected.set(len(answer.outcomes))

    def joined(self) -> None:
        """See Observer."""
        self._coalesced.of("fan_out").inc()

    def joined_body(self) -> None:
        """A request waits for the body that an identical one is having made."""
        self._coalesced.of("body").inc()

    def rendered(self, seconds: float, size: int) -> None:
        """A matrix was rendered."""
        self._render_seconds.observe(seconds)
        self._json_bytes.observe(size)

    def packed(self, encoding: str, seconds: float, size: int) -> None:
        """A body was compressed."""
        self._pack_seconds.of(encoding).observe(seconds)
        self._packed_bytes.of(encoding).observe(size)


class _Peers:
    """The peers that have series of their own, at most MAX_PEERS.

    When there are more, a new one takes the place of one that is unheard of for FORGET_S seconds, if there is one.
    """

    def __init__(self, families: Sequence[Labelled[Histogram]], clock: Callable[[], float] = time.monotonic) -> None:
        self._families, self._clock = families, clock
        self._heard: OrderedDict[str, float] = OrderedDict()

    def label(self, address: str) -> str:
        """The peer's own label, or `other` where there is no room."""
        now = self._clock()
        if address not in self._heard and len(self._heard) >= MAX_PEERS:
            oldest, heard = next(iter(self._heard.items()))
            if now - heard < FORGET_S:
                return OTHER
            del self._heard[oldest]
            for family in self._families:
                family.forget(oldest)
        self._heard[address] = now
        self._heard.move_to_end(address)
        return address
