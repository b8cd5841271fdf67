"""Summaries added up in bounded memory: whatever had to go, every bound holds the truth, and the error stays small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from keyviz_grpc.hotkeys import sums
from keyviz_grpc.hotkeys.summary import Summary
from keyviz_grpc.hotkeys.sums import Sum

keys = st.one_of(st.integers(0, 9).map(lambda n: b"%d" % n), st.binary(max_size=4))


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[Summary], list[Counter[bytes]]]:
    """What each window says, and what is true of it: each key up to the error more than its lower bound."""
    told, truth = [], []
    for counts in draw(st.lists(st.dictionaries(keys, st.integers(1, 30), max_size=40), max_size=12)):
        error, missed = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        true = Counter(counts)
        for key in draw(st.lists(keys, max_size=4, unique=True)):
            true[key] += draw(st.integers(0, error + missed))
        taken = max(0, true.total() - missed)
        told.append(Summary.of(counts, error=error, taken=taken, missed=missed))
        truth.append(true)
    return told, truth


def check_sound(total: Sum, truth: Counter[bytes]) -> dict[bytes, tuple[int, int]]:
    """Every key is within its bounds, one that is not there within the error."""
    found = {key: (lower, upper) for key, lower, upper in total.bounds()}
    for key, times in truth.items():
        lower, upper = found.get(key, (0, total.error))
        assert lower <= times <= upper, key
        assert upper <= lower + total.error
    return found


@settings(max_examples=300)
@given(windows(), st.integers(2, 12), st.integers(4, 40), st.booleans())
def test_whatever_is_cut_off_is_in_the_bounds(
    made: tuple[list[Summary], list[Counter[bytes]]], most: int, most_bytes: int, folded: bool
) -> None:
    """Of many keys and of long ones, in one piece or many; folded: through summaries, as a window that opens again."""
    told, truths = made
    with patch.multiple(sums, MOST_KEYS=most, MOST_BYTES=most_bytes, _CHUNK=3):
        total, truth = Sum(), Counter[bytes]()
        for summary, true in zip(told, truths, strict=True):
            total.add(summary)
            truth.update(true)
            found = check_sound(total, truth)
            assert len(found) <= most
            assert sum(map(len, found)) <= most_bytes
            if folded:
                again = total.summary()
                assert all(lower > 0 for _, lower in again.items())
                assert (again.taken, again.missed, again.skipped) == (total.taken, total.missed, total.skipped)
                total = Sum.of([again])
                check_sound(total, truth)


def streams_of(counts: Sequence[dict[bytes, int]]) -> list[Summary]:
    """Windows of which all is known."""
    return [Summary.of(part, error=0, taken=sum(part.values())) for part in counts]


@settings(max_examples=300)
@given(
    st.lists(st.dictionaries(st.binary(min_size=1, max_size=2), st.integers(1, 30), max_size=30), max_size=20),
    st.integers(1, 6),
    st.booleans(),
)
def test_the_error_is_at_most_the_operations_by_the_number_of_keys_that_stay(
    counts: list[dict[bytes, int]], staying: int, folded: bool
) -> None:
    """However often keys are cut off, and through summaries as well."""
    with patch.multiple(sums, MOST_KEYS=2 * staying, _CHUNK=2):
        total = Sum()
        for summary in streams_of(counts):
            total.add(summary)
            assert total.error * (staying + 1) <= total.taken
            total = Sum.of([total.summary()]) if folded else total


@given(st.lists(st.dictionaries(st.binary(max_size=2), st.integers(1, 9), max_size=40), max_size=12))
def test_a_key_that_is_never_cut_off_has_the_bounds_that_it_would_have_if_none_were(
    counts: list[dict[bytes, int]],
) -> None:
    """The hottest keys of a long range are known as well as those of a short one."""
    hot = {b"hot key": 1000, b"second": 500}
    with patch.multiple(sums, MOST_KEYS=8):
        total = Sum.of(streams_of([hot, *counts, hot]))
    found = {key: (lower, upper) for key, lower, upper in total.bounds()}
    assert (found[b"hot key"], found[b"second"]) == ((2000, 2000), (1000, 1000))


@given(
    st.lists(st.dictionaries(st.binary(max_size=2), st.integers(1, 9), max_size=40), max_size=8),
    st.tuples(st.binary(max_size=2), st.binary(max_size=2)),
)
def test_only_keys_of_a_range_are_held_and_no_other_widens_its_error(
    counts: list[dict[bytes, int]], within: tuple[bytes, bytes]
) -> None:
    """An empty end is unbounded; where so few keys are of the range that none is cut off, all are exact."""
    start, end = within
    inside = Counter[bytes]()
    for part in counts:
        inside.update({key: times for key, times in part.items() if start <= key and (not end or key < end)})
    total = Sum(within)
    with patch.multiple(sums, MOST_KEYS=max(1, len(inside))):
        for summary in streams_of(counts):
            total.add(summary)
    assert {key: (lower, upper) for key, lower, upper in total.bounds()} == {k: (n, n) for k, n in inside.items()}
    assert total.error == 0
