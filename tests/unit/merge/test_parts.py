"""What becomes of answers before they are merged: duplicates, exclusions, unmerged leaves, cuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import merge
from keyviz_grpc.merge.parts import duplicate_leaves, flatten
from keyviz_grpc.model import Catalogue, Row, Series, Window
from keyviz_grpc.outcome import Answer, Outcome, WarningCode
from keyviz_grpc.query import MatrixQuery
from tests.reference.convert import answer_of, told_by
from tests.reference.oracle import Node

STAMPS = [10_000, 11_000, 12_000]
RANGES = {"route:1": (b"", b"m"), "route:2": (b"m", b"t"), "route:3": (b"t", b"")}
QUERY = MatrixQuery(Series.READS)


def node(name: str, count: int = 1, ranges: dict[str, tuple[bytes, bytes]] = RANGES) -> Answer:
    """The same count everywhere."""
    cells = {(bucket, stamp): {(1, 1): count} for bucket in ranges for stamp in STAMPS}
    return answer_of(Node(name, ranges, STAMPS, cells), Series.READS)


def merged(*parts: Answer | Outcome, query: MatrixQuery = QUERY) -> Answer:
    """By an aggregator with a name."""
    return merge(parts, query=query, now_unix_ms=12_000, node_id="agg", incarnation=5)


def test_leaves_that_an_earlier_result_holds_are_asked_to_be_left_out() -> None:
    """Only merged results cannot be mended; nameless, failed and unmerged leaves are nobody's duplicates."""
    a, b, c = node("a"), node("b"), node("c")
    nameless = merged(node(""))
    lost = Outcome("b", node_id="b", kind=FailureKind.UNREACHABLE)
    unmerged = merged(a, b, query=replace(QUERY, unmerged=True))
    assert duplicate_leaves([a, lost, merged(b, a), merged(c), merged(c, b), a]) == {
        2: (("a", 1),),
        4: (("c", 1), ("b", 1)),
    }
    assert duplicate_leaves([nameless, nameless, merged(lost), merged(lost), a, unmerged]) == {}
    assert duplicate_leaves([unmerged, merged(b)]) == {1: (("b", 1),)}


def test_a_merged_answer_that_repeats_a_leaf_is_not_used_and_says_so() -> None:
    """Its sums cannot be taken apart; leaves that failed keep their own reason."""
    lost = Outcome("gone:1", kind=FailureKind.UNREACHABLE)
    answer = merged(node("a"), merged(node("b"), node("a"), lost))
    assert answer.matrix.values.tolist() == [[1] * 3] * 3
    assert [outcome.kind for outcome in answer.outcomes] == [
        None,
        FailureKind.INCOMPATIBLE,
        FailureKind.INCOMPATIBLE,
        FailureKind.UNREACHABLE,
    ]
    assert "did not leave it out when asked to" in answer.outcomes[1].detail


def test_a_leaf_that_the_caller_has_from_elsewhere_is_left_out_and_told() -> None:
    """By id and life; the warning names where it counts."""
    query = replace(QUERY, exclude=(("a", 1), ("b", 2)))
    answer = merged(
        node("a"), node("b", 2), replace(node("b"), outcomes=(Outcome("", "b", incarnation=1),)), query=query
    )
    assert answer.matrix.values.tolist() == [[2] * 3] * 3
    details = [[(w.code, w.detail) for w in outcome.warnings] for outcome in answer.outcomes]
    assert details == [
        [(WarningCode.DUPLICATE_NODE, "node 'a' is listed twice and counted once, as another aggregator")],
        [],
        [(WarningCode.DUPLICATE_NODE, "node 'b' is listed twice and counted once, as b")],
    ]
    each_once = merged(node("a"), node("b", 2), query=query)
    assert (each_once.matrix.values.tolist(), each_once.outcomes) == ([[2] * 3] * 3, answer.outcomes[:2])


def test_the_local_node_is_called_self_where_a_peer_is_the_same_node() -> None:
    """It has no address."""
    own = replace(node("a"), outcomes=(Outcome("", "a", incarnation=1),))
    answer = merged(own, node("a"))
    assert answer.outcomes[0].warnings == ()
    assert "counted once, as self" in answer.outcomes[1].warnings[0].detail


