"""Cases that people argued about, each by its name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from keyviz_grpc.merge import fold, merge
from keyviz_grpc.merge.align import effective_steps, grid_step_ms, guess_step_ms, on_grid
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, WarningCode
from keyviz_grpc.query import MatrixQuery
from tests.reference.convert import answer_of
from tests.reference.oracle import Identity, Node

ROUTE = {"route:1": (b"", b"")}


def cell(name: str, shares: dict[Identity, int], stamp: int = 11_000, phase: int = 0) -> Answer:
    """A node with one bucket and one column."""
    return answer_of(Node(name, ROUTE, [stamp], {("route:1", stamp): shares}, phase), Series.WRITES)


def one(*parts: Answer) -> tuple[int, bool]:
    """Value and conflict of the only cell of the merge."""
    answer = merge(list(parts), query=MatrixQuery(), now_unix_ms=11_000)
    assert answer.matrix.shape == (1, 1)
    return int(answer.matrix.values[0, 0]), answer.matrix.conflicts is not None


def test_a_leaders_count_against_followers_zeros_is_no_conflict() -> None:
    """Followers did not see the writes."""
    assert one(cell("a", {(1, 7): 100}), cell("b", {}), cell("c", {})) == (100, False)


def test_the_same_identity_with_different_values_keeps_the_larger() -> None:
    """One of the two is stale."""
    assert one(cell("a", {(1, 7): 90}), cell("b", {(1, 7): 100})) == (100, True)


def test_a_conflict_stays_one_beside_a_third_node_that_was_silent_then() -> None:
    """It has traffic in the other column of the row, so that its cells are looked at too."""
    stamps = [11_000, 12_000]

    def node(name: str, *values: int) -> Answer:
        told = {("route:1", stamp): {(1, 7): value} for stamp, value in zip(stamps, values, strict=True) if value}
        return answer_of(Node(name, ROUTE, stamps, told, 0), Series.WRITES)

    nodes = [node("a", 1, 5), node("b", 2, 5), node("c", 0, 5)]
    for parts in itertools.permutations(nodes):
        matrix = merge(list(parts), query=MatrixQuery(), now_unix_ms=12_000).matrix
        assert matrix.values.tolist() == [[2, 5]]
        assert matrix.conflicts is not None
        assert matrix.conflicts.tolist() == [[True, False]]


def test_the_same_observation_twice_counts_once() -> None:
    """Equal values under one identity are one."""
    assert one(cell("a", {(1, 7): 90}), cell("b", {(1, 7): 90})) == (90, False)


def test_a_flip_inside_a_window_sums() -> None:
    """Each term's leader saw only its own writes."""
    assert one(cell("a", {(1, 7): 60}), cell("b", {(1, 8): 40})) == (100, False)


def test_three_terms_in_one_window_sum() -> None:
    """Also when one node led twice."""
    assert one(cell("a", {(1, 7): 10, (1, 9): 30}), cell("b", {(1, 8): 20})) == (60, False)


def test_an_unknown_identity_falls_back_to_the_maximum_with_a_conflict() -> None:
    """Never an overcount, and even equal values cannot be known to be the same."""
    assert one(cell("a", {(0, 0): 60}), cell("b", {(1, 8): 40})) == (60, True)
    assert one(cell("a", {(0, 0): 60}), cell("b", {(0, 0): 60})) == (60, True)
    assert one(cell("a", {(0, 0): 1}), cell("b", {(1, 8): 1})) == (1, True)


def test_one_node_alone_with_an_unknown_identity_is_no_conflict() -> None:
    """There is nobody to disagree."""
    assert one(cell("a", {(0, 0): 60}), cell("b", {})) == (60, False)


def test_sums_saturate() -> None:
    """They never wrap."""
    assert one(cell("a", {(1, 7): 2**64 - 1}), cell("b", {(1, 8): 5})) == (2**64 - 1, False)


def test_skew_below_a_step_coalesces() -> None:
    """10.95 s on one node and 11.05 s on another are the column of 11 s."""
    answer = merge(
        [cell("a", {(1, 7): 1}, phase=-50), cell("b", {(1, 8): 2}, phase=50)], query=MatrixQuery(), now_unix_ms=11_000
    )
    assert answer.matrix.columns.tolist() == [11_000]
    assert answer.matrix.values.tolist() == [[3]]


