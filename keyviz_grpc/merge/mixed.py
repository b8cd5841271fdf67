"""Rows in which not all parts say the same leader, all at once: where few cells meet in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.entries import Entries
from keyviz_grpc.merge.layout import Lot
from keyviz_grpc.traffic import where
from keyviz_grpc.unchanging import unchanging

MOST_CELLS: Final = 1 << 18
"""Of mixed rows, times the most entries that a row has, looked at together: each takes some ten bytes."""


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
class Mixed:
    """What there is to know of M rows of the union.

    codes: uint32[M, C], the largest of each cell. tangled: the numbers, ascending, of the cells in which several parts
    have traffic and do not all say one known identity; places: where they stand in `codes`, flat; told: what is said
    there.
    """

    codes: NDArray[np.uint32]
    tangled: NDArray[np.int64]
    places: NDArray[np.int64]
    told: Told


def fits(rows: int, entries: Entries) -> bool:
    """Whether `look_at` may be asked, of so many rows times lots."""
    return entries.has_blank and rows * entries.busy.shape[1] <= MOST_CELLS


def look_at(rows: NDArray[np.int64], lots: Sequence[Lot], entries: Entries) -> Mixed:
    """Of these rows, ascending, of which each entry is in some lot."""
    columns = entries.busy.shape[1]
    own = np.concatenate([lot.of_rows.take(rows) for lot in lots])
    values = entries.blocks[0].values.take(own, axis=0)
    busy = values != 0
    codes = entries.codes.of_any(own, busy)
    parts = len(lots), -1
    values, busy, codes = values.reshape(parts), busy.reshape(parts), codes.reshape(parts)
    largest = np.maximum.reduce(codes)
    # Of truth values `maximum` is `logical_or`, whose own code would have to come from memory after a pause.
    unlike = np.maximum.reduce((codes != largest) & busy)
    all_known = np.count_nonzero(codes) == np.count_nonzero(busy)
    if not all_known:
        unlike |= (largest == 0) & (np.add.reduce(busy, dtype=np.int64) > 1)
    found = where(unlike)
    at = found // columns
    cells = found + (rows.take(at) - at) * columns
    codes, values, busy = codes.take(found, axis=1), values.take(found, axis=1), busy.take(found, axis=1)
    hot = where(busy.ravel())
    told = Told(
        np.concatenate([cells] * len(lots)).take(hot),
        codes.ravel().take(hot),
        values.ravel().take(hot).astype(np.uint64),
        None if all_known else np.add.reduce(busy, dtype=np.int64),
    )
    return Mixed(largest.reshape(len(rows), columns), cells, found, told)
