"""Rows in which not all parts say the same leader: one picture, however their cells are looked at."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.codec import answer_bytes, decode_answer, parse_response
from keyviz_grpc.merge import entries, merge, mixed
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery

IDENTITIES = np.array([[0, 0], [1, 1], [2, 1]], np.uint64)
Cells = list[list[int]]


def part(name: str, values: Cells, codes: Cells) -> Answer:
    """One node's, as it comes in packed form: counts are as narrow as they can be."""
    rows = tuple(Row(f"route:{n}", b"%d" % n, b"%d" % (n + 1)) for n in range(1, len(values) + 1))
    columns = np.arange(1, len(values[0]) + 1) * 1000
    cells = np.array(values, np.uint64), IDENTITIES, np.array(codes, np.uint32)
    answer = Answer(
        Matrix(Series.WRITES, columns, Catalogue(rows), *cells), (Outcome(name),), node_id=name, step_ms=1000
    )
    raw = answer_bytes(answer, accept=(pb.MATRIX_ENCODING_COLUMNAR,))
    return decode_answer(parse_response(raw), series=Series.WRITES, outcome=Outcome(name))


@pytest.mark.parametrize(("few", "cells"), [(1 << 21, 1 << 18), (1 << 21, 0), (0, 1 << 18), (0, 0)])
@pytest.mark.parametrize(
    ("told", "values", "conflicts"),
    [
        # One node's row changes to an unknown leader; of another row there are two nodes.
        ([([[5, 0], [1, 2]], [[1, 0], [1, 0]]), ([[0, 6], [0, 0]], [[0, 2], [0, 0]])], [[5, 6], [1, 2]], None),
        # Beside it a row whose leaders are unknown in both.
        (
            [([[3, 0], [4, 0]], [[1, 0], [0, 0]]), ([[4, 0], [4, 1]], [[2, 0], [0, 0]])],
            [[7, 0], [4, 1]],
            [[False, False], [True, False]],
        ),
        # The later of two sums takes more bytes than any count.
        ([([[1, 200]], [[1, 1]]), ([[2, 201]], [[2, 2]])], [[3, 401]], None),
    ],
    ids=["alone", "unknown", "wider"],
)
def test_mixed_rows_are_merged(
    monkeypatch: pytest.MonkeyPatch,
    *,
    few: int,
    cells: int,
    told: list[tuple[Cells, Cells]],
    values: Cells,
    conflicts: list[list[bool]] | None,
) -> None:
    """All at once, or part by part; with all counts in one block, or in one for each width."""
    monkeypatch.setattr(entries, "FEW_BYTES", few)
    monkeypatch.setattr(mixed, "MOST_CELLS", cells)
    parts = [part(f"n{number}", *said) for number, said in enumerate(told)]
    matrix = merge(parts, query=MatrixQuery(), now_unix_ms=3000).matrix
    assert matrix.values.tolist() == values
    assert (None if matrix.conflicts is None else matrix.conflicts.tolist()) == conflicts
