"""What a part brings to a merge: the rows in which it has traffic, those with little of it cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Busy, Matrix

THIN: Final = 8
"""A row with traffic in one of so many columns at most is added cell by cell."""

WORTH_CELLS: Final = 1 << 13
"""Where thin rows have fewer cells than this, finding them out takes as long as adding them whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A part's matrix and where it goes: its row i is row rows[i] of the union, its column j column columns[j].

    rows, columns None: the part has the union's rows (columns), in order.
    """

    matrix: Matrix
    rows: NDArray[np.int64] | None
    columns: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The rows of a part that have traffic: values, codes [B, C] of the union's rows `rows` (int64[B], each once).

    codes: those of the part, None: all unknown; remap: the union's of the part's, None: the same. is_thin[i]: row i has
    traffic in few columns; None: no row has.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.uint64]
    codes: NDArray[np.uint32] | None
    remap: NDArray[np.uint32] | None
    is_thin: NDArray[np.bool_] | None = None

    def thick(self) -> Block:
        """Without the thin rows."""
        return self if self.is_thin is None else self.take(~self.is_thin)

    def take(self, chosen: NDArray[np.bool_]) -> Block:
        """Some of its rows."""
        at = np.flatnonzero(chosen)
        codes = None if self.codes is None else self.codes.take(at, axis=0)
        return Block(self.rows[at], self.values.take(at, axis=0), codes, self.remap)

    def united_codes(self) -> NDArray[np.uint32]:
        """The union's codes of all its cells."""
        if self.codes is None:
            return np.zeros(self.values.shape, np.uint32)
        return self.codes if self.remap is None else self.remap.take(self.codes)

    def thin(self) -> Sparse:
        """The cells with traffic of the thin rows."""
        if self.is_thin is None:
            return Sparse(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint32))
        own = np.flatnonzero(self.is_thin)
        width = self.values.shape[1]
        values = self.values.take(own, axis=0).ravel()
        at = np.flatnonzero(values != 0)
        rows, columns = np.divmod(at, width)
        rows = own[rows]
        codes = np.zeros(len(at), np.uint32) if self.codes is None else self.codes[rows, columns]
        codes = codes if self.remap is None else self.remap.take(codes)
        return Sparse(self.rows[rows] * width + columns, values[at], codes)


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """Single cells of the union by number (row by row), each once, with traffic."""

    cells: NDArray[np.int64]
    values: NDArray[np.uint64]
    codes: NDArray[np.uint32]


def busy_rows(matrix: Matrix) -> Busy:
    """The rows of a matrix that have traffic, as whoever decoded it left them, or looked for now."""
    if matrix.busy is not None:
        return matrix.busy
    rows = np.flatnonzero(np.bitwise_or.reduce(matrix.values, axis=1))
    return Busy(
        rows, matrix.values.take(rows, axis=0), None if matrix.codes is None else matrix.codes.take(rows, axis=0)
    )


def block_of(part: Placed, remap: NDArray[np.uint32] | None, width: int) -> Block:
    """Of a union of so many columns; remap: as in `Block`."""
    ready = busy_rows(part.matrix)
    rows = ready.rows if part.rows is None else part.rows[ready.rows]
    values, codes, counts = ready.values, ready.codes, ready.counts
    if part.columns is not None:
        wide = np.zeros((len(rows), width), np.uint64)
        wide[:, part.columns] = values
        values = wide
        if codes is not None:
            wide_codes = np.zeros(wide.shape, np.uint32)
            wide_codes[:, part.columns] = codes
            codes = wide_codes
    is_thin = None
    if counts is not None:
        is_thin = counts * THIN <= width
        if int(np.count_nonzero(is_thin)) * width < WORTH_CELLS:
            is_thin = None
    return Block(rows, values, codes, remap if codes is not None else None, is_thin)
