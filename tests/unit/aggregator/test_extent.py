"""What all answers become together is bounded before it is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyviz_grpc.aggregator.extent import Holdings, within
from keyviz_grpc.bytes_budget import HELD_CELL_BYTES, MERGED_CELL_BYTES, BytesBudget
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import merge
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from tests.reference.convert import answer_of
from tests.reference.oracle import Node

LOST = Outcome("gone:1", kind=FailureKind.UNREACHABLE)


def node(name: str, rows: range, columns: range) -> Answer:
    """Rows and columns by number."""
    ranges = {f"route:{number}": (b"%04d" % number, b"%04d" % (number + 1)) for number in rows}
    return answer_of(Node(name, ranges, [1000 * (number + 1) for number in columns]), Series.READS)


def room(cells: int) -> Holdings:
    """With memory left for so many cells of the merged picture."""
    return Holdings(BytesBudget(cells * MERGED_CELL_BYTES))


def kinds(results: list[Answer | Outcome]) -> list[str]:
    """By leaf."""
    leaves = [o for r in results for o in (r.outcomes if isinstance(r, Answer) else (r,))]
    return ["ok" if outcome.kind is None else str(outcome.kind) for outcome in leaves]


HIGH, WIDE, SMALL = (
    node("high", range(100), range(2)),
    node("wide", range(2), range(100)),
    node("s", range(4), range(4)),
)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (100 * 100, ["ok", "ok", "unreachable", "ok"]),
        (100 * 100 - 1, ["ok", "message_too_large", "unreachable", "ok"]),
        (100 * 4, ["ok", "message_too_large", "unreachable", "ok"]),
        (100 * 4 - 1, ["ok", "message_too_large", "unreachable", "message_too_large"]),
        (100 * 2 - 1, ["message_too_large", "message_too_large", "unreachable", "ok"]),
        (0, ["message_too_large", "message_too_large", "unreachable", "message_too_large"]),
    ],
)
def test_whoever_makes_the_picture_too_large_is_left_out(cells: int, told: list[str]) -> None:
    """Rows of one times columns of another; later ones that fit are kept. Neither of the two is large by itself."""
    found = within([HIGH, WIDE, LOST, SMALL], room(cells))
    assert kinds(found) == told


def test_the_same_rows_count_once() -> None:
    """However many nodes have them; nothing is copied where all fit."""
    nodes = [node(f"n{number}", range(50), range(10)) for number in range(8)]
    found = within([*nodes, LOST], room(50 * 10))
    assert found == [*nodes, LOST]
    assert kinds(within(nodes, room(50 * 10 - 1)))[0] == "message_too_large"


def test_rows_of_writes_that_others_make_wider_count() -> None:
    """Where parts have a column each, what is compared is much more than the picture and than what came."""
    ranges = {f"route:{number}": (b"%04d" % number, b"%04d" % (number + 1)) for number in range(10)}
    apart = [
        answer_of(Node(f"n{n}", ranges, [1000 * n], {(name, 1000 * n): {(1, 1): 5} for name in ranges}), Series.WRITES)
        for n in range(1, 41)
    ]
    picture, wide = 10 * 40, 40 * 10 * 40 * (1 + 8) // MERGED_CELL_BYTES
    assert kinds(within(apart, room(picture + wide))) == ["ok"] * 40
    assert "message_too_large" in kinds(within(apart, room(picture + wide - 1)))
    beside = [answer_of(Node(f"n{n}", ranges, [1000 * 1], {}), Series.WRITES) for n in range(1, 41)]
    assert kinds(within(beside, room(10))) == ["ok"] * 40


def test_the_words_say_how_many_cells_there_would_be() -> None:
    """And that memory is what they lack."""
    refused = within([HIGH, WIDE], room(9999))[1]
    assert isinstance(refused, Outcome)
    assert "make 10000 cells, more than memory is left for" in refused.detail


def test_an_aggregators_leaves_are_refused_together() -> None:
    """Merged or not, each with its own reason if it had one."""
    for unmerged in (False, True):
        query = MatrixQuery(Series.READS, unmerged=unmerged)
        below = merge([WIDE, LOST, replace(SMALL)], query=query, now_unix_ms=1, node_id="agg")
        found = within([HIGH, below], room(9999))
        assert kinds(found) == ["ok", "message_too_large", "unreachable", "message_too_large"]
        assert kinds(within([HIGH, below], room(10_000))) == ["ok", "ok", "unreachable", "ok"]


def test_nobody_is_no_picture() -> None:
    """Failures alone pass through."""
    assert within([], room(0)) == []
    assert within([LOST], room(0)) == [LOST]


def test_what_a_peer_said_first_is_given_back_once_it_was_asked_anew() -> None:
    """Of a failure nothing is held; of two answers of one peer the later one."""
    budget = BytesBudget(10_000 + SMALL.matrix.values.size * MERGED_CELL_BYTES)
    holdings = Holdings(budget)
    for _ in range(5):
        part = holdings.part()
        assert part.take(5000)
        assert holdings.kept("a:1", part, SMALL) is SMALL
        lost = holdings.part()
        assert lost.take(5000)
        assert holdings.kept("b:1", lost, LOST) is LOST
    assert budget.fits(5000)
    assert not budget.fits(5001)


def test_an_answer_whose_picture_does_not_fit_is_refused_when_it_comes() -> None:
    """So that what others said is not refused with it in the end."""
    found = room(100 * 2 - 1).kept("a:1", BytesBudget(1), HIGH)
    assert isinstance(found, Outcome)
    assert (found.address, found.node_id, found.kind) == ("a:1", HIGH.node_id, "message_too_large")


def test_an_answer_that_came_over_no_wire_is_paid_for() -> None:
    """Its cells and its picture's; a failure costs nothing."""
    cells = SMALL.matrix.cells
    budget = BytesBudget((HELD_CELL_BYTES + MERGED_CELL_BYTES) * cells)
    holdings = Holdings(budget)
    assert holdings.paid("self", LOST) is LOST
    assert budget.fits(budget.total_bytes)
    assert holdings.paid("self", SMALL) is SMALL
    assert not budget.fits(1)
    refused = Holdings(BytesBudget(HELD_CELL_BYTES * cells - 1)).paid("self", SMALL)
    assert isinstance(refused, Outcome)
    assert (refused.node_id, refused.kind) == (SMALL.node_id, "message_too_large")
    assert f"its {cells} cells" in refused.detail


