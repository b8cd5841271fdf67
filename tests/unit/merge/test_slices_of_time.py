"""Answers to consecutive slices of time become the answer to all of it, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from keyviz_grpc.errors import FailureKind, MalformedAnswer
from keyviz_grpc.merge import merge
from keyviz_grpc.merge.columns import select_columns
from keyviz_grpc.merge.slices import join_in_time
from keyviz_grpc.model import Catalogue, Series
from keyviz_grpc.outcome import Answer, LeafRange
from keyviz_grpc.query import MatrixQuery
from tests.reference.convert import answer_of, told_by
from tests.reference.oracle import Node

RANGES = {"route:1": (b"", b"m"), "route:2": (b"m", b"")}
STAMPS = [10_000, 11_000, 12_000, 13_000]
CELLS = {
    ("route:1", 10_000): {(1, 1): 5},
    ("route:1", 11_000): {(1, 1): 2, (1, 2): 3},
    ("route:2", 12_000): {(2, 7): 4, (0, 0): 1},
    ("route:1", 13_000): {(1, 2): 9},
}


def node(stamps: list[int], ranges: dict[str, tuple[bytes, bytes]] = RANGES) -> Answer:
    """What it says of these columns."""
    cells = {cell: told for cell, told in CELLS.items() if cell[1] in stamps and cell[0] in ranges}
    return answer_of(Node("n1", ranges, stamps, cells), Series.WRITES)


def subtree(answer: Answer) -> Answer:
    """The same, said by an aggregator above it and a second node that counted nothing."""
    idle = answer_of(Node("n2", RANGES, answer.matrix.columns.tolist()), Series.WRITES)
    query = MatrixQuery(Series.WRITES)
    return merge([answer, idle], query=query, now_unix_ms=13_000, node_id="agg", incarnation=5)


@pytest.mark.parametrize("made", [node, lambda stamps: subtree(node(stamps))], ids=["node", "aggregator"])
@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 2], [1, 2, 3]])
def test_parts_in_time_are_the_whole(made: Callable[[list[int]], Answer], cuts: list[int]) -> None:
    """Values, shares, identities and how many nodes each column has, wherever it was cut."""
    whole = made(STAMPS)
    bounds = [0, *cuts, len(STAMPS)]
    parts = [made(STAMPS[first:last]) for first, last in pairwise(bounds)]
    joined = join_in_time(parts)
    assert told_by(joined, writes=True) == told_by(whole, writes=True)
    assert joined.outcomes == parts[-1].outcomes
    assert (joined.column_nodes is None) == (whole.column_nodes is None)
    if joined.column_nodes is not None and whole.column_nodes is not None:
        assert joined.column_nodes.tolist() == whole.column_nodes.tolist()


def test_a_row_that_a_slice_of_a_node_lacks_is_zero_there() -> None:
    """A route that came in between."""
    first = node(STAMPS[:2], {"route:1": (b"", b"m")})
    joined = join_in_time([first, node(STAMPS[2:])])
    assert joined.matrix.values.tolist() == [[5, 5, 0, 9], [0, 0, 5, 0]]


def another_life(answer: Answer) -> Answer:
    """The node was restarted."""
    return replace(answer, outcomes=(replace(answer.outcomes[0], incarnation=2), *answer.outcomes[1:]))


def a_leaf_lost(answer: Answer) -> Answer:
    """One of its nodes no longer answers."""
    lost = replace(answer.outcomes[-1], kind=FailureKind.UNREACHABLE)
    return replace(answer, outcomes=(*answer.outcomes[:-1], lost))


def uncounted(answer: Answer) -> Answer:
    """It no longer says how many nodes a column has."""
    return replace(answer, column_nodes=None)


def unmerged(answer: Answer) -> Answer:
    """It hands its leaves on."""
    return replace(answer, leaf_answers=((0, node(STAMPS[:2])),))


def other_rows(answer: Answer) -> Answer:
    """A route came or went below an aggregator."""
    return subtree(node(STAMPS[:2], {"route:1": (b"", b"m"), "route:3": (b"m", b"")}))


def other_holders(answer: Answer) -> Answer:
    """Another leaf holds a row than before."""
    sets = np.zeros(2, np.int64)
    return replace(answer, leaf_sets=((0,),), row_leaf_set=sets)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (another_life, "restarted"),
        (a_leaf_lost, "came or went"),
        (uncounted, "different kinds"),
        (unmerged, "different kinds"),
        (other_rows, "rows of an aggregator changed"),
        (other_holders, "rows of an aggregator changed"),
    ],
)
def test_what_cannot_be_parts_of_one_answer_is_refused(changed: Callable[[Answer], Answer], words: str) -> None:
    """Between the first slice and the second something happened; the word says what."""
    first, second = subtree(node(STAMPS[:2])), subtree(node(STAMPS[2:]))
    assert join_in_time([first, second]).matrix.shape == (2, 4)
    with pytest.raises(MalformedAnswer, match=words):
        join_in_time([changed(first), second])


@pytest.mark.parametrize("order", [[0, 0], [1, 0]])
def test_columns_twice_or_backwards_are_refused(order: list[int]) -> None:
    """A peer that does not keep to the slice it was asked for."""
    halves = [node(STAMPS[:2]), node(STAMPS[2:])]
    with pytest.raises(MalformedAnswer, match="twice or out of order"):
        join_in_time([halves[number] for number in order])


def test_a_cut_of_columns_takes_its_shares_along() -> None:
    """Counted from the cut's first column; a cut of everything is the same object."""
    matrix = node(STAMPS).matrix
    assert select_columns(matrix, slice(0, 4)) is matrix
    assert select_columns(matrix, slice(0, 9)) is matrix
    for first in range(4):
        for last in range(first + 1, 5):
            cut = select_columns(matrix, slice(first, last))
            expected = told_by(node(STAMPS[first:last]), writes=True)
            assert told_by(replace(node(STAMPS), matrix=cut), writes=True) == expected


