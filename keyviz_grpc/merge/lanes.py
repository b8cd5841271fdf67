"""Rows reduced run by run, several columns at a time: `reduceat` along rows costs by the number, however wide it is."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Lanes: TypeAlias = NDArray[Any]
"""Cells in rows of whole 64-bit words; what a row has beyond its columns is 0."""

WORD_BYTES: Final = 8


def in_lanes(cells: NDArray[Any], lane: type[np.generic]) -> Lanes:
    """The cells in lanes of that type, without the upper bits of what does not fit one; not copied where they are."""
    rows, width = cells.shape
    a_word = WORD_BYTES // np.dtype(lane).itemsize
    if cells.dtype == lane and width % a_word == 0 and cells.flags.c_contiguous:
        return cells
    lanes = np.empty((rows, -(-width // a_word) * a_word), lane)
    lanes[:, :width] = cells
    if lanes.shape[1] > width:
        lanes[:, width:] = 0
    return lanes


def reduced(operation: np.ufunc, lanes: Lanes, starts: NDArray[np.int64]) -> Lanes:
    """Row i is of rows starts[i] to starts[i + 1]: all bits of them, or sums that fit their lanes."""
    words: NDArray[np.uint64] = operation.reduceat(lanes.view(np.uint64), starts, axis=0)
    return words.view(lanes.dtype)
