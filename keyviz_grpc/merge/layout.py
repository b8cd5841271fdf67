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
    """Some entries, ascending, of which no two are of one row; and their rows."""

    rows: NDArray[np.int64]
    entries: NDArray[np.int64]


class Layout:
    """rows: int64[E], of the union, in no order that means anything. places: int64[E + 1], the entries part by part, by
    row of the part, and the blank last.

    Several entries of one row come from as many parts, of which `sources` has the number and how many there are one
    after the other. union_rows: R.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        places: NDArray[np.int64],
        sources: Sequence[tuple[int, int]],
        union_rows: int,
    ) -> None:
        self.rows = rows
        self.places = places
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
        in_order = np.empty(len(rows) + 1, np.int64)
        # These are few ascending stretches, as this sort likes them.
        in_order[:-1] = keys.argsort(kind="stable")
        in_order[-1] = len(rows)
        return cls(rows, in_order, sources, union_rows)

    def tables(self, rows: NDArray[np.int64], chosen: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """int64[R] each: every row's entry, or the blank.

        chosen: the entries that are to occur, each in one table, and their rows. A row is in the first table as soon as
        it is in any.
        """
        tables: list[NDArray[np.int64]] = []
        while len(chosen) or not tables:
            table = np.empty(self.union_rows, np.int64)
            table.fill(len(self.rows))  # `full` is a function of Python
            table[rows] = chosen
            tables.append(table)
            later = where(table.take(rows) != chosen)
            chosen, rows = chosen.take(later), rows.take(later)
        return tables

    def lots(self, chosen: NDArray[np.int64]) -> list[Lot]:
        """The chosen entries, ascending: every row in the first lot as soon as it occurs at all."""
        lots: list[Lot] = []
        rows = self.rows.take(chosen)
        last = np.empty(self.union_rows, np.int64)
        while len(chosen) or not lots:
            last[rows] = chosen
            first = last.take(rows) == chosen
            own, later = where(first), where(~first)
            lots.append(Lot(rows.take(own), chosen.take(own)))
            chosen, rows = chosen.take(later), rows.take(later)
        return lots
