"""Rows added up run by run against lists and loops: sums, identities and marks, whatever numbers they are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.matrix_body import MatrixRenderer
from keyviz_grpc.merge.folding import fold_runs
from keyviz_grpc.merge.saturating import row_totals
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.traffic import Leaders

MOST_CODES = 70_001
IDENTITIES = np.column_stack([np.arange(MOST_CODES), np.arange(MOST_CODES) // 2 + 1]).astype(np.uint64)
IDENTITIES[0] = 0

# Of each list the numbers are alike in their lower bits, or just as far apart as fits so many.
CODES = [
    [0, 1, 2, 3],
    [1, 65, 129],
    [1, 255, 256, 257],
    [0, 2, 256, 257],
    [1, 65_535, 65_536, 65_537],
    [0, 4, 65_540, 70_000],
]
VALUES = [[0, 1, 2], [0, 1, 255, 65_535, 65_536], [0, 3, 2**31, 2**32 - 1, 2**32], [0, 5, 2**63, 2**64 - 1], [0]]


def rows_of(count: int) -> Catalogue:
    """Neighbours in key order."""
    return Catalogue(tuple(Row(f"route:{n}", b"%02d" % n, b"%02d" % (n + 1)) for n in range(count)))


@st.composite
def matrices(draw: st.DrawFn) -> tuple[Matrix, Matrix]:
    """The same twice: with an identity in every cell, and under one leader a row but for those that have several.

    Where rows are told cell by cell they may show one identity all the same.
    """
    count, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    palette = draw(st.sampled_from(CODES))
    amounts, others = draw(st.sampled_from(VALUES)), draw(st.sampled_from(VALUES))
    several = draw(st.lists(st.sampled_from([False, False, True]), min_size=count, max_size=count))
    values, codes = np.zeros((count, width), np.uint64), np.zeros((count, width), np.uint32)
    for row in range(count):
        own = draw(st.sampled_from([amounts, amounts, others]))
        values[row] = draw(st.lists(st.sampled_from(own), min_size=width, max_size=width))
        shown = draw(st.lists(st.sampled_from(palette), min_size=width, max_size=width))
        codes[row] = np.where(values[row] > 0, shown if several[row] else shown[0], 0)
    columns = np.arange(1, 1 + width, dtype=np.int64) * 1000
    marks = draw(st.lists(st.booleans(), min_size=count * width, max_size=count * width))
    conflicts = np.array(marks).reshape(count, width) if any(marks) else None
    plain = Matrix(Series.WRITES, columns, rows_of(count), values, IDENTITIES, codes, conflicts=conflicts)
    led = Matrix.of_leaders(
        Series.WRITES,
        columns,
        plain.catalogue,
        values,
        leaders_of(values, codes, several),
        identities=IDENTITIES,
        conflicts=conflicts,
    )
    return plain, led


def leaders_of(values: NDArray[np.uint64], codes: NDArray[np.uint32], several: list[bool]) -> Leaders:
    """Row by row."""
    of, cells = [], []
    for row, told in enumerate(codes.tolist()):
        if several[row]:
            cells.append(told)
        of.append(-len(cells) if several[row] else max(told))
    whole = np.array([all(row) for row in values.tolist()])
    return Leaders(np.array(of), np.array(cells, np.uint32).reshape(-1, values.shape[1]), whole)


class Cell(NamedTuple):
    """What a matrix says of one."""

    value: int
    code: int
    conflict: bool


def told_by(matrix: Matrix) -> list[list[Cell]]:
    """All rows."""
    nothing = np.zeros(matrix.shape, np.uint32)
    codes = nothing if matrix.codes is None else matrix.codes
    conflicts = nothing > 0 if matrix.conflicts is None else matrix.conflicts
    rows = zip(matrix.values.tolist(), codes.tolist(), conflicts.tolist(), strict=True)
    return [[Cell(*cell) for cell in zip(*row, strict=True)] for row in rows]


def together(matrix: Matrix, first: int, last: int) -> list[Cell]:
    """Rows first to last (exclusive) as one."""
    folded = []
    for cells in zip(*told_by(matrix)[first:last], strict=True):
        codes = {cell.code for cell in cells if cell.value}
        value = min(2**64 - 1, sum(cell.value for cell in cells))
        folded.append(Cell(value, codes.pop() if len(codes) == 1 else 0, any(cell.conflict for cell in cells)))
    return folded


def answered(matrix: Matrix) -> Answer:
    """By one node."""
    return Answer(matrix, (Outcome("n1", node_id="n1", incarnation=1, step_ms=1000),), node_id="n1", step_ms=1000)


@settings(max_examples=500, deadline=None)
@given(both=matrices(), data=st.data())
def test_runs_of_rows_are_what_their_rows_are_together(both: tuple[Matrix, Matrix], data: st.DataObject) -> None:
    """Runs of any lengths, under one leader, several that differ or come again, unknown ones, and without traffic."""
    plain, led = both
    count = len(plain.values)
    ends = data.draw(st.lists(st.booleans(), min_size=count - 1, max_size=count - 1))
    bounds = [0, *(row for row, end in enumerate(ends, 1) if end), count]
    starts, catalogue = np.array(bounds[:-1], np.int64), rows_of(len(bounds) - 1)
    totals = row_totals(plain.values) if data.draw(st.booleans()) else None
    expected = [together(plain, first, last) for first, last in pairwise(bounds)]
    for matrix in (plain, led):
        folded = fold_runs(matrix, starts, catalogue, totals=totals, shares=False)
        assert told_by(folded) == expected
        assert (folded.leaders is None) == all(cell.code == 0 for row in expected for cell in row)
        cell_by_cell = replace(folded, leaders=None, codes=folded.codes)
        assert MatrixRenderer().render(answered(folded)) == MatrixRenderer().render(answered(cell_by_cell))
