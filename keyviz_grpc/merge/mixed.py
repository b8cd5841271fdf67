"""Rows in which not all parts say the same leader, all at once: where few cells meet in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.entries import Entries
from keyviz_grpc.traffic import Counts, where
from keyviz_grpc.unchanging import unchanging

MOST_CELLS: Final = 1 << 18
"""Of mixed rows, times the most entries that a row has, looked at together: each takes some ten bytes."""

WIDEST: Final = 8
"""Bytes of a count to which another cannot be added without a look at the sum."""


@unchanging(frozen=True, slots=True, eq=False)
class Told:
    """Shares of parts in tangled cells; of each such cell at least one.

    parts: in how many parts each has traffic; None where every share is of a known identity.
    """

    cells: NDArray[np.int64]
    codes: NDArray[np.uint32]
    values: NDArray[np.uint64]
    parts: NDArray[np.int64] | None


@unchanging(frozen=True, slots=True, eq=False)
class Said:
    """What each of L parts says of T tangled cells: codes[L, T], and values[L, T], 0 for no traffic.

    cells: their numbers, ascending. all_known: no part says traffic of an unknown identity.
    """

    cells: NDArray[np.int64]
    codes: Counts
    values: Counts
    all_known: bool

    def adds_up(self) -> bool:
        """Whether all counts of a cell stand under identities of their own, and are narrow enough to be added."""
        if not self.all_known or self.values.itemsize == WIDEST:
            return False
        if np.count_nonzero(self.codes) == 2 * len(self.cells):
            return True  # two parts tell of each cell, as a rule, and not the same
        codes = self.codes.copy()
        codes.sort(axis=0)
        return not np.count_nonzero((codes[1:] == codes[:-1]) & (codes[1:] != 0))

    def one_by_one(self) -> Told:
        """Share by share."""
        busy = self.values != 0
        hot = where(busy.ravel())
        return Told(
            np.concatenate([self.cells] * len(busy)).take(hot),
            self.codes.ravel().take(hot).astype(np.uint32),
            self.values.ravel().take(hot).astype(np.uint64),
            None if self.all_known else np.add.reduce(busy, dtype=np.int64),
        )


@unchanging(frozen=True, slots=True, eq=False)
class Mixed:
    """What there is to know of M rows of the union.

    codes: uint32[M, C], the largest of each cell. said: of the cells in which several parts have traffic and do not all
    say one known identity; places: where they stand in `codes`, flat.
    """

    codes: NDArray[np.uint32]
    places: NDArray[np.int64]
    said: Said


def fits(rows: int, tables: int, columns: int) -> bool:
    """Whether `look_at` may be asked, of so many rows in so many tables."""
    return rows * tables * columns <= MOST_CELLS


def look_at(rows: NDArray[np.int64], tables: Sequence[NDArray[np.int64]], entries: Entries) -> Mixed:
    """Of these rows, ascending, of which each entry is in some table of `Layout.tables`."""
    columns = entries.busy.shape[1]
    own = np.concatenate([table.take(rows) for table in tables])
    values = entries.counts_in(own)
    busy = values != 0
    codes = entries.spoken.over(entries.of.take(own), busy)
    parts = len(tables), -1
    values, busy, codes = values.reshape(parts), busy.reshape(parts), codes.reshape(parts)
    largest = np.maximum.reduce(codes)
    # Of truth values `maximum` is `logical_or`, whose own code would have to come from memory after a pause.
    unlike = np.maximum.reduce((codes != largest) & busy)
    all_known = entries.spoken.all_known or np.count_nonzero(codes) == np.count_nonzero(busy)
    if not all_known:
        unlike |= (largest == 0) & (np.add.reduce(busy, dtype=np.int64) > 1)
    found = where(unlike)
    at = found // columns
    cells = found + (rows.take(at) - at) * columns
    said = Said(cells, codes.take(found, axis=1), values.take(found, axis=1), all_known)
    return Mixed(largest.astype(np.uint32).reshape(len(rows), columns), found, said)
