"""Rows in which not all parts say the same leader: one picture, however their cells are looked at."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.codec import answer_bytes, decode_answer, parse_response
from keyviz_grpc.merge import entries, few, merge, mixed
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery

IDENTITIES = np.array([[0, 0], [1, 1], [2, 1], [1, 2]], np.uint64)
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


@pytest.mark.parametrize(("few_bytes", "cells"), [(1 << 21, 1 << 18), (1 << 21, 0), (0, 1 << 18), (0, 0)])
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
        # Of three nodes two tell of one identity, alike in the first cell.
        (
            [([[5, 5]], [[1, 1]]), ([[3, 3]], [[2, 2]]), ([[5, 4]], [[1, 1]])],
            [[8, 8]],
            [[False, True]],
        ),
        # Counts are as wide as can be.
        ([([[2**64 - 3, 1]], [[1, 1]]), ([[2, 2]], [[2, 2]])], [[2**64 - 1, 3]], None),
    ],
    ids=["alone", "unknown", "wider", "twice", "widest"],
)
@pytest.mark.parametrize("for_display", [False, True])
def test_mixed_rows_are_merged(
    monkeypatch: pytest.MonkeyPatch,
    *,
    few_bytes: int,
    cells: int,
    told: list[tuple[Cells, Cells]],
    values: Cells,
    conflicts: list[list[bool]] | None,
    for_display: bool,
) -> None:
    """All at once, or part by part; with all counts in one block, or in one for each width."""
    monkeypatch.setattr(entries, "FEW_BYTES", few_bytes)
    monkeypatch.setattr(mixed, "MOST_CELLS", cells)
    parts = [part(f"n{number}", *said) for number, said in enumerate(told)]
    matrix = merge(parts, query=MatrixQuery(for_display=for_display), now_unix_ms=3000).matrix
    assert matrix.values.tolist() == values
    assert (None if matrix.conflicts is None else matrix.conflicts.tolist()) == conflicts
    assert not (for_display and len(matrix.shares))


def test_what_would_take_too_much_is_not_looked_at_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """But part by part, with the same result."""
    parts = [part("n1", [[5, 0], [1, 2]], [[1, 0], [1, 1]]), part("n2", [[2, 6], [0, 0]], [[2, 2], [0, 0]])]
    whole = merge(parts, query=MatrixQuery(), now_unix_ms=3000).matrix
    monkeypatch.setattr(mixed, "MOST_CELLS", 0)
    monkeypatch.setattr(few, "look_at", lambda *_: pytest.fail("all rows were looked at"))
    matrix = merge(parts, query=MatrixQuery(), now_unix_ms=3000).matrix
    assert matrix.values.tolist() == whole.values.tolist() == [[7, 6], [1, 2]]


@pytest.mark.parametrize(
    ("said", "leader"),
    [
        ([(5, 1), (4, 2)], (1, 1)),  # more counts
        ([(5, 1), (5, 3)], (1, 2)),  # as many: the higher term
        ([(5, 3), (5, 2)], (1, 2)),  # before the higher group
        ([(5, 2), (5, 1)], (2, 1)),  # of equal terms the higher group
        ([(5, 1), (4, 2), (5, 3)], (1, 2)),
    ],
)
@pytest.mark.parametrize("for_display", [False, True])
def test_the_largest_share_leads(*, said: list[tuple[int, int]], leader: tuple[int, int], for_display: bool) -> None:
    """Of a cell that several nodes counted under identities of their own; ties go to the higher term, then group."""
    parts = [part(f"n{number}", [[count, 0]], [[code, 0]]) for number, (count, code) in enumerate(said)]
    matrix = merge(parts, query=MatrixQuery(for_display=for_display), now_unix_ms=3000).matrix
    assert matrix.codes is not None
    assert tuple(matrix.identities[matrix.codes[0, 0]].tolist()) == leader
    assert matrix.values.tolist() == [[sum(count for count, _ in said), 0]]
    assert matrix.conflicts is None
    listed = matrix.identities.take(matrix.shares.codes, axis=0).tolist()
    shares = sorted([*IDENTITIES[code].tolist(), count] for count, code in said)
    told = [[*identity, count] for identity, count in zip(listed, matrix.shares.values.tolist(), strict=True)]
    assert told == ([] if for_display else shares)
