"""Spans, with OpenTelemetry and without."""

from __future__ import annotations

import builtins
import time
from typing import Any

import pytest

from keyviz_grpc import tracing
from keyviz_grpc.errors import SettingError


def test_without_opentelemetry_spans_are_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block runs, and attributes go nowhere."""
    monkeypatch.setattr(tracing, "trace", None)
    with tracing.span("keyviz.x", a=1) as note:
        note(b=2)


def test_a_span_that_is_over_has_its_own_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """In unix nanoseconds, of moments of another clock."""
    told: list[object] = []

    class Trace:
        """OpenTelemetry and its tracer and span, as far as they are asked."""

        def get_tracer(self, scope: str, version: str) -> Trace:
            del scope, version
            return self

        def start_span(self, name: str, *, attributes: dict[str, object], start_time: int) -> Trace:
            told.extend([name, attributes, start_time])
            return self

        def end(self, end_time: int) -> None:
            told.append(end_time)

    monkeypatch.setattr(tracing, "trace", Trace())
    monkeypatch.setattr(time, "time_ns", lambda: 5_000_000_000)
    monkeypatch.setattr(time, "perf_counter_ns", lambda: 2_000_000_000)
    tracing.past("keyviz.x", 1.25, 1.5, a=1)
    assert told == ["keyviz.x", {"a": 1}, 4_250_000_000, 4_500_000_000]


def test_while_nobody_wants_spans_none_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace may be under way all the same, in a store that goes on with one that came to it."""
    pytest.importorskip("opentelemetry")
    context = tracing.trace.SpanContext(1, 2, is_remote=True)
    with tracing.trace.use_span(tracing.trace.NonRecordingSpan(context)):
        for is_wanted in (False, True):
            monkeypatch.setattr(tracing, "is_wanted", lambda told=is_wanted: told)
            assert bool(tracing.outgoing()) is is_wanted


def test_without_the_extra_tracing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of an import error."""
    inner = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return inner(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SettingError, match=r"keyviz-grpc\[otel\]"):
        tracing.start_tracing("http://127.0.0.1:1", service="x")


def test_whether_spans_are_wanted_is_seen_once_a_second_and_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at OpenTelemetry is dear, and nobody can take a provider away again."""

    class Nobody:
        """What stands for a provider before there is one."""

    class Trace:
        """OpenTelemetry, as far as it is asked."""

        ProxyTracerProvider = Nobody

        def __init__(self) -> None:
            self.provider: object = Nobody()
            self.looks = 0

        def get_tracer_provider(self) -> object:
            """The one that was set."""
            self.looks += 1
            return self.provider

    trace, now_s = Trace(), 50.0
    monkeypatch.setattr(tracing, "trace", trace)
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    wanted = tracing._Wanted()
    assert [wanted() for _ in range(9)] == [False] * 9
    trace.provider = object()
    now_s += tracing.LOOK_S
    assert [wanted() for _ in range(9)] == [True] * 9
    assert trace.looks == 2
    now_s += tracing.LOOK_S
    assert (wanted(), trace.looks) == (True, 2)
