"""Long rows that are carried on by new columns read as if they had been written anew, to the byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import matrix_body
from gateway.carried_rows import FEW_COLUMNS, Start, carried
from gateway.matrix_body import MatrixRenderer
from keyviz_grpc.merge.columns import select_columns
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.remembered import Shelf
from keyviz_grpc.remembered.continued import Continued
from keyviz_grpc.traffic import Leaders

IDENTITIES = np.array([[0, 0], [7, 3], [2**64 - 1, 8]], np.uint64)


@pytest.fixture(autouse=True)
def _long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of any length count as long."""
    monkeypatch.setattr(matrix_body, "NARROW", 0)


def matrix_of(values: Any, **more: Any) -> Matrix:
    """Rows of neighbouring ranges."""
    values = np.array(values, np.uint64)
    rows = tuple(Row(f"route:{n}", b"%06d" % n, b"%06d" % (n + 1)) for n in range(len(values)))
    stamps = np.arange(1, 1 + values.shape[1]) * 1000
    return Matrix(Series.WRITES, stamps, Catalogue(rows), values, IDENTITIES, **more)


def shown(matrix: Matrix) -> Answer:
    """As an answer of one node."""
    return Answer(matrix, (Outcome("10.0.0.5:7801"),), step_ms=1000)


def goes_on(whole: Matrix, columns: slice, before: Matrix) -> Matrix:
    """Those columns, which begin with what is left of the matrix before."""
    dropped = columns.start - int(before.columns[0]) // 1000 + 1
    return Continued.of(select_columns(whole, columns), before, slice(dropped, len(before.columns)))


@pytest.mark.parametrize("seed", range(10))
def test_rows_that_only_old_columns_say_anything_of(seed: int) -> None:
    """Who led them is said, whether the newest columns tell of it or not; each row falls silent at some column."""
    chance, shape = np.random.default_rng(seed), (30, 3 * FEW_COLUMNS)
    silent = np.arange(shape[1]) >= chance.integers(0, shape[1] + 1, (shape[0], 1))
    values = np.where(silent, 0, chance.integers(0, 3, shape))
    codes = np.where(values > 0, chance.integers(0, 3, shape) * (chance.random((shape[0], 1)) < 0.8), 0)
    matrix = matrix_of(values, codes=codes.astype(np.uint32))
    assert MatrixRenderer(shelf=Shelf(1 << 24)).render(shown(matrix)) == MatrixRenderer().render(shown(matrix))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_matrix_at_any_steps(data: st.DataObject) -> None:
    """Rows that are marked or led for the first or the last time, or have no traffic any more; in texts of any size."""
    rows, columns = data.draw(st.integers(1, 5)), data.draw(st.integers(2, 9))
    cells = rows * columns

    def drawn(values: st.SearchStrategy[Any], dtype: Any) -> np.ndarray[Any, Any]:
        return np.array(data.draw(st.lists(values, min_size=cells, max_size=cells)), dtype).reshape(rows, columns)

    values = drawn(st.sampled_from([0, 0, 1, 255, 2**64 - 1]), np.uint64)
    codes = np.where(values > 0, drawn(st.sampled_from([0, 1, 1, 1, 2]), np.uint32), 0).astype(np.uint32)
    rarely = st.sampled_from([False, False, False, True])
    whole = matrix_of(
        values,
        codes=data.draw(st.sampled_from([codes, None])),
        soft=data.draw(st.sampled_from([None, drawn(rarely, np.bool_)])),
        conflicts=data.draw(st.sampled_from([None, drawn(rarely, np.bool_)])),
    )
    identity = data.draw(st.booleans())
    kept, first, end = MatrixRenderer(shelf=Shelf(1 << 24)), 0, data.draw(st.integers(1, columns - 1))
    before = select_columns(whole, slice(0, end))
    kept.render(shown(before), identity=identity)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gateway.carried_rows.piece_bytes", lambda _: data.draw(st.integers(1, 400)))
        while end < columns:
            first, end = data.draw(st.integers(first, end - 1)), data.draw(st.integers(end + 1, columns))
            before = goes_on(whole, slice(first, end), before)
            told = kept.render(shown(before), identity=identity)
            assert told == MatrixRenderer().render(shown(before), identity=identity)


