"""Traffic as it is sent and merged: only rows that have any, as narrow as it is, under one leader a row as a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.row_bits import row_bits
from keyviz_grpc.unchanging import unchanging

FULL: Final = 255
"""What a byte counts to."""

EVERY_OTHER_BYTE: Final = np.uint64(0x00FF_00FF_00FF_00FF)
EVERY_PAIR: Final = np.uint64(0x0001_0001_0001_0001)

_WORDS: Final = tuple(
    (word, word().itemsize, word((1 << 8 * word().itemsize) // FULL), word(8 * word().itemsize - 8))
    for word in (np.uint64, np.uint32, np.uint16, np.uint8)
)
"""Of each width: its bytes, one in every byte, and where its highest byte begins."""

MANY_ROWS: Final = 1 << 12
"""Marks of so many narrow rows are packed to bits sooner than they are added up."""

LONG: Final = 1 << 16
FEW: Final = 8
"""In so many marks, of which one of so many is set at most, those that are set are looked for word by word."""

Counts: TypeAlias = "NDArray[np.unsignedinteger]"
"""Of any width."""


def freeze(*arrays: NDArray[Any]) -> None:
    """Makes them read-only, for whoever holds what they are in."""
    for array in arrays:
        array.setflags(write=False)


@unchanging(frozen=True, slots=True, eq=False)
class Runs:
    """Codes of cells that have traffic, in cell order: codes[i] occurs lengths[i] times; read-only both in a matrix."""

    codes: NDArray[np.uint32]
    lengths: Counts

    @classmethod
    def found(cls, values: Counts, codes: NDArray[np.uint32]) -> Runs:
        """Of the code of every cell."""
        told = codes.ravel().take(np.flatnonzero(values.ravel() != 0))
        if len(told) == 0:
            return NO_RUNS
        starts = where(begins(told))
        runs = cls(told[starts], lengths_of(starts, len(told)).astype(np.uint32))
        freeze(runs.codes, runs.lengths)
        return runs

    def spread(self, values: Counts) -> NDArray[np.uint32]:
        """The code of every cell, 0 without traffic; values: those of the matrix."""
        codes = np.zeros(values.shape, np.uint32)
        codes[values != 0] = self.codes.repeat(self.lengths)
        return codes


NO_RUNS: Final = Runs(np.empty(0, np.uint32), np.empty(0, np.uint32))
freeze(NO_RUNS.codes, NO_RUNS.lengths)


@unchanging(frozen=True, slots=True, eq=False)
class Strip:
    """Some rows of a matrix: values[B, C] of the rows `rows` (int64[B], ascending, each once), read-only both."""

    rows: NDArray[np.int64]
    values: Counts


@unchanging(frozen=True, slots=True, eq=False)
class Busy:
    """The rows of a matrix that have traffic, each in one strip; every other row is 0 throughout.

    runs: None where every cell is unknown.
    """

    strips: Sequence[Strip]
    runs: Runs | None

    @classmethod
    def found(cls, values: Counts, codes: NDArray[np.uint32] | None) -> Busy:
        """Of every cell."""
        rows = np.flatnonzero(np.bitwise_or.reduce(values, axis=1))
        runs = None if codes is None else Runs.found(values, codes)
        freeze(rows, own := values.take(rows, axis=0))
        return cls([Strip(rows, own)], runs)

    @property
    def row_count(self) -> int:
        """How many there are."""
        return sum([len(strip.rows) for strip in self.strips])

    def spread(self, shape: tuple[int, int]) -> Counts:
        """The values of all rows of the matrix, as narrow as they are."""
        values: Counts = np.zeros(shape, np.result_type(np.uint8, *(strip.values.dtype for strip in self.strips)))
        for strip in self.strips:
            values[strip.rows] = strip.values
        return values

    def at(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The values of some cells."""
        values = np.zeros(len(rows), np.uint64)
        for strip in self.strips:
            if len(strip.rows):
                own = np.minimum(np.searchsorted(strip.rows, rows), len(strip.rows) - 1)
                there = np.flatnonzero(strip.rows[own] == rows)
                values[there] = strip.values[own[there], columns[there]]
        return values


