"""The small sums under everything: runs that saturate, shares of a cell, columns that coincide."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from keyviz_grpc.merge.cells import merge_cells
from keyviz_grpc.merge.columns import with_columns
from keyviz_grpc.merge.entries import Placed
from keyviz_grpc.merge.parts import take_rows
from keyviz_grpc.merge.saturating import sum_runs
from keyviz_grpc.merge.shares import dominant, listed
from keyviz_grpc.model import Catalogue, Matrix, Row, Series, Shares
from keyviz_grpc.traffic import true_cells
from tests.reference.convert import answer_of, told_by
from tests.reference.oracle import Node

TOP = 2**64 - 1
ROUTES = {f"route:{number}": (b"%d" % number, b"%d" % (number + 1)) for number in range(1, 4)}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("width", [0, 1, 3])
def test_sums_of_runs_stop_at_the_top(seed: int, width: int) -> None:
    """Two dimensions, each cell counted by hand; most runs saturate in some seeds and none in others."""
    chance = np.random.default_rng(seed)
    count = int(chance.integers(1, 9))
    values = chance.integers(0, TOP >> int(chance.integers(0, 4)), (count, width), np.uint64, endpoint=True)
    starts = np.flatnonzero(chance.random(count) < 0.5)
    starts = np.unique(np.concatenate([[0], starts])).astype(np.int64)
    bounds = [*starts.tolist(), count]
    expected = [
        [min(TOP, sum(int(values[row, column]) for row in range(first, last))) for column in range(width)]
        for first, last in pairwise(bounds)
    ]
    assert sum_runs(values, starts).tolist() == expected
    if width == 1:
        assert sum_runs(values[:, 0], starts).tolist() == [row[0] for row in expected]


def test_no_runs_have_no_sums() -> None:
    """The shape but for the first axis stays."""
    nothing = np.empty(0, np.int64)
    assert sum_runs(np.empty((0, 3), np.uint64), nothing).shape == (0, 3)
    assert sum_runs(np.empty(0, np.uint64), nothing).shape == (0,)


def test_of_equal_shares_the_higher_term_is_shown_and_then_the_higher_group() -> None:
    """In whatever order a peer numbers its identities; without any share nothing is."""
    identities = np.array([[0, 0], [2, 7], [1, 7], [1, 6]], np.uint64)
    cells = np.array([0, 0, 0, 4, 4], np.int64)
    codes = np.array([1, 2, 3, 0, 3], np.uint32)
    starts, winners = dominant(cells, codes, np.array([5, 5, 5, 0, 1], np.uint64), identities)
    assert (starts.tolist(), winners.tolist()) == ([0, 3], [1, 3])
    starts, winners = dominant(cells[:0], codes[:0], np.empty(0, np.uint64), identities)
    assert (starts.shape, winners.shape) == ((0,), (0,))


@pytest.mark.parametrize(("share", "told"), [(3, [(1, 2, 1, 3)]), (5, [])])
def test_a_single_share_is_listed_where_it_is_not_all_of_its_cell(share: int, told: list[tuple[int, ...]]) -> None:
    """What a peer of another make may say."""
    values = np.array([[0, 0, 0], [0, 0, 5]], np.uint64)
    found = listed(
        np.array([5], np.int64), np.array([1], np.uint32), np.array([share], np.uint64), values=values, width=3
    )
    rows = zip(found.rows, found.columns, found.codes, found.values, strict=True)
    assert [tuple(int(number) for number in row) for row in rows] == told


def test_columns_that_coincide_are_added_row_by_row() -> None:
    """Three rows of writes with shares of their own: each is what it is without the others."""
    stamps = [10_000, 10_400, 11_000, 12_000]
    cells = {
        (bucket, stamp): {(2, 1 + number): 3 + number, (1, 2 + at): 2 * at + 1}
        for number, bucket in enumerate(ROUTES)
        for at, stamp in enumerate(stamps)
    }
    answer = answer_of(Node("n", ROUTES, stamps, cells), Series.WRITES)
    moved = np.array([10_000, 10_000, 11_000, 11_000], np.int64)
    whole = told_by(replace(answer, matrix=with_columns(answer.matrix, moved)), writes=True)
    for number, bucket in enumerate(ROUTES):
        row = with_columns(take_rows(answer.matrix, np.array([number], np.int64)), moved)
        alone = told_by(replace(answer, matrix=row), writes=True)
        for stamp in (10_000, 11_000):
            assert whole.shares[bucket, stamp] == alone.shares[bucket, stamp]
            assert whole.shown[bucket, stamp] == alone.shown[bucket, stamp]
    assert whole.shares["route:2", 10_000] == {(2, 2): 8, (1, 2): 1, (1, 3): 3}


def lone_share(values: list[list[int]], shares: list[tuple[int, int, int, int]], rows: int = 1) -> Matrix:
    """Writes of which no identity is known, with these shares listed all the same."""
    flat = np.array(shares, np.int64).reshape(-1, 4)
    return Matrix(
        Series.WRITES,
        np.arange(1, 1 + len(values[0]), dtype=np.int64) * 1000,
        Catalogue(tuple(Row(f"route:{n}", b"%d" % n, b"%d" % (n + 1)) for n in range(1, 1 + rows))),
        np.array(values, np.uint64),
        np.array([[0, 0]], np.uint64),
        None,
        Shares(flat[:, 0], flat[:, 1], flat[:, 2].astype(np.uint32), flat[:, 3].astype(np.uint64)),
    )


def test_a_listed_share_without_any_known_identity_moves_with_its_column() -> None:
    """A cell of 5 that says of 3 where they come from, added to one of 2."""
    joined = with_columns(lone_share([[5, 2]], [(0, 0, 0, 3)]), np.array([1000, 1000], np.int64))
    assert joined.values.tolist() == [[7]]
    assert (joined.shares.columns.tolist(), joined.shares.values.tolist()) == ([0], [5])


WIDE = {(1, 1): 4, (1, 2): 6}


@pytest.mark.parametrize("before", [{}, {(9, 1): 1}], ids=["the same identities", "more identities"])
@pytest.mark.parametrize("rows", [["route:3"], ["route:1", "route:2", "route:3"]], ids=["fewer rows", "the same rows"])
@pytest.mark.parametrize("stamps", [[1000, 2000], [2000]], ids=["the same columns", "fewer columns"])
@pytest.mark.parametrize("second", [WIDE, {(1, 1): 9}], ids=["shares", "none"])
def test_listed_shares_go_where_their_cells_go(
    before: dict[tuple[int, int], int], rows: list[str], stamps: list[int], second: dict[tuple[int, int], int]
) -> None:
    """A second part of any shape: its shares are found under the union's numbers of row, column and identity."""
    first_cells = {("route:1", 1000): {(1, 1): 1, (1, 2): 1, **before}}
    first = answer_of(Node("a", ROUTES, [1000, 2000], first_cells), Series.WRITES)
    ranges = {bucket: ROUTES[bucket] for bucket in rows}
    cells = {("route:3", 2000): second, ("route:3", stamps[0]): WIDE}
    other = answer_of(Node("b", ranges, stamps, cells), Series.WRITES)
    placed = Placed(
        other.matrix,
        None if len(rows) == 3 else np.array([2], np.int64),
        None if len(stamps) == 2 else np.array([1], np.int64),
    )
    matrix = first.matrix
    union = merge_cells([Placed(matrix, None, None), placed], matrix.series, matrix.columns, matrix.catalogue)
    told = told_by(replace(first, matrix=union), writes=True)
    for cell, shares in {**first_cells, **cells}.items():
        assert told.shares[cell] == shares


