"""Which identity all rows of a run show, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.lanes import Lanes, in_lanes, reduced
from keyviz_grpc.traffic import RowCodes, where

Codes: TypeAlias = NDArray[np.uint32]


def agreed_codes(
    leaders: RowCodes,
    busy: NDArray[np.bool_],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> Codes:
    """The code under which all traffic of a cell stands in rows starts[i] to starts[i] + lengths[i] - 1, or 0.

    busy: which cells have traffic; one without any agrees with all.
    """
    width, mixed = busy.shape[1], where(leaders.of < 0)
    of = np.maximum(leaders.of, 0).astype(np.uint32)
    codes = leaders.codes.take(-1 - leaders.of[mixed], axis=0)
    numbers = _Numbers.within(starts, of, mixed, codes)
    below = numbers.below.repeat(lengths)
    told = in_lanes(busy, numbers.lane)  # a copy, for truth values are in no lanes yet
    told *= numbers.doubled(of, below)[:, np.newaxis]
    told[mixed, :width] = numbers.doubled(codes, below[mixed, np.newaxis]) * busy.take(mixed, axis=0)
    met = reduced(np.bitwise_or, told, starts)[:, :width]
    return numbers.agreed(met, numbers.below[:, np.newaxis])


@dataclass(frozen=True, slots=True, eq=False)
class _Numbers:
    """Codes of a run as how far above `below` (uint32[N], of each run) they are; an unknown one stays 0.

    The codes of neighbours are close together as a rule, and small numbers fit narrow lanes: half of one for the bits
    of a number and half for their opposites. Where two numbers come together, some bit stands there both ways.
    """

    below: Codes
    lane: type[np.unsignedinteger[Any]]

    @classmethod
    def within(cls, starts: NDArray[np.int64], of: Codes, mixed: NDArray[np.int64], codes: Codes) -> _Numbers:
        """Of runs from `starts` on. of: the code of every row but the mixed ones. codes: of their cells."""
        # Code 0 wraps to the highest number, so that it never is the smallest.
        below, highest = of - np.uint32(1), of.copy()
        below[mixed] = (codes - np.uint32(1)).min(axis=1, initial=2**32 - 1)
        highest[mixed] = codes.max(axis=1, initial=0)
        below = np.minimum.reduceat(below, starts)
        most = int((np.maximum.reduceat(highest, starts) - below).max())
        return cls(below, np.uint16 if most < 1 << 8 else np.uint32 if most < 1 << 16 else np.uint64)

    @property
    def _half(self) -> np.unsignedinteger[Any]:
        return self.lane(4 * self.lane().itemsize)

    def doubled(self, codes: Codes, below: Codes) -> Lanes:
        """Of each code its number and the opposite of that. below: that of its run."""
        numbers = (codes - below).astype(self.lane)
        numbers *= codes != 0
        both: Lanes = numbers | ~numbers << self._half
        return both

    def agreed(self, met: Lanes, below: Codes) -> Codes:
        """The codes of the numbers that met no other."""
        numbers = met & (self.lane(1) << self._half) - self.lane(1)
        numbers *= (numbers & met >> self._half) == 0
        codes: Codes = ((numbers + below) * (numbers != 0)).astype(np.uint32)
        return codes
