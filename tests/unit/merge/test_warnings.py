"""What the merge says besides numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keyviz_grpc.merge import fold, merge
from keyviz_grpc.merge.warnings import in_order, of_leaf, short_history, with_warnings
from keyviz_grpc.model import Row, Series, Window
from keyviz_grpc.outcome import Answer, Outcome, PeerWarning, WarningCode
from keyviz_grpc.query import MatrixQuery
from tests.reference.ages import as_old
from tests.reference.convert import answer_of
from tests.reference.oracle import Node

STAMPS = [10_000, 11_000, 12_000, 13_000]
ROUTE = {"route:1": (b"", b"")}


def node(name: str = "n1", stamps: list[int] = STAMPS) -> Answer:
    """One route that is written once a window."""
    return answer_of(Node(name, ROUTE, stamps, {("route:1", s): {(1, 1): 1} for s in stamps}), Series.WRITES)


def codes(answer: Answer, leaf: int = 0) -> list[WarningCode]:
    """The codes of one leaf's warnings."""
    return [warning.code for warning in answer.outcomes[leaf].warnings]


def merged(*parts: Answer, now: int = 13_200, window: Window | None = None) -> Answer:
    """Around the last column."""
    return merge(list(parts), query=MatrixQuery(Series.WRITES, window or Window()), now_unix_ms=now)


def at(answer: Answer, generated: int, oldest: int = 0) -> Answer:
    """The answer as it was made at that moment."""
    outcome = replace(answer.outcomes[0], generated_at_unix_ms=generated, oldest_unix_ms=oldest)
    return replace(answer, outcomes=(outcome,), generated_at_unix_ms=generated, oldest_unix_ms=oldest)


@pytest.mark.parametrize(
    ("generated", "skewed"),
    [(13_200, False), (13_700, False), (13_701, True), (12_700, False), (12_699, True), (17_000_000, True)],
)
def test_a_clock_off_by_more_than_half_a_step_is_told(generated: int, skewed: bool) -> None:
    """Ahead or behind; exactly half a step is not more."""
    assert (WarningCode.CLOCK_SKEW in codes(merged(at(node(), generated)))) == skewed


@pytest.mark.parametrize(
    ("generated", "said"),
    [
        (10_000, []),
        (15_000, []),
        (9_500, []),
        (9_499, ["its clock is 501 ms behind the aggregator's, step 1000 ms"]),
        (15_500, []),
        (15_501, ["its clock is 501 ms ahead of the aggregator's, step 1000 ms"]),
    ],
)
def test_a_clock_is_judged_by_when_its_node_was_asked_and_answered(generated: int, said: list[str]) -> None:
    """Not by when everybody else had answered: between the two moments it cannot be known to be off."""
    answer = replace(at(node(), generated), asked_unix_ms=10_000, received_unix_ms=15_000)
    told = merged(answer, now=99_000).outcomes[0].warnings
    assert [warning.detail for warning in told if warning.code is WarningCode.CLOCK_SKEW] == said


def test_an_unmerged_answer_carries_what_the_aggregator_next_to_the_leaf_said_of_its_clock() -> None:
    """Whoever gets it later says nothing more: the moment is stale by then."""
    asked = MatrixQuery(Series.WRITES, unmerged=True)
    for generated, skewed in ((13_200, False), (17_000, True)):
        below = merge([at(node(), generated)], query=asked, now_unix_ms=13_200)
        above = merge([below], query=MatrixQuery(Series.WRITES), now_unix_ms=99_000)
        assert (WarningCode.CLOCK_SKEW in codes(below)) == (WarningCode.CLOCK_SKEW in codes(above)) == skewed


def test_stamps_of_the_future_tell_skew_even_of_older_nodes() -> None:
    """They do not say when they answered."""
    old = as_old(node(), "old", {})
    assert codes(merged(old, now=13_200)) == []
    assert codes(merged(old, now=12_000)) == [WarningCode.CLOCK_SKEW]


def test_history_that_is_too_short_is_told() -> None:
    """Only where older columns were asked for than the node holds."""
    short, long = at(node("a", STAMPS[2:]), 13_200, 12_000), at(node("b"), 13_200, 10_000)
    answer = merged(short, long, window=Window(10_000, 0))
    assert [codes(answer, leaf) for leaf in (0, 1)] == [[WarningCode.SHORT_HISTORY], []]
    assert "12000" in answer.outcomes[0].warnings[0].detail
    assert codes(merged(short, long, window=Window(12_000, 0))) == []
    assert codes(merged(short, long)) == []


