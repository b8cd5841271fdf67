"""The benchmark of whole requests: what several launches came to is told together."""

from __future__ import annotations

from statistics import median

import pytest

from benchmarks import request
from benchmarks.measure import Result
from benchmarks.request import Case, run_case
from benchmarks.synthetic import Shape

SMALL = Case(Shape(2, 60, 12), 1.0, samples=10, launches=2)


@pytest.mark.parametrize("least", [False, True])
def test_launches_are_told_together(*, least: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their samples as one lot, of which one launch has too few, and the highest of their peaks."""
    launched, told = request._launched, list[request._Told]()

    def noted(case: Case, *, least: bool) -> tuple[request._Told, list[Result]]:
        own, sizes = launched(case, least=least)
        told.append(own)
        return own, sizes

    monkeypatch.setattr(request, "_launched", noted)
    rows = {row.metric: row for row in run_case(SMALL, least=least)}
    assert len(told) == SMALL.launches
    assert rows["p50 ms"].ours == median([*told[0].ours, *told[1].ours])
    assert rows["p50 ms"].floor == median([*told[0].base, *told[1].base])
    assert rows["peak MB"].ours == max(each.peak_mb[0] for each in told)
    assert ("p50 ms of a gateway without work" in rows) == least
    assert all(row.ours > 0 for row in rows.values())
