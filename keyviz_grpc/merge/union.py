"""The union of all parts' writes: values and leaders so far, and which cells need a closer look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.entries import Block, Entries
from keyviz_grpc.merge.layout import Lot
from keyviz_grpc.merge.mixed import Mixed, fits, look_at
from keyviz_grpc.traffic import Counts, Leaders, RowCodes, begins, mixed_codes, rows_and_columns, where

THIN: Final = 8
"""A row with traffic in one of so many columns at most is added cell by cell, where others have traffic in it too."""

FEW: Final = 64
"""Where one of so many cells is tangled or more, marking them all takes less than sorting them."""

LONG_ROWS: Final = 512
"""Rows of fewer columns take a fourth where they are gathered; longer ones are put in place, which moves them once."""

Numbers: TypeAlias = NDArray[np.int64]

Region: TypeAlias = "tuple[Numbers | slice, Numbers | slice]"
"""Rows and columns of the union."""


class Union:
    """values: Counts[R, C], the largest of what any part says of a cell, in as few bytes as hold them all.

    A row under one leader has one code for all of its traffic. The other rows are mixed, which is known before
    anything is added: where two parts do not say the same, and where any says more than one thing.
    """

    def __init__(self, values: Counts, codes: RowCodes, *, some_unknown: bool) -> None:
        self.values = values
        self._codes = codes
        self.mixed: Mixed | None = None
        self._some_unknown = some_unknown
        self._whole = np.zeros(len(values), np.bool_)
        self._tangled: list[Numbers] = []
        # Of all rows, of whole ones, and of single cells; what they say of tangled ones counts for nothing, for these
        # are decided.
        self._differing: NDArray[np.bool_] | None = None
        self._conflicts: list[tuple[Numbers, NDArray[np.bool_]]] = []
        self._single_conflicts: list[Numbers] = []
        self._decided: list[tuple[Numbers, NDArray[np.bool_]]] = []

    @classmethod
    def of(cls, entries: Entries, shape: tuple[int, int], mixed: Sequence[Numbers]) -> Union:
        """All entries together. mixed: rows, of which more may become mixed later."""
        leading, rows = _leading(entries, shape, mixed)
        whole, thin = _by_thickness(entries)
        lots = entries.layout.lots(whole)
        together = fits(len(rows) * len(lots), entries)
        found = look_at(rows, lots, entries) if together and len(rows) else None
        codes = np.zeros((len(rows), shape[1]), np.uint32) if found is None else found.codes
        some_unknown = bool(np.count_nonzero(entries.codes.of) < len(entries))
        first, *more = lots
        union = cls(_placed(entries, first, shape), RowCodes(leading, codes), some_unknown=some_unknown)
        if not together:
            union._lead(entries, first)
        for lot in more:
            if together and 2 * len(lot.rows) > shape[0]:
                union._add_most(entries, lot)
            else:
                union._add(entries, lot, with_codes=not together)
        if len(thin):
            union._add_cells(entries, thin)
        if found is not None:
            union.mixed = None if mixed or union._tangled else found
            union.tangle(found.tangled)
        # What several parts make whole together counts for no such row: that is rare, and takes a look at every row.
        union._whole[entries.rows.take(where(entries.counts == shape[1]))] = True
        return union

    def _lead(self, entries: Entries, lot: Lot) -> None:
        """The codes of those of the entries whose rows are mixed."""
        several, places = self._codes.mixed(lot.rows)
        if len(several):
            self._codes.codes[places] = entries.codes_of(lot.entries.take(several))

    def _add(self, entries: Entries, lot: Lot, *, with_codes: bool) -> None:
        """Entries of rows of which other parts have traffic already."""
        rows = lot.rows
        values, theirs = self.values.take(rows, axis=0), entries.values_of(lot.entries)
        both = np.minimum(values, theirs) != 0
        self._conflicts.append((rows, both & (values != theirs)))
        self.values[rows] = np.maximum(values, theirs, out=values)
        of = self._codes.of.take(rows)
        if self._some_unknown:
            unknown = where(of == 0)
            self._tangle_rows(rows.take(unknown), both.take(unknown, axis=0))
        several = where(of < 0)
        if with_codes and len(several):
            places = -1 - of.take(several)
            mine = self._codes.codes.take(places, axis=0)
            codes = entries.codes_of(lot.entries.take(several))
            alike = (mine == codes) & (mine != 0)
            self._tangle_rows(rows.take(several), both.take(several, axis=0) & ~alike)
            # A cell without traffic has code 0, equal codes stay, and of others the sparse pass decides.
            self._codes.codes[places] = np.maximum(mine, codes, out=mine)

    def _add_most(self, entries: Entries, lot: Lot) -> None:
        """As `_add`, of most rows: all are compared, which takes less than to gather those and put them back."""
        theirs = entries.values_of(lot.of_rows)
        both = np.minimum(self.values, theirs) != 0
        marks = both & (self.values != theirs)
        self._differing = marks if self._differing is None else self._differing | marks
        np.maximum(self.values, theirs, out=self.values)
        if self._some_unknown:
            unknown = where(self._codes.of == 0)
            self._tangle_rows(unknown, both.take(unknown, axis=0))

    def _tangle_rows(self, rows: Numbers, marks: NDArray[np.bool_]) -> None:
        at, columns = rows_and_columns(where(marks.ravel()), marks.shape[1])
        self.tangle(rows.take(at) * marks.shape[1] + columns)

    def _add_cells(self, entries: Entries, chosen: Numbers) -> None:
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
        self._single_conflicts.append(cells.take(where(both & (mine != theirs))))
        flat[cells] = np.maximum(mine, theirs)
        np.maximum.at(flat, cells.take(repeated), theirs.take(repeated))
        of = self._codes.of.take(rows)
        self.tangle(cells.take(where(both & (of == 0))))
        several = where(of < 0)
        if len(several):
            at = -1 - of.take(several), columns.take(several)
            codes, said = entries.codes.at(own.take(several), at[1]), self._codes.codes[at]
            unlike = both.take(several) & ((said != codes) | (codes == 0))
            self.tangle(cells.take(several.take(where(unlike))))
            self._codes.codes[at] = np.maximum(said, codes)

    def tangle(self, cells: Numbers) -> None:
        """Leaves cells to the sparse pass."""
        self._tangled.append(cells)

    def tangled(self) -> Numbers:
        """The numbers of those cells, ascending."""
        if self.mixed is not None:
            return self.mixed.tangled
        found = sum(map(len, self._tangled))
        if not found:
            return np.empty(0, np.int64)
        if found * FEW < self.values.size:
            # `unique` looks for equal ones before it sorts, which takes four times as long.
            cells = np.concatenate(self._tangled)
            cells.sort()
            return cells[begins(cells)]
        marks = np.zeros(self.values.size, np.bool_)
        for cells in self._tangled:
            marks[cells] = True
        return where(marks)

    def decide(
        self, cells: Numbers, values: NDArray[np.uint64], codes: NDArray[np.uint32], conflicts: NDArray[np.bool_]
    ) -> None:
        """What the sparse pass found of tangled cells."""
        # `max`, `any` and `all` go through Python, which takes five times as long.
        if int(values[values.argmax()]) >> 8 * self.values.itemsize:
            self.values = self.values.astype(np.uint64)
        self.values.ravel()[cells] = values.astype(self.values.dtype)
        self._decided.append((cells, conflicts))
        if self.mixed is not None:
            self._codes.codes.ravel()[self.mixed.places] = codes
            return
        rows, columns = rows_and_columns(cells, self.values.shape[1])
        # In a row that is not mixed all parts say the same, so that its leader is not to be decided.
        several, places = self._codes.mixed(rows)
        self._codes.codes[places, columns[several]] = codes[several]

    def leaders(self) -> Leaders | None:
        """Of all rows; None where every cell is unknown."""
        leaders = Leaders(self._codes.of, self._codes.codes, self._whole)
        return leaders if leaders.any else None

    def conflicts(self, more: Sequence[tuple[Region, NDArray[np.bool_]]]) -> NDArray[np.bool_] | None:
        """bool[R, C], with what parts say themselves; None where there is none."""
        if not (more or self._conflicts or self._single_conflicts or self._decided or self._differing is not None):
            return None
        united = np.zeros(self.values.shape, np.bool_) if self._differing is None else self._differing
        for number, (rows, marks) in enumerate(self._conflicts):
            is_first = number == 0 and self._differing is None
            united[rows] = marks if is_first else united.take(rows, axis=0) | marks
        for cells in self._single_conflicts:
            united.ravel()[cells] = True
        # Whole cells differ where their shares may not.
        for cells, conflicts in self._decided:
            united.ravel()[cells] = conflicts
        for region, marks in more:
            united[region] |= marks
        return united if np.count_nonzero(united) else None


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
    if entries.has_blank:
        return entries.blocks[0].values.take(lot.of_rows, axis=0)
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
