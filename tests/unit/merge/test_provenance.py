"""Who says what about a cell: every reason a share can have, in words that an operator reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge.provenance import contributions
from keyviz_grpc.model import Series, Window
from keyviz_grpc.outcome import Answer, Cell, Outcome
from keyviz_grpc.query import MatrixQuery
from tests.reference.ages import as_old
from tests.reference.convert import answer_of
from tests.reference.oracle import Identity, Node

ROUTE = {"route:1": (b"", b"m"), "route:2": (b"m", b"")}
LARGEST = "part of the largest count that any one node reports: identities are not all known"
NOT_LARGEST = "not added: an unknown identity may be the same traffic, so the largest full count is shown"


def node(name: str, shares: dict[Identity, int], series: Series = Series.WRITES) -> Answer:
    """Two columns; the shares are those of route 1 in the second, what stands around them is something else."""
    cells = {("route:1", 10_000): {(3, 3): 1000}, ("route:2", 11_000): {(3, 3): 1000}, ("route:1", 11_000): shares}
    return answer_of(Node(name, ROUTE, [10_000, 11_000], cells), series)


def cell(
    *parts: Answer | Outcome, bucket: str = "route:1", stamp: int = 11_000, series: Series = Series.WRITES
) -> Cell:
    """Whatever else the query asks for is passed over."""
    query = MatrixQuery(series, window=Window(1, 2), bucket_ids=(bucket, "route:2"), unmerged=True)
    return contributions(parts, query=query, column_unix_ms=stamp, now_unix_ms=11_000)


def said(found: Cell) -> list[tuple[str, int, bool, str]]:
    """Node, value, whether it counted, why."""
    return [(c.node_id, c.value, c.counted, c.reason) for c in found.contributions]


def test_a_smaller_an_equal_and_an_idle_observation_are_told_apart() -> None:
    """Of equal ones the first counts, and its name is in the reason of the others."""
    found = cell(node("a", {(1, 7): 9}), node("b", {(1, 7): 10}), node("c", {(1, 7): 10}), node("d", {}))
    assert (found.value, found.conflict) == (10, True)
    assert said(found) == [
        ("a", 9, False, "smaller than b's under the same identity"),
        ("b", 10, True, "the leader's count under this term"),
        ("c", 10, False, "the same observation as b's"),
        ("d", 0, False, "no traffic here"),
    ]


def test_an_unknown_identity_that_is_the_largest_is_shown_alone() -> None:
    """Known shares may be the same traffic."""
    found = cell(node("a", {(0, 0): 60}), node("b", {(1, 8): 40}), node("c", {(0, 0): 50}))
    assert (found.value, found.conflict) == (60, True)
    assert said(found) == [
        ("a", 60, True, "its identity is unknown: the maximum is shown"),
        ("b", 40, False, "not added: may be the same traffic"),
        ("c", 50, False, "not added: may be the same traffic"),
    ]


def test_an_unknown_identity_below_what_is_known_is_not_added() -> None:
    """Also where it is as large as the known sum."""
    for unknown in (5, 40):
        found = cell(node("a", {(0, 0): unknown}), node("b", {(1, 8): 40}))
        assert found.value == 40
        assert said(found) == [
            ("a", unknown, False, "not added: its identity is unknown, so it may be the same traffic"),
            ("b", 40, True, "the leader's count under this term"),
        ]


def test_the_largest_full_count_is_shown_with_all_of_its_parts() -> None:
    """One node knows half of its own cell's identities."""
    found = cell(node("a", {(0, 0): 30, (1, 7): 30}), node("b", {(1, 8): 20}))
    assert found.value == 60
    assert said(found) == [("a", 30, True, LARGEST), ("a", 30, True, LARGEST), ("b", 20, False, NOT_LARGEST)]


def test_reads_are_all_counted() -> None:
    """Every node's own."""
    found = cell(node("a", {(1, 7): 9}, Series.READS), node("b", {}, Series.READS), series=Series.READS)
    assert (found.value, found.conflict) == (9, False)
    assert said(found) == [
        ("a", 9, True, "summed: every node counts its own reads"),
        ("b", 0, False, "no traffic here"),
    ]


def test_sums_that_saturate_are_still_the_known_sum() -> None:
    """Both terms count."""
    found = cell(node("a", {(1, 7): 2**64 - 1}), node("b", {(1, 8): 5}))
    assert [counted for _, _, counted, _ in said(found)] == [True, True]


def test_leaves_are_numbered_through_failures_and_peers_without_the_column() -> None:
    """Who failed and who holds nothing here says nothing; the names of the others stay theirs."""
    failed = Outcome("gone:1", kind=FailureKind.UNREACHABLE)
    later = answer_of(Node("later", ROUTE, [12_000], {("route:1", 12_000): {(1, 1): 3}}), Series.WRITES)
    earlier = answer_of(Node("earlier", ROUTE, [10_000], {("route:1", 10_000): {(1, 1): 3}}), Series.WRITES)
    other = answer_of(Node("other", {"route:2": (b"m", b"")}, [11_000], {}), Series.WRITES)
    found = cell(failed, later, earlier, other, node("a", {(1, 7): 9}))
    assert said(found) == [("a", 9, True, "the leader's count under this term")]
    assert [outcome.address for outcome in found.outcomes] == ["gone:1", "later", "earlier", "other", "a"]


@pytest.mark.parametrize(("bucket", "stamp"), [("route:9", 11_000), ("route:1", 10_500), ("route:1", 12_000)])
def test_a_cell_that_nobody_holds_is_zero_without_contributions(bucket: str, stamp: int) -> None:
    """An unknown bucket, a moment between columns, one after the last."""
    found = cell(node("a", {(1, 7): 9}), bucket=bucket, stamp=stamp)
    assert found.outcomes[0].ok
    assert (found.bucket_id, found.column_unix_ms, found.value, found.conflict) == (bucket, stamp, 0, False)
    assert found.contributions == ()


def test_nodes_without_a_name_are_told_by_address_and_the_local_one_as_self() -> None:
    """In the entry and in the reasons of others."""
    first, second = (as_old(node(name, {(1, 7): 9}), name, {("route:1", 11_000): (1, 7)}) for name in ("x:1", "y:1"))
    own = replace(node("", {(1, 7): 10}), outcomes=(Outcome(""),))
    found = cell(first, second)
    assert [(c.node, c.node_id) for c in found.contributions] == [("x:1", ""), ("y:1", "")]
    assert found.contributions[1].reason == "the same observation as x:1's"
    found = cell(own, first)
    assert [c.node for c in found.contributions] == ["self", "x:1"]
    assert found.contributions[1].reason == "smaller than self's under the same identity"


def test_an_idle_peer_hides_nobody() -> None:
    """It is listed first and has its own line."""
    found = cell(node("a", {}), node("b", {(1, 7): 10}), node("c", {}), node("d", {(1, 8): 3}))
    assert found.value == 13
    assert [(node_id, value) for node_id, value, _, _ in said(found)] == [("a", 0), ("b", 10), ("c", 0), ("d", 3)]
