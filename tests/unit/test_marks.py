"""Marked cells are counted and found as numpy would, whatever the width of rows and however many are marked."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.traffic import LONG, is_any, rows_and_columns, true_cells, where


@pytest.mark.parametrize("part", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize(
    "width", [0, 1, 2, 3, 4, 7, 8, 60, 62, 255, 256, 257, 510, 512, 513, 1020, 1024, 1028, 1440, 2040, 2044, 2048, 4096]
)
def test_marks_of_rows_are_counted(width: int, part: float) -> None:
    """Of all widths at which another way of counting begins, or a byte is full."""
    marks = np.random.default_rng(width).random((5, width)) < part
    counts = true_cells(marks)
    assert counts.dtype == np.int64
    assert counts.tolist() == [sum(row) for row in marks.tolist()]


@pytest.mark.parametrize("part", [0.0, 0.001, 0.03, 0.2, 1.0])
@pytest.mark.parametrize("length", [0, 9, LONG - 1, LONG, LONG + 1, 3 * LONG + 7])
def test_marks_are_found(length: int, part: float) -> None:
    """Few and many, the last ones too where a word is not full."""
    marks = np.random.default_rng(length).random(length) < part
    if length and part:
        marks[-1] = True
    assert where(marks).tolist() == [number for number, marked in enumerate(marks.tolist()) if marked]


@pytest.mark.parametrize(
    ("shape", "at"), [((0, 4), ()), ((3, 0), ()), ((3, 4), ()), ((3, 4), (0, 0)), ((3, 4), (2, 3))]
)
def test_one_mark_is_enough(shape: tuple[int, int], at: tuple[int, ...]) -> None:
    """Wherever it is; there may be no cells at all."""
    marks = np.zeros(shape, np.bool_)
    if at:
        marks[at] = True
    assert is_any(marks) is bool(at)


@pytest.mark.parametrize("width", [1, 7, 60])
def test_cells_are_told_apart_by_row_and_column(width: int) -> None:
    """As they are numbered row by row."""
    rows, columns = rows_and_columns(np.arange(5 * width), width)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(r, c) for r in range(5) for c in range(width)]
