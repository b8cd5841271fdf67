"""Under whose leadership the cells of rows stand, as parts tell it: run by run over all cells that have traffic."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.traffic import Counts, freeze, where
from keyviz_grpc.unchanging import unchanging

NOBODY: Final = np.zeros(1, np.uint8), np.ones(1, np.uint8)
"""(codes, lengths) of a cell that nobody has: it stands after all others, so that every row begins within a run."""
freeze(*NOBODY)


@unchanging(frozen=True, slots=True, eq=False)
class Spoken:
    """Of E rows in the order of their cells, and of a blank one in the place of row E.

    codes: of runs, the last one `NOBODY`, as narrow as they may be; ends: where the runs end, counted in cells.
    bounds: int64[E + 1], where the cells of each row begin, and those of the blank; first: int64[E + 1], in which runs.
    of: int64[E + 1], the code of a row's cells, -1 where they have several; several: the numbers of those
    rows, ascending.
    """

    codes: Counts
    ends: NDArray[np.int64]
    bounds: NDArray[np.int64]
    first: NDArray[np.int64]
    of: NDArray[np.int64]
    several: NDArray[np.int64]

    @classmethod
    def found(cls, codes: Counts, lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> Spoken:
        """Of runs of all cells of rows, which have traffic in so many columns."""
        ends = lengths.cumsum()
        bounds = np.zeros(len(counts) + 1, np.int64)
        row_ends = counts.cumsum(out=bounds[1:])
        if len(ends) == len(bounds) and np.count_nonzero(ends[:-1] == row_ends) == len(row_ends):
            # Neighbours under different leaders: a run a row.
            return cls(codes, ends, bounds, np.arange(len(ends)), codes.astype(np.int64), _NONE)
        # Runs of no cell and rows without traffic are passed over: a run counts where its end lies beyond a cell.
        first = _up_to(ends, bounds)
        of = codes.take(first).astype(np.int64)
        # One leader throughout is the rule.
        several = where(ends.take(first[:-1]) < row_ends)
        of[several] = -1
        return cls(codes, ends, bounds, first, of, several)

    @property
    def all_known(self) -> bool:
        """Whether no run is without a leader."""
        return bool(np.count_nonzero(self.codes) == len(self.codes) - len(NOBODY[0]))

    def over(self, rows: NDArray[np.int64], busy: NDArray[np.bool_]) -> Counts:
        """[K, C], the codes of the cells of some rows, the blank one too, which have traffic there."""
        of = self.of.take(rows)
        # Truth values that are made numbers in the product take longer. What a row of several has, it loses at once.
        spread: Counts = busy.astype(self.codes.dtype)
        spread *= of.astype(self.codes.dtype)[:, np.newaxis]
        several = where(of < 0)
        if len(several):
            spread[several] = self.of_several(rows.take(several), busy.take(several, axis=0))
        return spread

    def of_several(self, rows: NDArray[np.int64], busy: NDArray[np.bool_]) -> Counts:
        """As `over`, of rows that have several codes."""
        codes: Counts = np.zeros(busy.shape, self.codes.dtype)
        if len(rows):
            codes.ravel()[where(busy.ravel())] = self._told(rows)
        return codes

    def _told(self, rows: NDArray[np.int64]) -> Counts:
        """Of their cells with traffic, row by row; none is the blank one."""
        starts, ends = self.bounds.take(rows), self.bounds.take(rows + 1)
        first, last = self.first.take(rows), self.first.take(rows + 1)
        # The last one may begin where the row ends, and then has no cell of it.
        spans = last - first + 1
        until = spans.cumsum()
        which = np.arange(until[-1]) + (first - (until - spans)).repeat(spans)
        after = np.minimum(self.ends.take(which), ends.repeat(spans))
        before = np.empty_like(after)
        before[1:] = after[:-1]
        before[until - spans] = starts
        codes: Counts = self.codes.take(which).repeat(after - before)
        return codes


_NONE: Final = np.empty(0, np.int64)


def _up_to(ends: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the ends are not above each start; both ascend.

    A sort that finds two ascending stretches takes half as long as as many bisections.
    """
    order = np.concatenate([ends, starts]).argsort(kind="stable")
    return where(order >= len(ends)) - np.arange(len(starts))
