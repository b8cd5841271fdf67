"""Under whose leadership the cells of rows stand, as parts tell it: run by run over all cells that have traffic."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.traffic import Counts, freeze, mixed_codes, where
from keyviz_grpc.unchanging import unchanging

NOBODY: Final = np.zeros(1, np.uint8), np.ones(1, np.uint8)
"""(codes, lengths) of a cell that nobody has: it stands after all others, so that every row begins within a run."""
freeze(*NOBODY)


@unchanging(frozen=True, slots=True, eq=False)
class Spoken:
    """Of E rows in the order of their cells, and of a blank one in the place of row E.

    codes: of runs, the last one `NOBODY`, as narrow as they may be; ends: where the runs end, counted in cells.
    bounds: int64[E + 1], where the cells of each row begin, and those of the blank; first: int64[E + 1], in which runs.
    of: int64[E + 1], the code of a row's cells, or -1 - i for row several[i], which has several; several: ascending.
    all_known: whether no run is without a leader.
    """

    codes: Counts
    ends: NDArray[np.int64]
    bounds: NDArray[np.int64]
    first: NDArray[np.int64]
    of: NDArray[np.int64]
    several: NDArray[np.int64]
    all_known: bool

    @classmethod
    def found(cls, codes: Counts, lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> Spoken:
        """Of runs of all cells of rows, which have traffic in so many columns."""
        all_known = bool(np.count_nonzero(codes) == len(codes) - len(NOBODY[0]))
        ends = lengths.cumsum()
        bounds = np.zeros(len(counts) + 1, np.int64)
        row_ends = counts.cumsum(out=bounds[1:])
        if len(ends) == len(bounds) and np.count_nonzero(ends[:-1] == row_ends) == len(row_ends):
            # Neighbours under different leaders: a run a row.
            return cls(codes, ends, bounds, np.arange(len(ends)), codes.astype(np.int64), _NONE, all_known)
        # Runs of no cell and rows without traffic are passed over: a run counts where its end lies beyond a cell.
        first = _up_to(ends, bounds)
        of = codes.take(first).astype(np.int64)
        # One leader throughout is the rule.
        several = where(ends.take(first[:-1]) < row_ends)
        of[several] = mixed_codes(len(several))
        return cls(codes, ends, bounds, first, of, several, all_known)

    def over(self, of: NDArray[np.int64], busy: NDArray[np.bool_]) -> Counts:
        """[K, C], the codes of the cells of some rows, the blank one too, which have traffic there; `of` of each."""
        # What a row of several has for a moment, it loses at once.
        spread: Counts = busy * of.astype(self.codes.dtype)[:, np.newaxis]
        several = where(of < 0)
        if len(several):
            rows = self.several.take(-1 - of.take(several))
            spread[several] = self.of_several(rows, busy.take(several, axis=0))
        return spread

    def of_several(self, rows: NDArray[np.int64], busy: NDArray[np.bool_]) -> Counts:
        """As `over`, of rows that have several codes, by their numbers."""
        codes: Counts = np.zeros(busy.shape, self.codes.dtype)
        if len(rows):
            codes.ravel()[where(busy.ravel())] = self._told(rows)
        return codes

    def _told(self, rows: NDArray[np.int64]) -> Counts:
        """Of their cells with traffic, row by row; none is the blank one."""
        after = rows + 1
        first = self.first.take(rows)
        # The last run of a row may begin where the row ends, and then has no cell of it.
        spans = self.first.take(after) - first + 1
        until = spans.cumsum()
        begin = until - spans
        which = np.arange(until[-1]) + (first - begin).repeat(spans)
        ends = self.ends.take(which)
        ends[until - 1] = self.bounds.take(after)
        starts = np.empty_like(ends)
        starts[1:] = ends[:-1]
        starts[begin] = self.bounds.take(rows)
        codes: Counts = self.codes.take(which).repeat(ends - starts)
        return codes


_NONE: Final = np.empty(0, np.int64)


def _up_to(ends: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the ends are not above each start; both ascend.

    A sort that finds two ascending stretches takes half as long as as many bisections.
    """
    order = np.concatenate([ends, starts]).argsort(kind="stable")
    return where(order >= len(ends)) - np.arange(len(starts))
