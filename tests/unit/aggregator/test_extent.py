"""What all answers become together is bounded before it is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyviz_grpc.aggregator.extent import within
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
    found = within([HIGH, WIDE, LOST, SMALL], cells)
    assert kinds(found) == told


def test_the_same_rows_count_once() -> None:
    """However many nodes have them; nothing is copied where all fit."""
    nodes = [node(f"n{number}", range(50), range(10)) for number in range(8)]
    found = within([*nodes, LOST], 50 * 10)
    assert found == [*nodes, LOST]
    assert kinds(within(nodes, 50 * 10 - 1))[0] == "message_too_large"


def test_the_words_say_how_many_cells_there_would_be() -> None:
    """And how many there may be."""
    refused = within([HIGH, WIDE], 9999)[1]
    assert isinstance(refused, Outcome)
    assert "make 10000 cells, at most 9999 are merged" in refused.detail


def test_an_aggregators_leaves_are_refused_together() -> None:
    """Merged or not, each with its own reason if it had one."""
    for unmerged in (False, True):
        query = MatrixQuery(Series.READS, unmerged=unmerged)
        below = merge([WIDE, LOST, replace(SMALL)], query=query, now_unix_ms=1, node_id="agg")
        found = within([HIGH, below], 9999)
        assert kinds(found) == ["ok", "message_too_large", "unreachable", "message_too_large"]
        assert kinds(within([HIGH, below], 10_000)) == ["ok", "ok", "unreachable", "ok"]


def test_nobody_is_no_picture() -> None:
    """Failures alone pass through."""
    assert within([], 0) == []
    assert within([LOST], 0) == [LOST]
