"""What is kept of a matrix for later: narrow, and no more than it needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model import Catalogue, Matrix, Row, Series, Shares
from keyviz_grpc.outcome import Answer, History, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import NodeColumns, Shelf
from keyviz_grpc.remembered.blocks import FAR, Narrow, between, size_bytes_of
from keyviz_grpc.remembered.joining import joined
from keyviz_grpc.remembered.shelf import weight_of

ROWS = Catalogue((Row("route:1", b"", b"m"), Row("route:2", b"m", b"")))
IDENTITIES = np.array([[0, 0], [1, 5], [1, 6], [1, 7], [2, 1], [2, 2]], np.uint64)


def matrix(codes: list[list[int]], shares: list[tuple[int, int, int, int]]) -> Matrix:
    """Two columns of 10 in every cell."""
    flat = np.array(shares, np.int64).reshape(-1, 4)
    listed = Shares(flat[:, 0], flat[:, 1], flat[:, 2].astype(np.uint32), flat[:, 3].astype(np.uint64))
    columns, values = np.array([1000, 2000], np.int64), np.full((2, 2), 10, np.uint64)
    return Matrix(Series.WRITES, columns, ROWS, values, IDENTITIES, np.array(codes, np.uint32), listed)


def test_identities_that_nothing_shows_or_lists_are_left_out() -> None:
    """The others keep their order, and every cell its identity."""
    whole = matrix([[2, 0], [5, 5]], [(0, 0, 2, 6), (0, 0, 3, 4)])
    narrow = Narrow.of(whole)
    assert narrow.identities.tolist() == [[0, 0], [1, 6], [1, 7], [2, 2]]
    assert narrow.codes is not None
    assert narrow.codes.dtype == np.uint8
    back = joined(Series.WRITES, ROWS, [(narrow, slice(0, 2))])
    assert back.codes is not None
    assert back.identities[back.codes].tolist() == IDENTITIES[np.array([[2, 0], [5, 5]])].tolist()
    assert back.identities[back.shares.codes].tolist() == [[1, 6], [1, 7]]
    assert back.shares.values.tolist() == [6, 4]


def test_nothing_is_renumbered_where_all_is_in_use() -> None:
    """And the unknown identity stays, used or not."""
    assert Narrow.of(matrix([[1, 2], [3, 4]], [(0, 0, 5, 1)])).identities.tolist() == IDENTITIES.tolist()
    unknown = Narrow.of(matrix([[0, 0], [0, 0]], []))
    assert (unknown.identities.tolist(), unknown.codes) == ([[0, 0]], unknown.codes)
    assert unknown.codes is not None
    assert not unknown.codes.any()


@pytest.mark.parametrize("first", [0, 1000, 1001, 2000])
def test_a_cut_block_is_what_is_put_together_from_there_on(first: int) -> None:
    """Cell by cell, with what cells list and how they are marked; in arrays of its own, of which it needs all."""
    marks = np.array([[True, False], [False, True]])
    shares = [(0, 0, 2, 6), (0, 0, 3, 4), (1, 1, 4, 3), (1, 1, 5, 7)]
    narrow = Narrow.of(replace(matrix([[2, 1], [5, 5]], shares), soft=marks, conflicts=~marks))
    own, part = narrow.since(first), between(narrow, first, FAR)
    expected = joined(Series.WRITES, ROWS, [(narrow, part)])
    told = joined(Series.WRITES, ROWS, [(own, slice(0, len(own.columns)))])
    assert told.columns.tolist() == expected.columns.tolist()
    assert told.values.tolist() == expected.values.tolist()
    assert told.shares.columns.tolist() == expected.shares.columns.tolist()
    assert told.shares.values.tolist() == expected.shares.values.tolist()
    for mine, others in ((told, expected), (expected, told)):
        assert mine.codes is not None
        assert others.codes is not None
        for own_codes, other_codes in ((mine.codes, others.codes), (mine.shares.codes, others.shares.codes)):
            assert mine.identities[own_codes].tolist() == others.identities[other_codes].tolist()
    for name in ("soft", "conflicts"):
        got, wanted = getattr(told, name), getattr(expected, name)
        assert (got is None) == (wanted is None)
        assert got is None or got.tolist() == wanted.tolist()
    assert own.codes is not None
    assert set(range(1, len(own.identities))) <= {*own.codes.ravel().tolist(), *own.shares.codes.tolist()}
    assert not any(np.shares_memory(a, b) for a, b in ((own.columns, narrow.columns), (own.values, narrow.values)))


def test_a_cut_block_has_no_marks_where_none_are_left() -> None:
    """They would take a byte a cell for as long as it is kept."""
    gone = np.array([[True, False], [True, False]])
    narrow = Narrow.of(replace(matrix([[2, 1], [5, 5]], []), soft=gone, conflicts=~gone))
    own = narrow.since(2000)
    assert own.soft is None
    assert own.conflicts is not None
    assert not np.shares_memory(own.conflicts, narrow.conflicts)


def test_what_is_on_its_way_when_all_is_forgotten_is_not_kept() -> None:
    """Whoever listens there now is asked in full; the answer itself stays whole."""
    shelf = Shelf(1 << 20)
    columns = NodeColumns(shelf)
    query = MatrixQuery(Series.WRITES)
    answer = Answer(
        matrix([[1, 2], [3, 4]], []),
        (Outcome("a:1", node_id="n1", incarnation=1),),
        node_id="n1",
        incarnation=1,
        step_ms=1000,
        oldest_unix_ms=1000,
        history=History(1, newest_unix_ms=2000),
    )
    late = columns.recall(query)
    columns.forget()
    assert late.whole(answer, 10) is answer
    assert columns.recall(query).held is None
    columns.recall(query).whole(answer, 10)
    held = columns.recall(query).held
    assert held is not None
    stamps_bytes = 2 * 8  # of the columns, and once more of all of them
    assert shelf.used_bytes == size_bytes_of(held.pieces[0].block) + stamps_bytes + weight_of(ROWS)


def test_columns_of_narrow_counts_are_looked_at() -> None:
    """As those of a matrix that is made by hand."""
    counts = np.ones((2, 2), np.uint8)
    with pytest.raises(MalformedAnswer, match="ascending"):
        Matrix.of_counts(Series.READS, np.array([2000, 1000], np.int64), ROWS, counts, None)