def test_an_old_nodes_row_cap_is_told() -> None:
    """1024 rows of a node that clamps to 1024 may be folded."""
    keys = [b"", *[b"%04d" % number for number in range(1, 1025)], b""]

    def rows(count: int) -> Answer:
        ranges = {f"route:{n}": (keys[n], keys[n + 1] if n < count - 1 else b"") for n in range(count)}
        return as_old(answer_of(Node("n", ranges, STAMPS, {}), Series.WRITES), "old", {})

    assert codes(merged(rows(1024))) == [WarningCode.ROW_BUDGET_ON_PEER]
    assert codes(merged(rows(1023))) == []


def test_two_lives_of_one_id_both_count_and_are_told() -> None:
    """A copied configuration; dropping one would lose its counts."""
    first, second = node("twin"), node("twin")
    second = replace(second, incarnation=2, outcomes=(replace(second.outcomes[0], incarnation=2, address="b:1"),))
    answer = merged(first, second)
    assert WarningCode.DUPLICATE_NODE_ID in codes(answer, 1)
    assert answer.outcomes[1].ok


def test_a_duplicate_counts_once_for_writes_too() -> None:
    """Whether it says its name or not."""
    twice = replace(node(), outcomes=(replace(node().outcomes[0], address="alias"),))
    assert merged(node(), twice).matrix.values.tolist() == [[1, 1, 1, 1]]
    at_close = {("route:1", s): (1, 1) for s in STAMPS}
    nameless = merged(as_old(node(), "a", at_close), as_old(node(), "b", at_close))
    assert nameless.matrix.values.tolist() == [[1, 1, 1, 1]]
    assert nameless.matrix.conflicts is None


def test_one_column_holes_and_different_spans() -> None:
    """The sum of a peer's row is what it was, and each column knows how many nodes hold it."""
    answer = merged(node("a", [12_000]), node("b", [10_000, 13_000]), node("c"))
    assert answer.matrix.columns.tolist() == STAMPS
    assert answer.column_nodes is not None
    assert answer.column_nodes.tolist() == [2, 1, 2, 2]
    assert answer.matrix.values.tolist() == [[1, 1, 1, 1]]


def test_two_stamps_in_one_column_are_added() -> None:
    """A restart in the middle of a window; nothing collapses, nothing is lost."""
    stamps = [10_000, 11_000, 11_400, 12_000, 13_000]
    answer = merged(node("a", stamps))
    assert answer.matrix.columns.tolist() == STAMPS
    assert answer.matrix.values.tolist() == [[1, 2, 1, 1]]


def test_slices_stay_in_order_under_their_route() -> None:
    """By range, so the tenth comes after the ninth."""
    cuts = [b"", *[b"%02d" % number for number in range(1, 12)], b""]
    ranges = {f"route:1#{n}": (cuts[n], cuts[n + 1]) for n in range(12)}
    answer = merged(answer_of(Node("n", ranges, STAMPS, {}), Series.WRITES))
    assert [row.bucket_id for row in answer.matrix.catalogue.rows] == [f"route:1#{n}" for n in range(12)]


def test_aggregates_of_old_nodes_join_by_range_alone() -> None:
    """Their ids mean something on their node only; different ranges stay two rows."""

    def old(name: str, bucket: str, end: bytes) -> Answer:
        own = answer_of(Node("x", {bucket: (b"a", end)}, STAMPS, {(bucket, 10_000): {(0, 0): 3}}), Series.WRITES)
        row = Row(bucket, b"a", end, aggregate=True, route_count=4)
        catalogue = type(own.matrix.catalogue)((row,))
        return as_old(replace(own, matrix=replace(own.matrix, catalogue=catalogue)), name, {})

    answer = merged(old("p", "virtual:1", b"m"), old("q", "virtual:9", b"m"), old("r", "virtual:1", b"n"))
    rows = answer.matrix.catalogue.rows
    assert [(row.start, row.end) for row in rows] == [(b"a", b"m"), (b"a", b"n")]
    assert answer.matrix.values[:, 0].tolist() == [3, 3]
    assert all(not outcome.warnings for outcome in answer.outcomes)


def test_rows_do_not_dance_while_the_order_of_heat_stays() -> None:
    """Twice the traffic in the same order folds into the same rows."""
    names = [f"route:{number}" for number in range(40)]
    cuts = [b"", *[b"%02d" % number for number in range(1, 40)], b""]
    ranges = {name: (cuts[n], cuts[n + 1]) for n, name in enumerate(names)}
    heat = {name: (n * 17) % 41 + 1 for n, name in enumerate(names)}

    def rows(factor: int) -> list[str]:
        cells = {(name, 10_000): {(1, 1): heat[name] * factor} for name in names}
        answer = merged(answer_of(Node("n", ranges, STAMPS, cells), Series.WRITES))
        return [row.bucket_id for row in fold(answer, 9).matrix.catalogue.rows]

    assert rows(1) == rows(2) == rows(1000)
    assert len(rows(1)) <= 9


