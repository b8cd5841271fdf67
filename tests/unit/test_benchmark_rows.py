"""Which rows `make bench` measures of the hot path, and that the page of results has them."""

from __future__ import annotations

from pathlib import Path

import pytest

import benchmarks.node
from benchmarks.node import _observe

PERFORMANCE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
ROWS = [
    f"observe, 1 thread(s), K = {slices}{hot_keys}"
    for slices in (1, 16)
    for hot_keys in ("", ", hot keys on", ", hot keys 1 in 16")
]


def test_observe_is_measured_with_hot_keys_off_on_and_sampled_whole_and_in_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each against the empty call, in the bench and in docs/performance.md."""
    monkeypatch.setattr(benchmarks.node, "CALLS", 20)
    measured = {row.case: row for row in _observe(20, quick=True)}
    page = PERFORMANCE.read_text(encoding="utf-8")
    for case in ROWS:
        row = measured[case]
        assert row.ratio is not None
        assert "empty call" in row.metric
        assert f"| {case} |" in page