@unchanging(frozen=True, slots=True, eq=False)
class RowCodes:
    """Codes of the cells of some rows, one for all of a row as a rule.

    of: int64[R]; a number from 0 on is the code of all cells of the row that have traffic, and -1 - i says that the row
    is mixed: it has several, which are codes[i]. codes: uint32[M, C]; a cell without traffic has code 0.
    """

    of: NDArray[np.int64]
    codes: NDArray[np.uint32]

    def mixed(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(which of these rows are mixed, where in `codes` theirs are)."""
        return _mixed(self.of.take(rows))

    def at(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Of single cells that have traffic, of rows in any order, several times too."""
        told = self.of.take(rows)
        several, places = _mixed(told)
        told[several] = self.codes[places, columns[several]]
        return told.astype(np.uint32)

    def spread(self, values: Counts) -> NDArray[np.uint32]:
        """Of every cell of rows with those values."""
        return self.over(values != 0)

    def over(self, busy: NDArray[np.bool_]) -> NDArray[np.uint32]:
        """Of every cell of rows that have traffic there."""
        return self._over(self.of, busy)

    def of_any(self, rows: NDArray[np.int64], busy: NDArray[np.bool_]) -> NDArray[np.uint32]:
        """Of every cell of some rows, which have traffic there."""
        return self._over(self.of.take(rows), busy)

    def _over(self, of: NDArray[np.int64], busy: NDArray[np.bool_]) -> NDArray[np.uint32]:
        # What a mixed row has for a moment, it loses at once.
        spread: NDArray[np.uint32] = busy * of.astype(np.uint32)[:, np.newaxis]
        mixed, places = _mixed(of)
        if len(mixed):
            spread[mixed] = self.codes.take(places, axis=0)
        return spread


@unchanging(frozen=True, slots=True, eq=False)
class Leaders(RowCodes):
    """Under which code the traffic of every row of a matrix stands.

    whole: bool[R], whether a row is known to have traffic in every column; where it says no, nobody looked.
    """

    whole: NDArray[np.bool_]

    def __post_init__(self) -> None:
        freeze(self.of, self.codes, self.whole)

    @property
    def size_bytes(self) -> int:
        """Of its arrays."""
        return self.of.nbytes + self.codes.nbytes + self.whole.nbytes

    @classmethod
    def found(cls, values: Counts, codes: NDArray[np.uint32]) -> Leaders:
        """Of the code of every cell."""
        busy = values != 0
        counts = true_cells(busy)
        of = codes.max(axis=1, initial=0).astype(np.int64)
        mixed = np.flatnonzero(true_cells((codes == of[:, np.newaxis]) & busy) != counts)
        of[mixed] = mixed_codes(len(mixed))
        return cls(of, codes.take(mixed, axis=0), counts == values.shape[1])

    @classmethod
    def joined(cls, parts: Sequence[tuple[NDArray[np.int64], Leaders]], rows: int) -> Leaders:
        """Those of all rows of a matrix; each part with the rows of which it is. The others have no leader."""
        of, whole, known = np.zeros(rows, np.int64), np.zeros(rows, np.bool_), 0
        for own, part in parts:
            of[own] = np.where(part.of < 0, part.of - known, part.of)
            whole[own] = part.whole
            known += len(part.codes)
        return cls(of, np.concatenate([part.codes for _, part in parts]), whole)

    def take(self, rows: NDArray[np.int64]) -> Leaders:
        """Those of some rows."""
        of = self.of.take(rows)
        mixed, places = _mixed(of)
        of[mixed] = mixed_codes(len(mixed))
        return Leaders(of, self.codes.take(places, axis=0), self.whole.take(rows))

    @property
    def any(self) -> bool:
        """Whether any cell may have an identity."""
        return bool(np.count_nonzero(self.codes) or np.count_nonzero(self.of > 0))


def mixed_codes(count: int) -> NDArray[np.int64]:
    """What `RowCodes.of` says of so many mixed rows, one after the other."""
    return np.arange(-1, -1 - count, -1)


def _mixed(of: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `RowCodes.mixed`, of rows of which this is told."""
    several = where(of < 0)
    return several, -1 - of.take(several)


def true_cells(marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many each row has."""
    width = marks.shape[1]
    if width == 1:  # what closed since the last poll, as a rule
        return marks.ravel().astype(np.int64)
    if len(marks) >= MANY_ROWS and (packed := row_bits(marks)) is not None:
        return np.bitwise_count(packed).astype(np.int64)
    for word, word_bytes, ones, top in _WORDS:
        if not width % word_bytes and width <= FULL * word_bytes:
            # Marks are bytes of 0 and 1. Those of a word are added in one go, and at last the bytes of the sums.
            words_sum: Counts = np.einsum("ij->i", marks.view(word))
            if width <= FULL:
                # What all bytes come to fits the highest one, to which a product with ones adds them up.
                return (words_sum * ones >> top).astype(np.int64)
            sums = words_sum.astype(np.uint64)
            pairs: NDArray[np.uint64] = (sums & EVERY_OTHER_BYTE) + (sums >> np.uint64(8) & EVERY_OTHER_BYTE)
            return (pairs * EVERY_PAIR >> np.uint64(48)).view(np.int64)
    counts: NDArray[np.int64] = np.bitwise_count(np.packbits(marks, axis=1)).sum(axis=1, dtype=np.int64)
    return counts


def is_any(marks: NDArray[np.bool_]) -> bool:
    """Whether any is set: the first one that is ends the search, and none goes through Python as in `any`."""
    return bool(marks.size and marks.ravel()[marks.argmax()])


def where(marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The numbers of what is marked in a flat array: `flatnonzero` without its three calls more."""
    if len(marks) < LONG or np.count_nonzero(marks) * FEW > len(marks):
        numbers: NDArray[np.int64] = marks.nonzero()[0]
        return numbers
    # Eight at a time: only words in which anything is marked are looked at.
    whole = len(marks) & -8
    words = where(marks[:whole].view(np.uint64) != 0)
    cells = marks[:whole].reshape(-1, 8).take(words, axis=0).ravel().nonzero()[0]
    cells = (words.take(cells >> 3) << 3) + (cells & 7)
    return np.concatenate([cells, whole + marks[whole:].nonzero()[0]])


def rows_and_columns(cells: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of cells numbered row by row: `divmod` by one number, which takes five times as long."""
    rows = cells // width
    return rows, cells - rows * width


def begins(*keys: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a run of equal neighbours begins, in arrays of one length that are equal together."""
    differing = keys[0][1:] != keys[0][:-1]
    for key in keys[1:]:
        differing |= key[1:] != key[:-1]
    marks = np.empty(len(keys[0]), np.bool_)  # `ones` is a function of Python
    marks[:1] = True
    marks[1:] = differing
    return marks


def lengths_of(starts: NDArray[np.int64], end: int) -> NDArray[np.int64]:
    """How long the runs are that begin there, the last one up to `end`: `diff` without joining and moving axes."""
    lengths = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
    lengths[-1:] = end - starts[-1:]
    return lengths