def test_unmerged_answers_pass_through_in_their_places() -> None:
    """Their leaves and failures are what the aggregator above merges, whichever level they come from."""
    lost = Outcome("gone:1", kind=FailureKind.UNREACHABLE)
    query = replace(QUERY, unmerged=True)
    inner = merged(lost, node("b"), query=query)
    outer = merged(node("a"), inner, merged(lost, query=query), query=query)
    assert [outcome.address for outcome in outer.outcomes] == ["a", "gone:1", "b", "gone:1"]
    assert [number for number, _ in outer.leaf_answers] == [0, 2]
    assert (outer.node_id, outer.incarnation, outer.merged, outer.generated_at_unix_ms) == ("agg", 5, True, 12_000)
    flat = flatten([outer])
    assert [part.node_id for part in flat if isinstance(part, Answer)] == ["a", "b"]
    assert merged(outer).matrix.values.tolist() == [[2] * 3] * 3
    assert merged(outer).outcomes == merged(node("a"), lost, node("b"), lost).outcomes


def test_a_merged_answer_of_failures_alone_is_its_failures() -> None:
    """And one without traffic from a node that is well stays an answer."""
    lost = Outcome("gone:1", kind=FailureKind.UNREACHABLE)
    idle = merged(node("idle", ranges={}))
    assert flatten([merged(lost, lost)]) == [lost, lost]
    assert flatten([idle]) == [idle]


def test_a_window_rows_and_one_node_are_cut_out_with_all_that_belongs_to_them() -> None:
    """Columns with how many nodes hold them, rows in key order with their leaves."""
    parts = [node("a"), merged(node("b", 2), node("c", 4, {"route:3": (b"t", b"")}))]
    whole = merged(*parts)
    cut = merged(*parts, query=replace(QUERY, window=Window(11_000, 12_000), bucket_ids=("route:3", "none", "route:2")))
    assert [row.bucket_id for row in cut.matrix.catalogue.rows] == ["route:2", "route:3"]
    assert cut.matrix.columns.tolist() == [11_000]
    kept = np.isin(whole.matrix.columns, cut.matrix.columns)
    assert cut.matrix.values.tolist() == whole.matrix.values[1:, kept].tolist()
    assert whole.column_nodes is not None
    assert cut.column_nodes is not None
    assert cut.column_nodes.tolist() == whole.column_nodes[kept].tolist() == [3] * len(cut.matrix.columns)
    assert cut.row_leaf_set is not None
    assert [cut.leaf_sets[number] for number in cut.row_leaf_set] == [(0, 1), (0, 1, 2)]
    alone = merged(node("a"), node("b", 2), query=replace(QUERY, node_id="b"))
    assert alone.matrix.values.tolist() == [[2] * 3] * 3


def test_the_aggregator_says_who_it_is_and_what_its_leaves_hold() -> None:
    """The oldest column that any leaf holds, 0 where none says; the sum of revisions."""
    first, second = (
        replace(node(name), outcomes=(replace(node(name).outcomes[0], oldest_unix_ms=oldest),), revision=revision)
        for name, oldest, revision in (("a", 9_000, 3), ("b", 8_000, 4))
    )
    answer = merged(first, second, node("c"))
    assert (answer.node_id, answer.incarnation, answer.step_ms, answer.merged) == ("agg", 5, 1000, True)
    assert (answer.generated_at_unix_ms, answer.oldest_unix_ms, answer.revision) == (12_000, 8_000, 7)
    assert merged(node("c")).oldest_unix_ms == 0
    assert merged(Outcome("x", kind=FailureKind.DEADLINE_EXCEEDED)).oldest_unix_ms == 0
    again = replace(first, outcomes=(replace(first.outcomes[0], address="again:1", oldest_unix_ms=7_000),))
    assert merged(first, again).oldest_unix_ms == 9_000  # of what is left out nothing is held