def test_mixed_steps_inside_a_subtree_are_compared_there_before_they_are_summed() -> None:
    """The one way in which a tree may differ from flat: it sees the copies that differ, flat their sums alone."""
    coarse = [
        answer_of(Node(name, ROUTE, [12_000], {("route:1", 12_000): {}}), Series.WRITES, step_ms=2000)
        for name in ("a", "b", "c")
    ]

    def fine(name: str, first: int, second: int) -> Answer:
        cells = {("route:1", 11_000): {(1, 7): first}, ("route:1", 12_000): {(1, 7): second}}
        return answer_of(Node(name, ROUTE, [11_000, 12_000], cells), Series.WRITES)

    one, other = fine("d", 5, 4), fine("e", 4, 5)
    flat = merged(*coarse, one, other, now=12_000)
    tree = merged(*coarse, merged(one, other, now=12_000), now=12_000)
    assert (flat.matrix.values.tolist(), flat.matrix.conflicts) == ([[9]], None)
    assert tree.matrix.values.tolist() == [[10]]
    assert tree.matrix.conflicts is not None


def details(answer: Answer, leaf: int = 0) -> list[str]:
    """What a leaf's warnings say to people."""
    return [warning.detail for warning in answer.outcomes[leaf].warnings]


def test_a_clock_warning_says_how_far_and_on_which_side() -> None:
    """A stamp of the future tells more than when the answer was made where it is further off."""
    assert details(merged(at(node(), 14_000))) == ["its clock is 800 ms ahead of the aggregator's, step 1000 ms"]
    assert details(merged(at(node(), 12_000))) == ["its clock is 1200 ms behind the aggregator's, step 1000 ms"]
    assert details(merged(at(node(), 11_700), now=12_000)) == [
        "its clock is 1000 ms ahead of the aggregator's, step 1000 ms"
    ]
    assert details(merged(at(node(), 13_600), now=12_000)) == [
        "its clock is 1600 ms ahead of the aggregator's, step 1000 ms"
    ]
    assert details(merged(at(node(stamps=[]), 14_000))) == [
        "its clock is 800 ms ahead of the aggregator's, step 1000 ms"
    ]


@pytest.mark.parametrize(("oldest", "short"), [(12_500, False), (12_501, True), (13_000, True), (11_000, False)])
def test_history_is_short_from_half_a_step_on(oldest: int, short: bool) -> None:
    """The first column asked for is that of the window that holds the moment: 11,001 is in that of 12,000."""
    answer = merged(at(node(), 13_200, oldest), window=Window(11_001, 0))
    assert details(answer) == ([f"holds columns from {oldest} on, asked from 11001"] if short else [])


@pytest.mark.parametrize(("generated", "short"), [(12_999, False), (13_000, True)])
def test_a_node_without_columns_is_short_once_a_window_asked_for_has_closed(generated: int, short: bool) -> None:
    """Before that it cannot hold any; a node without a name is not told by that."""
    empty = at(node(stamps=[]), generated)
    answer = merged(empty, now=generated, window=Window(11_001, 0))
    assert details(answer) == (["holds no column yet, asked from 11001"] if short else [])
    nameless = replace(empty, node_id="", outcomes=(replace(empty.outcomes[0], node_id=""),))
    assert details(merged(nameless, now=generated, window=Window(11_001, 0))) == []


def test_long_keys_are_cut_in_what_a_warning_says() -> None:
    """64 bytes are shown in full; an end that is open is called so."""

    def held(start: bytes) -> Answer:
        return answer_of(Node("x", {"route:1": (start, b"")}, STAMPS, {}), Series.WRITES)

    first = answer_of(Node("first", ROUTE, STAMPS, {}), Series.WRITES)
    assert details(merged(first, held(b"k" * 64)), 1) == [
        f"its range is [0x{'6b' * 64}, unbounded), shown is [0x, unbounded)"
    ]
    assert details(merged(first, held(b"k" * 65)), 1) == [
        f"its range is [0x{'6b' * 64}… (65 bytes), unbounded), shown is [0x, unbounded)"
    ]


