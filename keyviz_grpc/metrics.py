"""What Prometheus sees of a gRPC server and of the sampler behind it. Every label has a small, fixed set of values."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Protocol, runtime_checkable

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from keyviz_grpc.hotkeys.stats import HotKeysStats
from keyviz_grpc.labelled import Labelled
from keyviz_grpc.rpc_types import Context, Handler
from keyviz_grpc.sampler.stats import SamplerStats

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)
BYTES: Final = tuple(4.0**power for power in range(4, 14))
COUNTS: Final = (1, 10, 60, 100, 250, 500, 1000, 1500, 2500, 5000, 10_000)
OTHER: Final = "other"
_BY_NUMBER: Final = {int(code.value[0]): code for code in grpc.StatusCode}


@runtime_checkable
class Measured(Protocol):
    """A source that tells how it is doing; the sampler does."""

    def stats(self) -> SamplerStats:
        """Thread-safe and quick."""
        ...


class ServerMetrics:
    """The metrics of one gRPC server, in a registry that its process or its store shows.

    methods: full names, `package.Service/Method`; calls of any other count as `other`. Raises ValueError when another
    server has its metrics in this registry.
    """

    def __init__(self, registry: CollectorRegistry, methods: frozenset[str]) -> None:
        self._registry, self._methods = registry, methods
        requests = Counter("keyviz_grpc_requests", "gRPC calls answered.", ("method", "code"), registry=registry)
        seconds = Histogram(
            "keyviz_grpc_request_seconds", "Time a call took.", ("method",), buckets=SECONDS, registry=registry
        )
        self._in_flight = Gauge("keyviz_grpc_in_flight", "gRPC calls under way.", registry=registry)
        sizes = Histogram("keyviz_grpc_answer_bytes", "Size of answers.", ("method",), buckets=BYTES, registry=registry)
        self._rows = Histogram("keyviz_grpc_matrix_rows", "Rows of matrices sent.", buckets=COUNTS, registry=registry)
        self._columns = Histogram(
            "keyviz_grpc_matrix_columns", "Columns of matrices sent.", buckets=COUNTS, registry=registry
        )
        self._encode = Histogram(
            "keyviz_grpc_encode_seconds", "Time to make the message of a matrix.", buckets=SECONDS, registry=registry
        )
        self._own: list[Collector] = [
            requests, seconds, self._in_flight, sizes, self._rows, self._columns, self._encode
        ]  # fmt: skip
        self._requests, self._seconds, self._bytes = Labelled(requests), Labelled(seconds), Labelled(sizes)

    def watch(self, source: object) -> None:
        """Shows the sampler behind the server too; None = it is off. One that tells nothing is just on."""
        collector = SamplerCollector(source)
        self._registry.register(collector)
        self._own.append(collector)

    def forget(self) -> None:
        """Takes everything out of the registry again, so that the next server can use it."""
        while self._own:
            self._registry.unregister(self._own.pop())

    def encoded(self, shape: tuple[int, int], seconds: float) -> None:
        """A matrix of (rows, columns) became a message."""
        self._rows.observe(shape[0])
        self._columns.observe(shape[1])
        self._encode.observe(seconds)

    def known(self, method: str) -> str:
        """The label of a method by its path, `/package.Service/Method`."""
        name = method.removeprefix("/")
        return name if name in self._methods else OTHER

    def counted(self, method: str, inner: Any) -> Callable[[Any, Context], Awaitable[Any]]:
        """A handler's function that also takes down how its calls ended."""

        async def run(request: Any, context: Context) -> Any:
            began = time.perf_counter()
            self._in_flight.inc()
            code = grpc.StatusCode.UNKNOWN
            try:
                reply = await inner(request, context)
                code = _code_of(context) or grpc.StatusCode.OK
            except BaseException:
                code = _code_of(context) or grpc.StatusCode.CANCELLED
                raise
            else:
                return reply
            finally:
                self._in_flight.dec()
                self._requests.of(method, code.name).inc()
                self._seconds.of(method).observe(time.perf_counter() - began)

        return run

    def unknown(self) -> None:
        """Somebody asked for a method that is not there."""
        self._requests.of(OTHER, grpc.StatusCode.UNIMPLEMENTED.name).inc()

    def sized(self, method: str, serialize: Callable[[Any], bytes] | None) -> Callable[[Any], bytes]:
        """A serializer that also takes down how much it made."""

        def run(message: Any) -> bytes:
            raw = serialize(message) if serialize is not None else bytes(message)
            self._bytes.of(method).observe(len(raw))
            return raw

        return run