def test_only_new_columns_are_looked_at() -> None:
    """Of rows that had an array before, all of it up to there is taken as it was written."""
    rng = np.random.default_rng(3)
    values = rng.integers(1, 300, (3, 6))
    codes = np.array([[1] * 6, [1, 2, 1, 2, 1, 2], [2] * 6], np.uint32)
    marks = np.zeros((3, 6), np.bool_)
    marks[1, 2] = True
    whole = matrix_of(values, codes=codes, conflicts=marks)
    other = matrix_of(np.where(np.arange(6) < 5, 9, values), codes=np.minimum(codes + 1, 2) % 3, conflicts=marks)
    openings = [b"%d[" % row for row in range(3)]
    before = select_columns(whole, slice(0, 5))
    start = Start.of(goes_on(other, slice(1, 6), before), before, carried(openings, before, None, identity=True))
    assert start is not None
    assert (start.dropped, start.new) == (1, 1)
    made = b"".join(carried(openings, goes_on(other, slice(1, 6), before), start, identity=True).pieces())
    text = b",".join(b"%d" % value for value in values[1, 1:])
    assert b'1[%b],"conflict":true,"conflicts":[false,true,false,false,false],' % text in made


def test_what_is_worth_no_start() -> None:
    """Too many columns gone, none left, none new, or another matrix."""
    whole = matrix_of(np.ones((1, 2 * FEW_COLUMNS + 2)))
    before = select_columns(whole, slice(0, FEW_COLUMNS + 2))
    rows = carried([b"["], before, None, identity=True)
    for first, end, worth in (
        (FEW_COLUMNS, FEW_COLUMNS + 3, True),
        (FEW_COLUMNS + 1, FEW_COLUMNS + 3, False),
        (FEW_COLUMNS + 2, FEW_COLUMNS + 4, False),
        (1, FEW_COLUMNS + 2, False),
    ):
        later = goes_on(whole, slice(first, end), before)
        assert (Start.of(later, before, rows) is not None) == worth
        assert Start.of(later, whole, rows) is None
    without_the_last = Continued.of(select_columns(whole, slice(0, 4)), before, slice(0, 3))
    assert Start.of(without_the_last, before, rows) is None


def test_rows_of_which_nothing_is_known_say_nothing() -> None:
    """Cell by cell or at once: a row that was led by several may have traffic left of which nobody knows a leader."""
    values, whole = np.ones((3, 2), np.uint64), np.ones(3, np.bool_)
    codes = np.array([[0, 0], [0, 2]], np.uint32)
    plain = matrix_of(values)
    leaders = Leaders(np.array([-1, 1, -2]), codes, whole)
    matrix = Matrix.of_leaders(Series.WRITES, plain.columns, plain.catalogue, values, leaders, identities=IDENTITIES)
    told = b"".join(carried([b"1[", b"2[", b"3["], matrix, None, identity=True).pieces())
    assert told.startswith(b'1[1,1],"conflict":false},2[')
    assert b'2[1,1],"conflict":false,"raft_group_ids":[7,7]' in told
    assert b'3[1,1],"conflict":false,"raft_group_ids":[0,18446744073709551615],"leader_terms":[0,8]}' in told


def test_what_is_kept_is_weighed_in_full() -> None:
    """Texts as they are, and where the arrays stand in them."""
    whole = matrix_of(np.ones((40, 50)), conflicts=np.eye(40, 50) > 0)
    shelf = Shelf(1 << 24)
    pieces = MatrixRenderer(shelf=shelf).pieces(shown(whole))[1:-1]
    alone = Shelf(1 << 24)
    alone.put("a", 1, "", size_bytes=0, shared=(whole.catalogue, whole))
    assert shelf.used_bytes - alone.used_bytes == sum(map(len, pieces)) + 1 + 2 * 40 * 16
