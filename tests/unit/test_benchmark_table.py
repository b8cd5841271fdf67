"""What the table of `make bench` says of targets."""

from __future__ import annotations

import pytest

from benchmarks.measure import Result, as_table


@pytest.mark.parametrize(
    ("ours", "ratio", "target", "missed"),
    [
        (3.0, 1.8, "<= 1.8", False),
        (3.0, 1.81, "<= 1.8", True),
        (3.0, None, "<= 2", True),
        (31.0, 1.5, "<= 30 ns", True),
        (29.0, 31.0, "<= 30 ns", False),
        (31.0, 99.0, "", False),
    ],
)
def test_a_limit_without_a_unit_is_one_of_the_ratio_and_one_with_a_unit_of_ours(
    ours: float, ratio: float | None, target: str, missed: bool
) -> None:
    """As `Result` says."""
    assert Result("a case", "p50 ms", ours, 2.0, ratio, target).missed is missed


def test_the_table_ends_with_what_is_over_its_target() -> None:
    """Counted, and named with figure and limit; a row beside a case counts like its first one."""
    rows = [
        Result("one", "p50 ms", 3.0, 2.0, 1.5, "<= 1.8"),
        Result("one", "peak MB", 160.0, None, None, "<= 150"),
        Result("two", "p50 ms", 3.0, 2.0, 1.5, ""),
    ]
    assert as_table(rows).endswith(
        "1 of 2 figures with a target are within it, over it:\n\n- one: peak MB, 160 for <= 150"
    )
    assert as_table(rows[:1]).endswith("1 of 1 figures with a target are within it.")
