"""Traces with OpenTelemetry, where it is installed (the extra `otel`); elsewhere spans are nothing at all.

A store that has set OpenTelemetry up sees these spans among its own; a command sets it up with `start_tracing`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, TypeAlias

from keyviz_grpc.errors import SettingError
from keyviz_grpc.version import VERSION

trace: Any
_across: Any
try:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    _across = TraceContextTextMapPropagator()
except ImportError:
    trace = _across = None

Metadata: TypeAlias = "Iterable[tuple[str, str | bytes]]"

_SCOPE: Final = "keyviz_grpc"

LOOK_S: Final = 1.0
"""OpenTelemetry reads the environment at every look, which every span of every call would have."""


class _Wanted:
    """Whether anybody set OpenTelemetry up, which nobody can undo; seen after LOOK_S seconds at the latest."""

    def __init__(self) -> None:
        self._found = False
        self._look_at_s = 0.0

    def __call__(self) -> bool:
        now_s = time.monotonic()
        if not self._found and now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_S
            self._found = trace is not None and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        return self._found


is_wanted: Final = _Wanted()
"""A span that goes nowhere still costs thirty microseconds."""


_OFF: Final = contextlib.nullcontext(lambda **_: None)


def span(name: str, **attributes: str | float) -> AbstractContextManager[Callable[..., None]]:
    """A span for the time of the block; what it yields adds attributes that are known only later."""
    return _span(name, attributes) if is_wanted() else _OFF


@contextlib.contextmanager
def _span(name: str, attributes: dict[str, str | float]) -> Iterator[Callable[..., None]]:
    with trace.get_tracer(_SCOPE, VERSION).start_as_current_span(name, attributes=attributes) as current:
        yield lambda **more: current.set_attributes(more)


def past(name: str, began_s: float, ended_s: float, **attributes: str | float) -> None:
    """A span that is over, between these moments of `time.perf_counter`; only where spans are wanted."""
    zero_ns = time.time_ns() - time.perf_counter_ns()
    began_ns, ended_ns = zero_ns + round(began_s * 1e9), zero_ns + round(ended_s * 1e9)
    tracer = trace.get_tracer(_SCOPE, VERSION)
    tracer.start_span(name, attributes=attributes, start_time=began_ns).end(ended_ns)


def outgoing() -> tuple[tuple[str, str], ...]:
    """Metadata that makes the called server's spans part of the current trace; nothing where there is none."""
    if not is_wanted() or trace.get_current_span() is trace.INVALID_SPAN:
        return ()
    carrier: dict[str, str] = {}
    _across.inject(carrier)
    return tuple(carrier.items())


@contextlib.contextmanager
def served(method: str, metadata: Metadata) -> Iterator[None]:
    """A span for the time in which a call is served, under the caller's span if its metadata names one.

    Only where spans are wanted.
    """
    carrier = {key: value for key, value in metadata if key in _across.fields and isinstance(value, str)}
    kind = trace.SpanKind.SERVER
    tracer = trace.get_tracer(_SCOPE, VERSION)
    with tracer.start_as_current_span(
        "keyviz.serve", context=_across.extract(carrier), kind=kind, attributes={"method": method}
    ):
        yield


def start_tracing(endpoint: str, *, service: str) -> Callable[[], None]:
    """Sends this process's spans to an OTLP collector, `http://HOST:4317`; what it returns sends the rest and ends.

    Raises SettingError where the extra `otel` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise SettingError("traces need OpenTelemetry: pip install 'keyviz-grpc[otel]'") from error
    provider = TracerProvider(resource=Resource.create({"service.name": service, "service.version": VERSION}))
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"), timeout=2)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider.shutdown
