"""Sums of counters that stop at 2^64-1 and never wrap."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

LIMIT: Final = np.uint64(2**64 - 1)


def add(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Elementwise sum, uint64, broadcast as numpy does."""
    total = left + right
    wrapped = total < left
    if wrapped.any():
        total[wrapped] = LIMIT
    return total


def sum_runs(values: NDArray[np.uint64], starts: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Sums over consecutive runs along axis 0; run i is values[starts[i]:starts[i + 1]], the last one open.

    starts: ascending, none empty. Works on one or two dimensions.
    """
    if len(starts) == 0:
        return np.empty((0, *values.shape[1:]), np.uint64)
    longest = int(np.max(np.diff(np.append(starts, len(values)))))
    total: NDArray[np.uint64] = np.add.reduceat(values, starts, axis=0)
    if values.size and int(values.max()) > int(LIMIT) // longest:
        # Rare: some sum may have wrapped. Floats tell which, with a margin far above their error.
        near = np.add.reduceat(values.astype(np.float64), starts, axis=0) > float(2**63)
        for index in np.argwhere(near):
            first = starts[index[0]]
            last = starts[index[0] + 1] if index[0] + 1 < len(starts) else len(values)
            run = values[(slice(first, last), *index[1:])]
            total[tuple(index)] = min(int(LIMIT), sum(int(value) for value in run))
    return total
