"""The benchmark that takes a request apart: every phase is found under the name that it has today."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import phases
from benchmarks.phases import PHASES, cpu_ms, exponents, without
from benchmarks.request import Case
from benchmarks.synthetic import Shape

SMALL = Case(Shape(2, 60, 12), 1.0, samples=3)


def test_every_phase_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes something of the process's CPU, and all together not more than it."""
    monkeypatch.setattr(phases, "REQUESTS", 5)
    monkeypatch.setattr(phases, "LONG_WARM_UP", 1)
    *told, process = cpu_ms(SMALL)
    assert len(told) == len(PHASES)
    assert all(ms > 0 for ms in told)
    assert sum(told) < process


def test_every_phase_can_be_left_out() -> None:
    """Requests go on, whatever is done once alone."""
    ratios = without(SMALL)
    assert len(ratios) == len(phases.LEFT_OUT)
    assert all(ratio > 0 for ratio in ratios)


def test_exponents() -> None:
    """Of what grows in proportion, and of what takes nothing."""
    cases = [(replace(SMALL, shape=Shape(nodes, 60, 12)), [nodes * 2.0, 0.0, 9.0]) for nodes in (2, 4, 8)]
    whole, one, none = exponents(cases, lambda shape: shape.nodes)
    assert whole == pytest.approx(1.0)
    assert one == pytest.approx(1.0)
    assert none != none  # noqa: PLR0124 (nan)