def test_one_listed_share_is_placed_too() -> None:
    """Row 0 of its part is row 2 of the union."""
    only = lone_share([[5]], [(0, 0, 0, 3)])
    placed = Placed(only, np.array([2], np.int64), np.array([1], np.int64))
    rows = Catalogue(tuple(Row(bucket, *ROUTES[bucket]) for bucket in ("route:1", "route:2", "route:3")))
    found = merge_cells([placed], Series.WRITES, np.array([1000, 2000]), rows)
    assert (found.shares.rows.tolist(), found.shares.columns.tolist()) == ([2], [1])
    assert found.values.tolist() == [[0, 0], [0, 0], [0, 5]]


def test_a_plain_conflict_stays_beside_a_cell_of_many_shares() -> None:
    """And of many shares the first known identity makes a conflict as any other does."""
    stamps = [1000, 2000]
    parts = [
        answer_of(Node(name, {"route:1": ROUTES["route:1"]}, stamps, cells), Series.WRITES).matrix
        for name, cells in (
            ("a", {("route:1", 1000): {(1, 1): 5}, ("route:1", 2000): {(1, 1): 5, (1, 2): 3}}),
            ("b", {("route:1", 1000): {(1, 1): 4}, ("route:1", 2000): {(1, 1): 4}}),
        )
    ]
    placed = [Placed(matrix, None, None) for matrix in parts]
    found = merge_cells(placed, Series.WRITES, parts[0].columns, parts[0].catalogue)
    assert found.values.tolist() == [[5, 8]]
    assert found.conflicts is not None
    assert found.conflicts.tolist() == [[True, True]]


