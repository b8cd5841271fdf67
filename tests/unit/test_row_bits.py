"""Marks of cells as bits, a word a row."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc import traffic
from keyviz_grpc.row_bits import marks_in, row_bits
from keyviz_grpc.traffic import true_cells


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 7, 8, 9, 40])
@pytest.mark.parametrize("width", [0, 1, 3, 8, 12, 24, 48, 56, 57, 58, 60, 64])
def test_each_row_is_a_word(rows: int, width: int) -> None:
    """Wherever in a byte it begins, and the last ones too, behind which nothing stands."""
    marks = np.random.default_rng(width).random((rows, width)) < 0.5
    bits = row_bits(marks)
    assert bits is not None
    assert bits.tolist() == [sum(1 << column for column in np.flatnonzero(row).tolist()) for row in marks]
    back = marks_in(bits, width)
    assert back.dtype == np.bool_
    assert back.shape == marks.shape
    assert back.tolist() == marks.tolist()


@pytest.mark.parametrize("width", [59, 61, 62, 63, 65, 72, 1440])
def test_rows_that_do_not_fit_a_word_are_none(width: int) -> None:
    """Also where a row fits one that begins with it, but not every row does."""
    assert row_bits(np.ones((3, width), np.bool_)) is None


def test_rows_in_no_one_piece_are_read_as_they_are() -> None:
    """Every other column of wider rows."""
    wide = np.random.default_rng(3).random((9, 24)) < 0.5
    assert row_bits(wide[:, ::2]) == pytest.approx(row_bits(np.ascontiguousarray(wide[:, ::2])))


@pytest.mark.parametrize("width", [1, 56, 60, 61, 64, 72])
def test_many_rows_are_counted_as_few(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By bits where they fit."""
    marks = np.random.default_rng(width).random((50, width)) < 0.5
    few = true_cells(marks)
    monkeypatch.setattr(traffic, "MANY_ROWS", 50)
    many = true_cells(marks)
    assert many.dtype == few.dtype
    assert many.tolist() == few.tolist() == marks.sum(axis=1).tolist()
