"""Moving a matrix to other column stamps; columns that coincide are added share by share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.saturating import sum_runs
from keyviz_grpc.merge.shares import added_up, dominant, listed, spread_out
from keyviz_grpc.model import Matrix, Shares


def union_of(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The stamps of all, ascending; the first array itself where the others are equal to it."""
    if not columns:
        return np.empty(0, np.int64)
    first = columns[0]
    if all(other is first or np.array_equal(first, other) for other in columns[1:]):
        return first
    return np.unique(np.concatenate(columns))


def with_columns(matrix: Matrix, stamps: NDArray[np.int64]) -> Matrix:
    """The matrix with column j stamped stamps[j]; stamps ascend, equal neighbours become one column.

    Row totals stay what they were (unless a sum saturates). Soft and conflict marks of added columns are united.
    """
    if stamps is matrix.columns or np.array_equal(stamps, matrix.columns):
        return matrix
    columns, starts = np.unique(stamps, return_index=True)
    if len(columns) == len(stamps):
        return _restamped(matrix, stamps)
    target = np.searchsorted(columns, stamps)
    values = np.ascontiguousarray(sum_runs(np.ascontiguousarray(matrix.values.T), starts).T)
    codes, shares = _identities(matrix, target, len(columns), values)
    return Matrix(
        matrix.series,
        columns,
        matrix.catalogue,
        values,
        matrix.identities,
        codes,
        shares,
        soft=_any(matrix.soft, starts),
        conflicts=_any(matrix.conflicts, starts),
    )


def _restamped(matrix: Matrix, stamps: NDArray[np.int64]) -> Matrix:
    # A plain one: what is remembered or continues another is that of its own columns, and is no other's copy.
    return Matrix(
        matrix.series,
        stamps,
        matrix.catalogue,
        matrix.values,
        matrix.identities,
        matrix.codes,
        matrix.shares,
        soft=matrix.soft,
        conflicts=matrix.conflicts,
        busy=matrix.busy,
    )


def _any(marks: NDArray[np.bool_] | None, starts: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    if marks is None or not marks.any():
        return None
    united: NDArray[np.bool_] = np.logical_or.reduceat(marks, starts, axis=1)
    return united


def _identities(
    matrix: Matrix, target: NDArray[np.int64], width: int, values: NDArray[np.uint64]
) -> tuple[NDArray[np.uint32] | None, Shares]:
    if matrix.codes is None and len(matrix.shares) == 0:
        return None, matrix.shares
    every = spread_out(matrix)
    cells = every.rows * width + target[every.columns]
    cells, codes, parts = added_up(cells, every.codes, every.values)
    shown = np.zeros(values.size, np.uint32)
    cell_starts, winners = dominant(cells, codes, parts * (codes != 0), matrix.identities)
    shown[cells[cell_starts]] = winners
    return shown.reshape(values.shape), listed(cells, codes, parts, values=values, width=width)


def select_columns(matrix: Matrix, bounds: slice) -> Matrix:
    """The columns of a slice, as views where possible."""
    if bounds.start == 0 and bounds.stop >= len(matrix.columns):
        return matrix
    first, last = bounds.start, min(bounds.stop, len(matrix.columns))
    shares = matrix.shares
    if len(shares):
        inside = (shares.columns >= first) & (shares.columns < last)
        shares = Shares(
            shares.rows[inside], shares.columns[inside] - first, shares.codes[inside], shares.values[inside]
        )
    return Matrix(
        matrix.series,
        matrix.columns[first:last],
        matrix.catalogue,
        matrix.values[:, first:last],
        matrix.identities,
        None if matrix.codes is None else matrix.codes[:, first:last],
        shares,
        soft=None if matrix.soft is None else matrix.soft[:, first:last],
        conflicts=None if matrix.conflicts is None else matrix.conflicts[:, first:last],
    )
