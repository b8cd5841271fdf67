"""Spans, with OpenTelemetry and without."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from keyviz_grpc import tracing
from keyviz_grpc.errors import SettingError


def test_without_opentelemetry_spans_are_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block runs, and attributes go nowhere."""
    monkeypatch.setattr(tracing, "trace", None)
    with tracing.span("keyviz.x", a=1) as note:
        note(b=2)


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
