"""Short rows and long ones are written in two ways, and read the same to the byte."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import Shape, cluster
from gateway import matrix_body
from gateway.joined_rows import NARROW, cut
from gateway.matrix_body import MatrixRenderer
from gateway.row_texts import MOST_PIECE_BYTES
from keyviz_grpc.merge import merge
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery

OK = Outcome("10.0.0.5:7801")


def both_ways(shown: Answer, *, identity: bool = True) -> bytes:
    """The body, written as of short rows; as of long ones it is the same."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matrix_body, "NARROW", -1)
        long = MatrixRenderer().render(shown, identity=identity)
        patched.setattr(matrix_body, "NARROW", 1 << 30)
        short = MatrixRenderer().render(shown, identity=identity)
    assert short == long
    orjson.loads(short)
    return short


def matrix_of(values: Any, series: Series = Series.WRITES, **more: Any) -> Matrix:
    """Rows of neighbouring ranges."""
    values = np.array(values, np.uint64)
    rows = tuple(Row(f"route:{n}", b"%06d" % n, b"%06d" % (n + 1)) for n in range(len(values)))
    return Matrix(series, np.arange(1, 1 + values.shape[1]) * 1000, Catalogue(rows), values, **more)


def shown(matrix: Matrix) -> Answer:
    """As an answer of one node."""
    return Answer(matrix, (OK,), step_ms=1000)


@pytest.mark.parametrize("columns", [2, NARROW, NARROW + 1])
@pytest.mark.parametrize("trouble", [True, False])
@pytest.mark.parametrize("identity", [True, False])
def test_merged_matrices(columns: int, trouble: bool, identity: bool) -> None:
    """With leaders that change, conflicts and soft columns, and without any."""
    shape = Shape(3, 40, columns, flips=trouble, divergent=trouble, conflict_share=0.2 if trouble else 0.0)
    answer = merge(cluster(shape), query=MatrixQuery(), now_unix_ms=5)
    body = both_ways(answer, identity=identity)
    assert MatrixRenderer().render(answer, identity=identity) == body
    assert (b'"conflicts":[' in body) == trouble


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_matrix(data: st.DataObject) -> None:
    """Unknown leaders, marks of either kind, single rows and columns, counts of any size."""
    rows, columns = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    cells = rows * columns

    def drawn(values: st.SearchStrategy[Any], dtype: Any) -> np.ndarray[Any, Any]:
        return np.array(data.draw(st.lists(values, min_size=cells, max_size=cells)), dtype).reshape(rows, columns)

    values = drawn(st.sampled_from([0, 1, 255, 2**64 - 1]), np.uint64)
    codes = np.where(values > 0, drawn(st.integers(0, 2), np.uint32), 0).astype(np.uint32)
    matrix = matrix_of(
        values,
        identities=np.array([[0, 0], [7, 3], [2**64 - 1, 8]], np.uint64),
        codes=data.draw(st.sampled_from([codes, None])),
        soft=data.draw(st.sampled_from([None, drawn(st.booleans(), np.bool_)])),
        conflicts=data.draw(st.sampled_from([None, drawn(st.booleans(), np.bool_)])),
    )
    both_ways(shown(matrix), identity=data.draw(st.booleans()))


def test_reads_have_no_identities() -> None:
    """Rows end after their marks."""
    body = orjson.loads(both_ways(shown(matrix_of([[1, 2], [0, 0]], Series.READS))))
    assert [row["values"] for row in body["rows"]] == [[1, 2], [0, 0]]
    assert not any("raft_group_ids" in row for row in body["rows"])


@pytest.mark.parametrize("size", [(0, 0), (0, 3), (3, 0)])
def test_no_rows_and_no_columns(size: tuple[int, int]) -> None:
    """Nodes without routes, and windows without columns."""
    body = orjson.loads(both_ways(shown(matrix_of(np.zeros(size)))))
    assert [row["values"] for row in body["rows"]] == [[]] * size[0]


def test_leaders_are_told_anew_when_they_change() -> None:
    """What is kept of them is found by the table of identities, which stays the same object."""
    identities = np.array([[0, 0], [7, 3], [8, 4]], np.uint64)
    for codes in ([[1], [2]], [[2], [1]], [[1], [2]], [[2], [2]]):
        matrix = matrix_of([[5], [6]], identities=identities, codes=np.array(codes, np.uint32))
        told = orjson.loads(both_ways(shown(matrix)))["rows"]
        assert [row["raft_group_ids"] for row in told] == [[int(identities[code, 0])] for (code,) in codes]


def test_kept_texts_are_not_altered_by_rows_of_several_leaders() -> None:
    """The same leaders of whole rows, once with another row beside them that changed its leader."""
    identities = np.array([[0, 0], [7, 3], [8, 4]], np.uint64)
    for second in ([0, 0], [1, 2], [0, 0]):
        codes = np.array([[1, 1], second], np.uint32)
        matrix = matrix_of([[5, 5], [6 * bool(code) for code in second]], identities=identities, codes=codes)
        told = orjson.loads(both_ways(shown(matrix)))["rows"]
        assert ("raft_group_ids" in told[1]) == any(second)


def test_texts_of_rows() -> None:
    """Ready to be closed by what follows them."""
    assert cut(np.array([[1, 2], [3, 4]], np.uint8)) == [b"1,2],", b"3,4],"]
    assert cut(np.array([[True], [False]])) == [b"true],", b"false],"]
    assert cut(np.asfortranarray(np.array([[1, 2], [3, 4]], np.uint64))) == [b"1,2],", b"3,4],"]


def test_pieces_of_many_short_rows() -> None:
    """None is much longer than pieces are, and together they are the body of one piece."""
    matrix = matrix_of(np.full((60_000, 3), 2**40, np.uint64))
    answer = replace(shown(matrix), column_nodes=None)
    pieces = MatrixRenderer().pieces(answer)
    assert max(map(len, pieces)) <= 2 * MOST_PIECE_BYTES
    assert len(pieces) < 40
    assert b"".join(pieces) == both_ways(answer)