def test_leaves_that_failed_keep_their_reason_where_the_step_does_not_fit() -> None:
    """An aggregator whose leaves have another step: those that answered become failures, the others were ones."""
    lost = Outcome("gone:1", kind=FailureKind.UNREACHABLE, detail="refused")
    odd = replace(merged(node("x"), lost), step_ms=700)
    answer = merged(node("a"), node("b"), odd)
    assert [outcome.kind for outcome in answer.outcomes] == [
        None,
        None,
        FailureKind.INCOMPATIBLE,
        FailureKind.UNREACHABLE,
    ]
    assert answer.outcomes[3].detail == "refused"


def test_roles_that_nodes_know_of_a_row_are_united() -> None:
    """Sorted and each once, whoever is first; what else the row says stays the first one's."""

    def playing(name: str, *roles: int) -> Answer:
        own = node(name)
        rows = tuple(replace(row, sample_roles=roles) for row in own.matrix.catalogue.rows)
        return replace(own, matrix=replace(own.matrix, catalogue=Catalogue(rows)))

    for parts in ((2, 1), (1, 3)), ((1, 2, 3), (3,)), ((), (1, 2, 3)):
        answer = merged(*(playing(f"n{number}", *roles) for number, roles in enumerate(parts)))
        assert {row.sample_roles for row in answer.matrix.catalogue.rows} == {(1, 2, 3)}


def test_a_node_is_found_twice_whatever_stands_between() -> None:
    """A peer that failed, and an aggregator that is not used, end no search."""
    lost = Outcome("gone:1", kind=FailureKind.UNREACHABLE)
    answer = merged(lost, node("a"), merged(node("b"), node("a")), node("c"), node("c"))
    assert answer.matrix.values.tolist() == [[2] * 3] * 3
    assert [outcome.contributes for outcome in answer.outcomes] == [False, True, False, False, True, False]


def test_nothing_of_a_peer_whose_step_does_not_fit_is_used() -> None:
    """Neither its counts nor its columns nor its rows."""
    odd = replace(node("odd", 9, {"route:9": (b"x", b"y")}), step_ms=700)
    assert merged(node("a"), node("b"), odd).matrix.catalogue == merged(node("a"), node("b")).matrix.catalogue
    assert merged(node("a"), node("b"), odd).matrix.columns.tolist() == STAMPS
    same = replace(node("odd", 9), step_ms=700)
    assert merged(node("a"), node("b"), same).matrix.values.tolist() == [[2] * 3] * 3


def test_an_aggregator_without_rows_is_asked_for_its_columns_all_the_same() -> None:
    """Also where one of its leaves failed: the other one is well."""
    half = merged(node("idle", ranges={}), Outcome("gone:1", kind=FailureKind.UNREACHABLE))
    assert flatten([half]) == [half]
    assert merged(half).matrix.columns.tolist() == STAMPS


def test_a_peer_that_does_not_say_its_step_takes_the_clusters() -> None:
    """For its stamps, two of them 300 ms late, and for how far its clock may be off."""
    cells = {("route:1", 10_000): {(1, 1): 5}, ("route:1", 11_000): {(1, 1): 7}}
    old = answer_of(Node("", RANGES, STAMPS[:2], cells, 300), Series.READS, step_ms=0)
    answer = merged(node("a", 0), replace(old, generated_at_unix_ms=12_900))
    assert answer.matrix.columns.tolist() == STAMPS
    assert answer.matrix.values[0].tolist() == [5, 7, 0]
    assert [warning.code for warning in answer.outcomes[1].warnings] == [WarningCode.CLOCK_SKEW]


def test_an_older_node_holds_what_it_sent() -> None:
    """It does not say how far back it goes; one column is enough to tell."""
    old = answer_of(Node("", RANGES, [10_000]), Series.READS)
    assert merged(old).oldest_unix_ms == merged(old).outcomes[0].oldest_unix_ms == 10_000
    assert merged(replace(old, oldest_unix_ms=7_000)).oldest_unix_ms == 7_000


