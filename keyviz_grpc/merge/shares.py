"""Shares as flat lists: every share of every cell, the largest of each cell, and which cells must list theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.saturating import sum_runs
from keyviz_grpc.model import Matrix, Shares
from keyviz_grpc.traffic import Counts, begins, rows_and_columns, where


def spread_out(matrix: Matrix) -> Shares:
    """All shares of all cells with traffic, also of those cells that have just one and do not list it.

    Sorted by (row, column, code) only within the listed and the unlisted part.
    """
    plain = matrix.values > 0
    plain[matrix.shares.rows, matrix.shares.columns] = False
    rows, columns = np.nonzero(plain)
    codes = np.zeros(len(rows), np.uint32) if matrix.codes is None else matrix.codes[rows, columns]
    return Shares(
        np.concatenate([rows, matrix.shares.rows]),
        np.concatenate([columns, matrix.shares.columns]),
        np.concatenate([codes, matrix.shares.codes]),
        np.concatenate([matrix.values[rows, columns], matrix.shares.values]),
    )


def added_up(
    cells: NDArray[np.int64], codes: NDArray[np.uint32], parts: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64]]:
    """(cells, codes, parts) sorted by cell, then code, with the parts of one cell and code summed, saturating."""
    if len(cells) == 0:
        return cells, codes, parts
    order = np.lexsort((codes, cells))
    cells, codes, parts = cells[order], codes[order], parts[order]
    starts = where(begins(cells, codes))
    return cells[starts], codes[starts], sum_runs(parts, starts)


def dominant(
    cells: NDArray[np.int64], codes: NDArray[np.uint32], known: NDArray[np.uint64], identities: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """(where each cell's run starts, the code of its largest known share: ties to the higher term, then group).

    cells ascend, no code occurs twice in one. known: the shares, an unknown one as 0. Code 0 where all of a cell is
    unknown.
    """
    if len(cells) == 0:
        return np.empty(0, np.int64), np.empty(0, np.uint32)
    marks = begins(cells)
    starts, number = where(marks), marks.cumsum() - 1
    is_best = known == np.maximum.reduceat(known, starts).take(number)
    # Terms and groups of an unknown share are 0, below all others.
    for field in (1, 0):
        if np.count_nonzero(is_best) == len(starts):
            break
        told = identities.take(codes, axis=0)[:, field] * is_best
        is_best &= told == np.maximum.reduceat(told, starts).take(number)
    return starts, codes.take(where(is_best))


def listed(
    cells: NDArray[np.int64],
    codes: NDArray[np.uint32],
    parts: NDArray[np.uint64],
    *,
    values: Counts,
    width: int,
) -> Shares:
    """The shares of those cells that must list them: more than one, or one that is not the cell's whole value.

    cells (row * width + column) ascend, codes ascend within a cell; values[i, j] are the cells' values.
    """
    if len(cells) == 0:
        return Shares.none()
    starting = begins(cells)
    alone = starting.copy()
    alone[:-1] &= starting[1:]
    keep = where(~alone | (parts != values.ravel().take(cells)))
    return Shares(*rows_and_columns(cells.take(keep), width), codes.take(keep), parts.take(keep))
