"""Sums of counters that stop at 2^64-1 and never wrap."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.lanes import Lanes, in_lanes, reduced
from keyviz_grpc.traffic import Counts, lengths_of, where

LIMIT: Final = np.uint64(2**64 - 1)

NARROW_BYTES: Final = 2


def add(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Elementwise sum, uint64, broadcast as numpy does."""
    total = left + right
    wrapped = total < left
    if wrapped.any():
        total[wrapped] = LIMIT
    return total


def row_totals(values: Counts) -> NDArray[np.uint64] | None:
    """The sum of every row; None where all of them together may come to 2^63."""
    # What narrow numbers can be is not far above what they are, and looking for it takes a fourth as long as adding.
    largest = int(values.max(initial=0)) if values.itemsize > NARROW_BYTES else (1 << 8 * values.itemsize) - 1
    if largest * values.size >= 2**63:
        return None
    # More than twice as fast as a sum along the axis; made wide, narrow numbers would take twice as long.
    width = np.uint32 if values.itemsize < 8 and largest * values.shape[1] < 2**32 else np.uint64
    totals: NDArray[np.unsignedinteger] = np.einsum("ij->i", values, dtype=width, casting="unsafe")
    return totals.astype(np.uint64)


def narrowed(values: Counts, most: int) -> Lanes:
    """The values in the narrowest lanes that hold `most`, larger ones without their upper bits; or just the values."""
    for lane in (np.uint16, np.uint32):
        if most <= np.iinfo(lane).max:
            return in_lanes(values, lane)
    return values.astype(np.uint64, copy=False)


def sum_runs(values: Counts, starts: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Sums over consecutive runs along axis 0; run i is values[starts[i]:starts[i + 1]], the last one open.

    starts: ascending, none empty. Works on one or two dimensions.
    """
    if len(starts) == 0:
        return np.empty((0, *values.shape[1:]), np.uint64)
    if values.ndim == 1:
        return _sum_wide(values.astype(np.uint64, copy=False), starts, len(values))
    lengths = lengths_of(starts, len(values))
    lanes = narrowed(values, int(values.max(initial=0)) * int(lengths.max()))
    return sum_lanes(values, lanes, starts, lengths).astype(np.uint64, copy=False)


def sum_lanes(values: Counts, lanes: Lanes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Counts:
    """Sums over runs of rows, so wide that they fit; at least one run, each starts[i] and as long as lengths[i].

    lanes: the values `narrowed` to something that no sum of several exceeds.
    """
    if lanes.dtype == np.uint64:
        return _sum_wide(lanes, starts, int(lengths.max()))
    width = np.result_type(lanes.dtype, values.dtype)
    total: Counts = reduced(np.add, lanes, starts)[:, : values.shape[1]].astype(width, copy=False)
    single = where(lengths == 1)
    total[single] = values.take(starts.take(single), axis=0)
    return total


def _sum_wide(values: NDArray[np.uint64], starts: NDArray[np.int64], longest: int) -> NDArray[np.uint64]:
    """longest: no run is longer."""
    total: NDArray[np.uint64] = np.add.reduceat(values, starts, axis=0)
    # `max` goes through Python.
    if values.size and int(values.ravel()[values.argmax()]) > int(LIMIT) // longest:
        # Rare: some sum may have wrapped. Floats tell which, with a margin far above their error.
        near = np.add.reduceat(values.astype(np.float64), starts, axis=0) > float(2**63)
        for index in np.argwhere(near):
            first = starts[index[0]]
            last = starts[index[0] + 1] if index[0] + 1 < len(starts) else len(values)
            run = values[(slice(first, last), *index[1:])]
            total[tuple(index)] = min(int(LIMIT), sum(int(value) for value in run))
    return total
