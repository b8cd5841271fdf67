"""Which rows of the union have traffic in which part: all that is known of entries without a look at their cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.rows import Places
from keyviz_grpc.traffic import Strip, where
from keyviz_grpc.unchanging import unchanging

_NONE: Final = np.empty(0, np.int64)


@unchanging(frozen=True, slots=True, eq=False)
class Lot:
    """Some entries, of which no two are of one row.

    of_rows: int64[R], the number of every row's entry, or that of the blank. entries, ascending, and their rows: those
    that there are.
    """

    of_rows: NDArray[np.int64]
    rows: NDArray[np.int64]
    entries: NDArray[np.int64]


class Layout:
    """rows: int64[E], of the union, in no order that means anything; in_order: the entries part by part, by row.
    numbers: int64[E + 1], where each stands in that order, and the blank last.

    Several entries of one row come from as many parts, of which `sources` has the number and how many there are one
    after the other. union_rows: R.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        in_order: NDArray[np.int64],
        sources: Sequence[tuple[int, int]],
        union_rows: int,
    ) -> None:
        self.rows = rows
        self.in_order = in_order
        self.numbers = np.empty(len(rows) + 1, np.int64)
        self.numbers[in_order] = np.arange(len(rows))
        self.numbers[-1] = len(rows)
        self.sources = sources
        self.union_rows = union_rows

    @classmethod
    def of(cls, strips: Sequence[tuple[int, Strip]], places: Places | None, union_rows: int) -> Layout:
        """Of strips and the numbers of their parts. places: None where every part has the union's rows."""
        sources = [(number, len(strip.rows)) for number, strip in strips]
        firsts = [number * union_rows if places is None else places.firsts[number] for number, _ in sources]
        own_rows = np.concatenate([_NONE, *(strip.rows for _, strip in strips)])
        keys = own_rows + np.array(firsts, np.int64).repeat([length for _, length in sources])
        rows = own_rows if places is None else places.rows.take(keys)
        # These are few ascending stretches, as this sort likes them.
        return cls(rows, keys.argsort(kind="stable"), sources, union_rows)

    def lots(self, chosen: NDArray[np.int64]) -> list[Lot]:
        """The chosen entries, ascending: every row in the first lot as soon as it occurs at all."""
        lots: list[Lot] = []
        rows = self.rows.take(chosen)
        while len(chosen) or not lots:
            of_rows = np.empty(self.union_rows, np.int64)
            of_rows.fill(len(self.rows))  # `full` is a function of Python
            of_rows[rows] = chosen
            first = of_rows.take(rows) == chosen
            own, later = where(first), where(~first)
            lots.append(Lot(of_rows, rows.take(own), chosen.take(own)))
            chosen, rows = chosen.take(later), rows.take(later)
        return lots