def test_the_finest_step_there_is_is_put_on_a_coarser_grid() -> None:
    """One millisecond and two."""
    fine = answer_of(Node("f", RANGES, [1, 2, 3, 4], {("route:1", 3): {(1, 1): 6}}), Series.READS, step_ms=1)
    answer = merged(answer_of(Node("g", RANGES, [2, 4]), Series.READS, step_ms=2), fine)
    assert answer.matrix.columns.tolist() == [2, 4]
    assert answer.matrix.values[0].tolist() == [0, 6]


def test_a_coarser_column_has_the_nodes_of_its_fullest_finer_one() -> None:
    """An aggregator of nodes with half the step; one of them lacks every other window."""
    first, second = (
        answer_of(Node(name, RANGES, stamps), Series.READS, step_ms=500)
        for name, stamps in (("f", [9_500, 10_000, 10_500, 11_000]), ("g", [10_000, 11_000]))
    )
    below = merged(first, second)
    assert below.column_nodes is not None
    assert below.column_nodes.tolist() == [1, 2, 1, 2]
    answer = merged(node("a"), below)
    assert answer.column_nodes is not None
    assert answer.column_nodes.tolist() == [3, 3, 1]


def test_a_column_of_which_one_part_does_not_know_its_nodes_has_an_unknown_number() -> None:
    """Not the number of the others."""
    below = replace(merged(node("a"), node("b")), column_nodes=np.array([2, 0, 2], np.int64))
    answer = merged(node("c"), below, node("d"))
    assert answer.column_nodes is not None
    assert answer.column_nodes.tolist() == [4, 0, 4]


def test_only_a_nameless_nodes_own_aggregates_are_called_by_their_range() -> None:
    """Those of named nodes and of aggregators mean the same everywhere."""
    aggregate = Row("virtual:77", b"m", b"", aggregate=True, route_count=2)

    def folded(name: str) -> Answer:
        own = node(name, 1, {"route:1": (b"", b"m"), "route:2": (b"m", b"")})
        return replace(own, matrix=replace(own.matrix, catalogue=Catalogue((own.matrix.catalogue.rows[0], aggregate))))

    def names(answer: Answer) -> list[str]:
        return [row.bucket_id for row in answer.matrix.catalogue.rows]

    assert names(merged(folded("a"))) == ["route:1", "virtual:77"]
    assert names(merged(replace(merged(folded("a")), node_id=""))) == ["route:1", "virtual:77"]
    assert names(merged(folded("")))[1] != "virtual:77"


def test_rows_asked_for_out_of_order_come_in_key_order_with_their_ranges() -> None:
    """Twelve routes of which two leaves hold some otherwise."""
    ranges = {f"route:{number:02}": (b"%02d" % number, b"%02d" % (number + 1)) for number in range(12)}
    other = ranges | {"route:01": (b"01", b"015"), "route:08": (b"08", b"085")}
    below = merged(node("b", 1, ranges), node("c", 1, other))
    for asked, told in ((("route:08", "route:01"), [(0, 1), (1, 1)]), (("route:08", "route:03"), [(1, 1)])):
        answer = merged(below, query=replace(QUERY, bucket_ids=asked))
        assert [row.bucket_id for row in answer.matrix.catalogue.rows] == sorted(asked)
        assert [(item.row, item.leaf) for item in answer.leaf_ranges] == told
        assert [row.start for row in answer.matrix.catalogue.rows] == [ranges[name][0] for name in sorted(asked)]


def test_shares_go_with_the_rows_that_are_asked_for() -> None:
    """In whatever order they are named: of twelve routes two, each with two terms in one window."""
    ranges = {f"route:{number:02}": (b"%02d" % number, b"%02d" % (number + 1)) for number in range(12)}
    cells = {(bucket, 10_000): {(1, 7): number + 1, (1, 8): 50} for number, bucket in enumerate(ranges)}
    own = answer_of(Node("a", ranges, STAMPS, cells), Series.WRITES)
    for asked in (("route:08", "route:01"), ("route:01", "route:08")):
        answer = merged(own, query=MatrixQuery(Series.WRITES, bucket_ids=asked))
        shares = told_by(answer, writes=True).shares
        assert shares["route:01", 10_000] == {(1, 7): 2, (1, 8): 50}
        assert shares["route:08", 10_000] == {(1, 7): 9, (1, 8): 50}
