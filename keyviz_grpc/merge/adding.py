"""A union of many cells: part by part, rows with traffic in few columns cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.entries import Block, Entries
from keyviz_grpc.merge.layout import Lot
from keyviz_grpc.merge.union import Numbers, Union
from keyviz_grpc.model import Shares
from keyviz_grpc.traffic import Counts, RowCodes, begins, mixed_codes, rows_and_columns, where

THIN: Final = 8
"""A row with traffic in one of so many columns at most is added cell by cell, where others have traffic in it too."""

RARE: Final = 64
"""Where one of so many cells is tangled or more, marking them all takes less than sorting them."""

LONG_ROWS: Final = 512
"""Rows of fewer columns take a fourth where they are gathered; longer ones are put in place, which moves them once."""


def taken_part_by_part(entries: Entries, shape: tuple[int, int], lists: Sequence[Shares]) -> Union:
    """The union of all entries. lists: shares of cells, in its places, which are tangled."""
    leading, rows = _leading(entries, shape, [shares.rows for shares in lists])
    whole, thin = _by_thickness(entries)
    first, *more = entries.layout.lots(whole)
    adding = _Adding(_placed(entries, first, shape), RowCodes(leading, np.zeros((len(rows), shape[1]), np.uint32)))
    adding.lead(entries, first)
    for lot in more:
        adding.add(entries, lot)
    if len(thin):
        adding.add_cells(entries, thin)
    for shares in lists:
        adding.tangle(shares.rows * shape[1] + shares.columns)
    tangled = adding.tangled()
    return Union(adding.values, adding.codes, entries.whole_rows(), adding.differing, tangled)


class _Adding:
    """values, codes, differing: as in `Union`, of what was added so far.

    Which rows are mixed is known before anything is added: where two parts do not say the same, and where any says more
    than one thing.
    """

    def __init__(self, values: Counts, codes: RowCodes) -> None:
        self.values = values
        self.codes = codes
        self.differing: NDArray[np.bool_] | None = None
        self._tangled: list[Numbers] = []

    def lead(self, entries: Entries, lot: Lot) -> None:
        """The codes of those of the entries whose rows are mixed."""
        several, places = self.codes.mixed(lot.rows)
        if len(several):
            self.codes.codes[places] = entries.codes_of(lot.entries.take(several))

    def add(self, entries: Entries, lot: Lot) -> None:
        """Entries of rows of which other parts have traffic already."""
        rows = lot.rows
        values, theirs = self.values.take(rows, axis=0), entries.values_of(lot.entries)
        both = np.minimum(values, theirs) != 0
        marks = self._marks()
        marks[rows] = marks.take(rows, axis=0) | (both & (values != theirs))
        self.values[rows] = np.maximum(values, theirs, out=values)
        of = self.codes.of.take(rows)
        unknown = where(of == 0)
        self._tangle_rows(rows.take(unknown), both.take(unknown, axis=0))
        several = where(of < 0)
        if len(several):
            places = -1 - of.take(several)
            mine = self.codes.codes.take(places, axis=0)
            codes = entries.codes_of(lot.entries.take(several))
            alike = (mine == codes) & (mine != 0)
            self._tangle_rows(rows.take(several), both.take(several, axis=0) & ~alike)
            # A cell without traffic has code 0, equal codes stay, and of others the sparse pass decides.
            self.codes.codes[places] = np.maximum(mine, codes, out=mine)

    def _marks(self) -> NDArray[np.bool_]:
        if self.differing is None:
            self.differing = np.zeros(self.values.shape, np.bool_)
        return self.differing

    def _tangle_rows(self, rows: Numbers, marks: NDArray[np.bool_]) -> None:
        at, columns = rows_and_columns(where(marks.ravel()), marks.shape[1])
        self.tangle(rows.take(at) * marks.shape[1] + columns)

    def add_cells(self, entries: Entries, chosen: Numbers) -> None:
        """Entries with few cells, one by one."""
        own, columns, theirs = entries.cells_of(chosen)
        rows = entries.rows.take(own)
        cells, flat = rows * self.values.shape[1] + columns, self.values.ravel()
        # Only what is written here is read again, so that nothing need be cleared.
        last, numbers = np.empty(self.values.size, np.int32), np.arange(len(cells), dtype=np.int32)
        last[cells] = numbers
        repeated = where(last.take(cells) != numbers)
        self.tangle(cells.take(repeated))
        mine = flat.take(cells)
        both = mine != 0
        self._marks().ravel()[cells.take(where(both & (mine != theirs)))] = True
        flat[cells] = np.maximum(mine, theirs)
        np.maximum.at(flat, cells.take(repeated), theirs.take(repeated))
        of = self.codes.of.take(rows)
        self.tangle(cells.take(where(both & (of == 0))))
        several = where(of < 0)
        if len(several):
            at = -1 - of.take(several), columns.take(several)
            codes, said = entries.codes.at(own.take(several), at[1]), self.codes.codes[at]
            unlike = both.take(several) & ((said != codes) | (codes == 0))
            self.tangle(cells.take(several.take(where(unlike))))
            self.codes.codes[at] = np.maximum(said, codes)

    def tangle(self, cells: Numbers) -> None:
        """Leaves cells to the sparse pass."""
        self._tangled.append(cells)

    def tangled(self) -> Numbers:
        """The numbers of those cells, ascending."""
        found = sum(map(len, self._tangled))
        if not found:
            return np.empty(0, np.int64)
        if found * RARE < self.values.size:
            # `unique` looks for equal ones before it sorts, which takes four times as long.
            cells = np.concatenate(self._tangled)
            cells.sort()
            return cells[begins(cells)]
        marks = np.zeros(self.values.size, np.bool_)
        for cells in self._tangled:
            marks[cells] = True
        return where(marks)


def _leading(entries: Entries, shape: tuple[int, int], mixed: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
    """(who leads every row, as `RowCodes` has it; the mixed ones). mixed: more of these."""
    rows, told = entries.rows, entries.codes.of[:-1]
    if np.count_nonzero(entries.counts) < len(entries):
        hot = where(entries.counts > 0)
        rows, told = rows.take(hot), told.take(hot)
    of = np.zeros(shape[0], np.int64)
    of[rows] = told  # whichever of several comes last: where all say the same, none differs from it
    for more in (rows.take(where(told != of.take(rows))), *mixed):
        of[more] = -1
    own = where(of < 0)
    of[own] = mixed_codes(len(own))
    return of, own


def _placed(entries: Entries, lot: Lot, shape: tuple[int, int]) -> Counts:
    """The entries of a lot in their rows; the other rows are 0."""
    rows, chosen = lot.rows, lot.entries
    values: Counts = np.empty(shape, entries.width)
    blocks = sorted(entries.by_block(chosen), key=_fewest_last)
    for number, (block, there) in enumerate(blocks):
        own = chosen[there] - block.first
        if number or shape[1] >= LONG_ROWS:
            all_of_it = len(own) == len(block.values)
            values[rows[there]] = block.values if all_of_it else block.values.take(own, axis=0)
            continue
        # What stands in rows that come from elsewhere counts for nothing.
        sources = np.zeros(len(values), np.int64)
        sources[rows[there]] = own
        values = block.values.take(sources, axis=0).astype(entries.width, copy=False)
    if len(rows) < len(values):
        empty = np.ones(len(values), np.bool_)
        empty[rows] = False
        values[where(empty)] = 0
    return values


def _fewest_last(told: tuple[Block, slice]) -> int:
    there = told[1]
    fewer: int = there.start - there.stop
    return fewer


def _by_thickness(entries: Entries) -> tuple[Numbers, Numbers]:
    """(which entries are added as whole rows, which cell by cell)."""
    if entries.has_blank:
        # Of few cells whole rows are added sooner than the thin ones among them are picked out.
        return np.arange(len(entries)), np.empty(0, np.int64)
    width = entries.busy.shape[1]
    thin = (entries.counts * THIN <= width) & (entries.occurrences() > 1).take(entries.rows)
    return where(~thin), where(thin)