@pytest.mark.parametrize("seed", range(20))
def test_jitter_neither_collapses_columns_nor_leaves_holes(seed: int) -> None:
    """1 % of jitter around any phase, and one outlier."""
    rng = np.random.default_rng(seed)
    step = 1000
    phase = int(rng.integers(0, step))
    stamps = 1_000_000 + phase + step * np.arange(50) + rng.integers(-10, 11, 50)
    stamps[25] += 200
    assert np.diff(on_grid(stamps.astype(np.int64), step)).tolist() == [step] * 49


def test_a_step_that_nobody_states_is_guessed_from_distances() -> None:
    """Distances within 1/8 count as one, holes do not matter; too few distances take the grid's."""
    stamps = np.array([0, 1001, 2000, 3002, 6001, 7000], np.int64) + 5000
    assert abs(guess_step_ms(stamps) - 1000) <= 2
    assert effective_steps([0, 1000, 0], [stamps, stamps, stamps[:3]]) == [1000, 1000, 0]
    assert grid_step_ms([60_000, 60_000, 10_000, 7_000], [1, 1, 1, 1]) == 60_000


def test_mixed_steps_are_summed_into_the_coarser_window() -> None:
    """A rolling change of the setting; a step that does not fit is that peer's failure."""
    stamps = [51_000, 52_000, 60_000]
    fine = answer_of(Node("fine", ROUTE, stamps, {("route:1", s): {(1, 7): 1} for s in stamps}), Series.WRITES)
    coarse = [
        answer_of(Node(name, ROUTE, [60_000], {("route:1", 60_000): {}}), Series.WRITES, step_ms=60_000)
        for name in ("a", "b")
    ]
    odd = answer_of(Node("odd", ROUTE, [], {}), Series.WRITES, step_ms=7_000)
    answer = merge([*coarse, fine, odd], query=MatrixQuery(), now_unix_ms=60_000)
    assert (answer.step_ms, answer.matrix.columns.tolist(), answer.matrix.values.tolist()) == (60_000, [60_000], [[3]])
    assert [outcome.kind for outcome in answer.outcomes] == [None, None, None, "incompatible"]


def test_the_first_configured_peers_range_wins_and_the_other_is_told() -> None:
    """A warning on the peer that diverges, with both ranges; it stays ok."""
    first = answer_of(Node("a", {"route:1": (b"", b"m")}, [1000], {("route:1", 1000): {(1, 1): 1}}), Series.WRITES)
    second = answer_of(Node("b", {"route:1": (b"", b"n")}, [1000], {("route:1", 1000): {(1, 2): 1}}), Series.WRITES)
    answer = merge([first, second], query=MatrixQuery(), now_unix_ms=1000)
    assert answer.matrix.catalogue.rows[0].end == b"m"
    assert answer.outcomes[0].warnings == ()
    [warning] = answer.outcomes[1].warnings
    assert warning.code is WarningCode.CATALOG_DIVERGENCE
    assert warning.bucket_id == "route:1"
    assert "0x6d" in warning.detail
    assert "0x6e" in warning.detail
    assert answer.outcomes[1].ok


def test_the_hottest_rows_stay_single() -> None:
    """Cold neighbours fold, never across a hot row, and as many stay single as the budget allows."""
    names = [f"route:{number}" for number in range(1, 8)]
    bounds = [b"", *[bytes([96 + n]) for n in range(1, 7)], b""]
    ranges = {name: (bounds[n], bounds[n + 1]) for n, name in enumerate(names)}
    heat = dict(zip(names, [1, 2, 90, 3, 4, 80, 5], strict=True))
    node = Node("a", ranges, [1000], {(name, 1000): {(1, 1): heat[name]} for name in names})
    folded = fold(merge([answer_of(node, Series.WRITES)], query=MatrixQuery(), now_unix_ms=1000), 5)
    rows = folded.matrix.catalogue.rows
    assert [row.bucket_id for row in rows if not row.aggregate] == ["route:3", "route:6", "route:7"]
    assert [row.route_ids for row in rows if row.aggregate] == [(1, 2), (4, 5)]
    assert folded.matrix.values.tolist() == [[3], [90], [7], [80], [5]]