@pytest.mark.parametrize("width", [0, 1, 7, 8, 255, 256, 257, 1440])
def test_marks_are_counted_row_by_row(width: int) -> None:
    """Rows of either length, all of one too."""
    marks = np.random.default_rng(width).random((9, width)) < 0.5
    marks[0], marks[1] = True, False
    assert true_cells(marks).tolist() == [int(row.sum()) for row in marks]


def test_only_rows_in_which_leaders_differ_have_a_code_a_cell() -> None:
    """Nodes that say different counts under one leader are no reason, nor is one that says nothing."""
    ranges = {bucket: ROUTES[bucket] for bucket in ("route:1", "route:2", "route:3")}
    first = {("route:1", 1000): {(1, 1): 5}, ("route:2", 1000): {(1, 1): 5}, ("route:3", 1000): {(1, 1): 2}}
    second = {("route:1", 1000): {(1, 1): 4}, ("route:2", 2000): {(2, 1): 3}}
    parts = [
        answer_of(Node(name, ranges, [1000, 2000], cells), Series.WRITES).matrix
        for name, cells in (("a", first), ("b", second))
    ]
    placed = [Placed(matrix, None, None) for matrix in parts]
    leaders = merge_cells(placed, Series.WRITES, parts[0].columns, parts[0].catalogue).leaders
    assert leaders is not None
    assert leaders.of.tolist() == [1, -1, 1]
    assert leaders.codes.tolist() == [[1, 2]]


def test_the_largest_share_leads_a_cell_whatever_its_node_shows() -> None:
    """A peer may list shares and show the identity of a small one; nobody else has traffic in that row."""
    row = Catalogue((Row("route:1", *ROUTES["route:1"]),))
    both = np.zeros(2, np.int64)
    shares = Shares(both, both.copy(), np.array([1, 2], np.uint32), np.array([1, 8], np.uint64))
    identities, values = np.array([[0, 0], [1, 1], [2, 1]], np.uint64), np.array([[9, 4]], np.uint64)
    codes = np.array([[1, 1]], np.uint32)
    matrix = Matrix(Series.WRITES, np.array([1000, 2000]), row, values, identities, codes, shares)
    found = merge_cells([Placed(matrix, None, None)], Series.WRITES, matrix.columns, row)
    assert found.codes is not None
    assert found.codes.tolist() == [[2, 1]]