def test_an_old_row_cap_says_how_many_rows_came_and_a_named_node_is_not_told() -> None:
    """A node of ours cuts by its own budget and says so."""
    keys = [b"", *[b"%04d" % number for number in range(1, 1025)], b""]
    own = answer_of(Node("n", {f"r:{n}": (keys[n], keys[n + 1]) for n in range(1025)}, STAMPS, {}), Series.WRITES)
    assert details(merged(own)) == []
    assert details(merged(as_old(own, "old", {}))) == ["an older node answers at most 1024 rows, it sent 1025"]


def test_two_stamps_of_reads_in_one_column_are_added_with_their_marks() -> None:
    """Reads have no identities that would have to be added too; a column is soft where a part of it is."""
    stamps = [10_000, 11_000, 11_400, 12_000]
    one = answer_of(Node("a", ROUTE, stamps, {("route:1", s): {(1, 1): 1} for s in stamps}), Series.READS)
    one = replace(one, matrix=replace(one.matrix, soft=np.array([[False, False, True, False]])))
    answer = merge([one], query=MatrixQuery(Series.READS), now_unix_ms=12_200)
    assert answer.matrix.columns.tolist() == [10_000, 11_000, 12_000]
    assert answer.matrix.values.tolist() == [[1, 2, 1]]
    assert answer.matrix.soft is not None
    assert answer.matrix.soft.tolist() == [[False, True, False]]


def test_a_clock_that_is_behind_is_told_where_the_newest_stamp_is_now() -> None:
    """Such a stamp is not of the future, so it does not excuse the clock."""
    assert details(merged(at(node(), 12_000), now=13_000)) == [
        "its clock is 1000 ms behind the aggregator's, step 1000 ms"
    ]


def test_ranges_that_leaves_below_hold_are_found_anew_while_catalogues_stay() -> None:
    """What is kept from one request to the next is told by catalogues alone; these warnings are not."""
    odd = answer_of(Node("odd", {"route:1": (b"", b"x")}, STAMPS, {}), Series.WRITES)
    below, beside = merged(node("a"), odd), node("c")
    assert below.leaf_ranges
    for told in (replace(below, leaf_ranges=()), below, replace(below, leaf_ranges=())):
        found = codes(merged(told, beside), 1)
        assert found == ([WarningCode.CATALOG_DIVERGENCE] if told.leaf_ranges else [])


@pytest.mark.parametrize(
    ("generated", "newest", "told"),
    [
        (13_001, None, ["its clock is 1 ms ahead of the aggregator's, step 1 ms"]),
        (13_000, 13_001, ["its clock is 1 ms ahead of the aggregator's, step 1 ms"]),
        (0, 13_001, ["its clock is 1 ms ahead of the aggregator's, step 1 ms"]),
        (0, 12_999, []),
        (0, None, []),
        (13_000, 13_000, []),
    ],
)
def test_a_clock_is_off_by_more_than_half_a_step_of_one_millisecond(
    generated: int, newest: int | None, told: list[str]
) -> None:
    """The finest there is: nothing is added or left out on the way."""
    answer = replace(node(stamps=[] if newest is None else [newest]), generated_at_unix_ms=generated)
    assert [warning.detail for warning in of_leaf(answer, step_ms=1, now_unix_ms=13_000)] == told


def test_short_history_goes_by_the_leafs_own_step() -> None:
    """And by the cluster's where the leaf does not say."""
    for step, grid, told in ((0, 1000, 1), (1000, 5000, 1), (5000, 1000, 0), (0, 0, 0)):
        leaf = Outcome("a", node_id="a", step_ms=step, oldest_unix_ms=10_000)
        assert len(short_history(leaf, Window(8_000, 20_000), grid)) == told


def test_warnings_are_sorted_and_each_told_once() -> None:
    """Whatever order they were found in."""
    found = [PeerWarning(code, f"route:{number}", "x") for number in range(9) for code in WarningCode]
    once = with_warnings(Outcome("a"), found[::-1])
    assert once.warnings == tuple(sorted(found))
    assert with_warnings(once, found) is once


def test_warnings_that_are_in_order_already_are_told_with_the_others() -> None:
    """Alone, beside those that the outcome has, and beside those just found."""
    found = [PeerWarning(code, f"route:{number}", "x") for number in range(9) for code in WarningCode]
    ready = in_order(found[::2] + found[::2])
    assert ready == tuple(sorted(found[::2]))
    assert with_warnings(Outcome("a"), (), ready).warnings == ready
    assert with_warnings(Outcome("a"), found[1::2], ready).warnings == tuple(sorted(found))
    assert with_warnings(Outcome("a", warnings=tuple(found[:3])), (), ready).warnings == in_order([*found[:3], *ready])
    assert with_warnings(unwarned := Outcome("a"), (), ()) is unwarned