def test_what_other_requests_hold_is_told_from_what_is_too_much() -> None:
    """And what one request gives back is there for the next."""
    all_together = BytesBudget(1000, shared=True)
    one, other = BytesBudget(800, all_together), BytesBudget(800, all_together)
    assert one.part().take(700)
    part = other.part()
    assert (part.take(801), part.others_hold_it) == (False, False)
    assert (part.take(400), part.others_hold_it) == (False, True)
    one.give_back()
    assert part.take(800)


def test_a_picture_that_others_leave_no_room_for_is_overload_and_not_too_large() -> None:
    """Trying again may help, and a larger bound of one request does not."""
    all_together = BytesBudget(HIGH.matrix.cells * MERGED_CELL_BYTES, shared=True)
    assert all_together.take(1)
    holdings = Holdings(BytesBudget(10**9, all_together))
    found = holdings.kept("a:1", holdings.part(), HIGH)
    assert isinstance(found, Outcome)
    assert (found.kind, "try again" in found.detail) == ("overloaded", True)
    assert kinds(within([HIGH], holdings)) == ["overloaded"]


def test_rows_that_nodes_share_are_paid_once() -> None:
    """Of one catalogue before the merge, and of any once the picture is there."""
    budget = BytesBudget(10**6)
    holdings = Holdings(budget)
    assert within([HIGH, HIGH, HIGH], holdings) == [HIGH, HIGH, HIGH]
    assert budget.fits(10**6 - HIGH.matrix.cells * MERGED_CELL_BYTES)
    other = node("other", range(100), range(2))
    assert kinds(within([HIGH, other], holdings)) == ["ok", "ok"]
    assert not budget.fits(10**6 - HIGH.matrix.cells * MERGED_CELL_BYTES)
    holdings.settle(merge([HIGH, other], query=MatrixQuery(Series.READS), now_unix_ms=1).matrix.cells)
    assert budget.fits(10**6 - HIGH.matrix.cells * MERGED_CELL_BYTES)