class Meter:
    """Counts calls with one answer; stands before everything else, so that refused calls count too."""

    def __init__(self, metrics: ServerMetrics) -> None:
        self._metrics = metrics

    def around(self, handler: Handler, method: str) -> Handler:
        """See Layer."""
        if handler.response_streaming:
            return handler
        inner: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary
        label = self._metrics.known(method)
        kind = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return kind(
            self._metrics.counted(label, inner),
            request_deserializer=handler.request_deserializer,
            response_serializer=self._metrics.sized(label, handler.response_serializer),
        )

    def unknown(self) -> None:
        """Somebody asked for a method that is not there."""
        self._metrics.unknown()


class SamplerCollector(Collector):
    """Asks a sampler how it is doing whenever somebody looks."""

    def __init__(self, source: object) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        on = self._source is not None
        yield GaugeMetricFamily("keyviz_sampler_on", "1 while the node counts, 0 when its sampler is off.", float(on))
        if isinstance(self._source, Measured):
            yield from _families(self._source.stats())


def _families(stats: SamplerStats) -> Iterator[Metric]:
    observed = CounterMetricFamily("keyviz_sampler_observed", "Operations folded into counters.", labels=["op"])
    observed.add_metric(["read"], stats.reads)
    observed.add_metric(["write"], stats.writes)
    yield observed
    yield CounterMetricFamily("keyviz_sampler_drains", "Times that operations were folded.", stats.drains)
    yield CounterMetricFamily("keyviz_sampler_windows_closed", "Windows closed.", stats.windows_closed)
    for name, text, value in (
        ("windows_open", "Windows that still take operations in.", stats.windows_open),
        ("columns", "Closed windows held in the ring.", stats.columns),
        ("columns_limit", "How many closed windows the ring may hold.", stats.columns_limit),
        ("routes", "Routes registered.", stats.routes),
        ("buckets", "Rows counted apart, labels and aggregates included.", stats.buckets),
        ("oldest_column_seconds", "Stamp of the oldest column held, unix seconds.", stats.oldest_unix_ms / 1000),
        ("newest_column_seconds", "Stamp of the newest column held, unix seconds.", stats.newest_unix_ms / 1000),
    ):
        yield GaugeMetricFamily(f"keyviz_sampler_{name}", text, value)
    hot = stats.hot_keys
    yield GaugeMetricFamily(
        "keyviz_hot_keys_on", "1 while hot keys are recorded, 0 when they are off.", float(bool(hot))
    )
    if hot is not None:
        yield from _hot_key_families(hot)


def _hot_key_families(stats: HotKeysStats) -> Iterator[Metric]:
    text = "Sampled operations by what became of their key: into a sketch, or why not."
    operations = CounterMetricFamily("keyviz_hot_keys_operations", text, labels=["outcome"])
    for outcome in ("taken", "dropped", "skipped", "no_memory"):
        operations.add_metric([outcome], getattr(stats, outcome))
    yield operations
    yield CounterMetricFamily(
        "keyviz_hot_keys_sketches_evicted",
        "Sketches whose memory a hotter route or a nearer window got.",
        stats.evicted,
    )
    for name, text, open_, closed in (
        ("bytes", "Memory of open windows' sketches, and of closed windows.", stats.open_bytes, stats.closed_bytes),
        ("bytes_limit", "How much of it may be taken.", stats.half_bytes, stats.half_bytes),
    ):
        family = GaugeMetricFamily(f"keyviz_hot_keys_{name}", text, labels=["windows"])
        family.add_metric(["open"], open_)
        family.add_metric(["closed"], closed)
        yield family
    for name, text, value in (
        ("sketches", "Sketches of open windows, one a route, label and direction.", stats.sketches),
        ("without_sketch", "Those of open windows that have none, for want of memory.", stats.buckets - stats.sketches),
        ("pending", "Sampled operations that wait to be taken in; 256 bytes of a key count as one.", stats.pending),
        ("pending_limit", "How many may wait before further ones are dropped.", stats.pending_limit),
        ("windows", "Closed windows held with their hot keys.", stats.windows),
        ("windows_limit", "How many closed windows may be held.", stats.windows_limit),
    ):
        yield GaugeMetricFamily(f"keyviz_hot_keys_{name}", text, value)


def _code_of(context: Context) -> grpc.StatusCode | None:
    """The status that a handler set or aborted with; None while there is none."""
    stated: Any = context.code()
    if isinstance(stated, int):  # as set by gRPC itself
        return _BY_NUMBER.get(stated) if stated else None
    return stated if isinstance(stated, grpc.StatusCode) else None