def test_the_newest_slice_says_what_the_whole_says() -> None:
    """When it was made, how often the catalogue changed, what is held; two slices and three."""
    for cuts in ([1], [1, 2]):
        bounds = [0, *cuts, len(STAMPS)]
        parts = [
            replace(node(STAMPS[first:last]), generated_at_unix_ms=20_000 + first, revision=first + 1)
            for first, last in pairwise(bounds)
        ]
        joined = join_in_time(parts)
        assert (joined.generated_at_unix_ms, joined.revision) == (20_000 + cuts[-1], cuts[-1] + 1)


def test_columns_a_millisecond_apart_are_two() -> None:
    """And the same one twice is refused, as is one that only meets."""
    fine = [answer_of(Node("n1", RANGES, stamps), Series.WRITES) for stamps in ([1, 2], [3], [2])]
    assert join_in_time(fine[:2]).matrix.columns.tolist() == [1, 2, 3]
    with pytest.raises(MalformedAnswer, match="twice or out of order"):
        join_in_time([fine[0], fine[2]])


def test_rows_of_an_aggregator_are_the_same_only_where_all_that_belongs_to_them_is() -> None:
    """Names, holders and ranges, where holders are told and where all hold all."""
    plain = subtree(node(STAMPS[:2]))
    assert plain.row_leaf_set is None
    held = replace(plain, leaf_sets=((0,), (0, 1)), row_leaf_set=np.array([0, 1], np.int64))
    odd = (LeafRange(0, 1, b"", b"k"),)
    renamed = replace(
        plain.matrix,
        catalogue=Catalogue((replace(plain.matrix.catalogue.rows[0], start=b"a"), plain.matrix.catalogue.rows[1])),
    )
    later = subtree(node(STAMPS[2:]))
    later_held = replace(later, leaf_sets=((0,), (0, 1)), row_leaf_set=np.array([0, 1], np.int64))
    same: list[tuple[Answer, Answer]] = [
        (plain, later),
        (held, later_held),
        (replace(plain, leaf_ranges=odd), replace(later, leaf_ranges=odd)),
        (replace(held, leaf_ranges=odd), replace(later_held, leaf_ranges=odd)),
    ]
    for first, second in same:
        assert join_in_time([first, second]).matrix.shape == (2, 4)
    for first, second in (
        (replace(plain, matrix=renamed), later),
        (replace(held, leaf_sets=((1,), (0, 1))), later_held),
        (replace(held, row_leaf_set=np.array([1, 1], np.int64)), later_held),
        (replace(held, row_leaf_set=None), later_held),
        (held, replace(later_held, row_leaf_set=None)),
        (replace(plain, leaf_ranges=odd), later),
        (plain, replace(later, leaf_ranges=odd)),
        (replace(held, leaf_ranges=odd), later_held),
    ):
        with pytest.raises(MalformedAnswer, match="rows of an aggregator changed"):
            join_in_time([first, second])
