"""Traces with OpenTelemetry, where it is installed (the extra `otel`); elsewhere spans are nothing at all.

A store that has set OpenTelemetry up sees these spans among its own; a command sets it up with `start_tracing`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from keyviz_grpc.errors import SettingError
from keyviz_grpc.version import VERSION

trace: Any
try:
    from opentelemetry import trace
except ImportError:
    trace = None

_SCOPE: Final = "keyviz_grpc"


@contextlib.contextmanager
def span(name: str, **attributes: str | float) -> Iterator[Callable[..., None]]:
    """A span for the time of the block; what it yields adds attributes that are known only later."""
    if trace is None:
        yield lambda **_: None
        return
    with trace.get_tracer(_SCOPE, VERSION).start_as_current_span(name, attributes=attributes) as current:
        yield lambda **more: current.set_attributes(more)


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
