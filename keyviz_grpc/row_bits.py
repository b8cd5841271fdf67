"""Marks of cells as bits: those of a row in one word, where rows are that narrow. An hour of minutes is."""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bits: TypeAlias = NDArray[np.uint64]
"""One word a row; bit j is column j."""

WORD_BITS: Final = 64
BYTE_BITS: Final = 8


def row_bits(marks: NDArray[np.bool_]) -> Bits | None:
    """The marks of every row, or None where rows are too wide for a word."""
    rows, width = marks.shape
    # All rows are packed side by side, for one by one that takes ten times as long. After so many a row begins at a
    # byte again, and each of those before begins so many bits later in its byte.
    shared = math.gcd(width, BYTE_BITS)
    every = BYTE_BITS // shared
    if width + BYTE_BITS - shared > WORD_BITS:
        return None
    packed = np.packbits(marks.ravel(), bitorder="little")
    last = max(0, rows - 1) * width // BYTE_BITS
    if last + BYTE_BITS > len(packed):
        packed = np.concatenate([packed, np.zeros(BYTE_BITS, np.uint8)])
    bits = np.empty(rows, np.uint64)
    for number in range(min(every, rows)):
        at, shift = divmod(number * width, BYTE_BITS)
        own = bits[number::every]
        words = np.ndarray(own.shape, "<u8", packed, at, (every * width // BYTE_BITS,))
        np.right_shift(words, np.uint64(shift), out=own)
    bits &= np.uint64((1 << width) - 1)
    return bits


def marks_in(bits: Bits, width: int) -> NDArray[np.bool_]:
    """bool[R, width], of rows that narrow."""
    packed = bits.astype("<u8", copy=False).view(np.uint8).reshape(len(bits), BYTE_BITS)
    return np.unpackbits(packed, axis=1, count=width, bitorder="little").view(np.bool_)
