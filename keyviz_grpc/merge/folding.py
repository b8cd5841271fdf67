"""Runs of neighbouring rows added up: their values, identities, marks and shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.agreement import agreed_codes
from keyviz_grpc.merge.lanes import Lanes, in_lanes, reduced
from keyviz_grpc.merge.saturating import LIMIT, narrowed, sum_lanes
from keyviz_grpc.merge.shares import added_up, listed, spread_out
from keyviz_grpc.model import Catalogue, Matrix, Shares
from keyviz_grpc.row_bits import marks_in, row_bits
from keyviz_grpc.traffic import Counts, Leaders, RowCodes, lengths_of, where


def fold_runs(
    matrix: Matrix,
    starts: NDArray[np.int64],
    catalogue: Catalogue,
    *,
    totals: NDArray[np.uint64] | None,
    shares: bool = True,
) -> Matrix:
    """Neighbouring rows added up: rows starts[i] to starts[i + 1] become row i of `catalogue`, share by share.

    totals: as `row_totals` has them.
    """
    counts = matrix.narrowest
    runs = _Runs(starts, lengths_of(starts, len(counts)))
    lanes = narrowed(counts, runs.most(totals))
    values = sum_lanes(counts, lanes, starts, runs.lengths)
    leaders = matrix.row_leaders()
    return Matrix.of_leaders(
        matrix.series,
        matrix.columns,
        catalogue,
        values,
        None if leaders is None else _fold_leaders(leaders, lanes, runs, values),
        identities=matrix.identities,
        shares=_fold_shares(matrix, starts, values) if shares else Shares.none(),
        soft=_fold_marks(matrix.soft, starts),
        conflicts=_fold_marks(matrix.conflicts, starts),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Rows starts[i] to starts[i] + lengths[i] - 1, int64[N] both, at least one."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def most(self, totals: NDArray[np.uint64] | None) -> int:
        """What no sum of several rows' cells exceeds."""
        if totals is None:
            return int(LIMIT)
        return int(np.add.reduceat(totals, self.starts)[self.lengths > 1].max(initial=0))


def _fold_leaders(leaders: Leaders, lanes: Lanes, runs: _Runs, values: Counts) -> Leaders | None:
    """lanes: the values of rows that are not alone, as `narrowed` has them. values: the folded ones."""
    single = where(runs.lengths == 1)
    parts = [(single, leaders.take(runs.starts.take(single)))]
    unsure = where((runs.lengths > 1) & ~_disagreeing(leaders, runs.starts))
    if len(unsure):
        marks = np.zeros(len(values), np.bool_)
        marks[unsure] = True
        rows, lengths = where(marks.repeat(runs.lengths)), runs.lengths.take(unsure)
        busy = lanes.take(rows, axis=0)[:, : values.shape[1]] != 0
        codes = agreed_codes(RowCodes(leaders.of.take(rows), leaders.codes), busy, lengths.cumsum() - lengths, lengths)
        parts.append((unsure, Leaders.found(values.take(unsure, axis=0), codes)))
    folded = Leaders.joined(parts, len(values))
    return folded if folded.any else None


def _disagreeing(leaders: Leaders, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether two rows of each run have traffic in every column under two leaders: then no cell has one leader.

    That is so of most runs that are long, and which rows these are is known.
    """
    of = np.maximum(leaders.of * leaders.whole, 0)
    # Less 1, a row that does not count wraps to the highest number; where none counts both are 0 again.
    lowest = np.minimum.reduceat((of - 1).view(np.uint64), starts) + np.uint64(1)
    disagreeing: NDArray[np.bool_] = np.maximum.reduceat(of.view(np.uint64), starts) != lowest
    return disagreeing


def _fold_marks(marks: NDArray[np.bool_] | None, starts: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    if marks is None:
        return None
    if (bits := row_bits(marks)) is not None:
        return marks_in(np.bitwise_or.reduceat(bits, starts), marks.shape[1])
    return reduced(np.bitwise_or, in_lanes(marks, np.bool_), starts)[:, : marks.shape[1]].copy()


def _fold_shares(matrix: Matrix, starts: NDArray[np.int64], values: Counts) -> Shares:
    if matrix.codes is None and len(matrix.shares) == 0:
        return matrix.shares
    every = spread_out(matrix)
    width = values.shape[1]
    rows = np.searchsorted(starts, every.rows, side="right") - 1
    cells, codes, parts = added_up(rows * width + every.columns, every.codes, every.values)
    return listed(cells, codes, parts, values=values, width=width)
