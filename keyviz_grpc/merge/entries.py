"""What all parts bring to a merge: every row of every part that has traffic, put in a few arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.layout import Layout
from keyviz_grpc.merge.rows import Places
from keyviz_grpc.merge.spoken import NOBODY, Spoken
from keyviz_grpc.model import Matrix
from keyviz_grpc.traffic import Busy, Counts, RowCodes, Strip, rows_and_columns, true_cells, where
from keyviz_grpc.unchanging import unchanging

FEW_BYTES: Final = 1 << 21
"""Cells that fit these when all are as wide as the widest are made so, rather than looked for in several blocks."""

SHORT_CODES: Final = 1 << 16
"""So many identities have codes of two bytes."""


@unchanging(frozen=True, slots=True, eq=False)
class Placed:
    """A part's matrix and where it goes: its row i is row rows[i] of the union, its column j column columns[j].

    rows, columns None: the part has the union's rows (columns), in order.
    """

    matrix: Matrix
    rows: NDArray[np.int64] | None
    columns: NDArray[np.int64] | None


@unchanging(frozen=True, slots=True, eq=False)
class Block:
    """Entries whose counts need equally many bytes: values[B, C], of the entries from number `first` on.

    A block of few cells, which is the only one, has one more row, of zeros: what a row of the union has in a
    table in which it has no entry.
    """

    first: int
    values: Counts


@unchanging(frozen=True, eq=False)
class Entries:
    """Rows of parts that have traffic, E of them, as `layout` has them.

    busy: bool[E, C], where each has traffic; counts: int64[E], in how many columns. spoken: under which codes of the
    union, of the entries in `layout.places`; of: int64[E + 1], of the entries and the blank what its `of` says. blocks:
    one, or narrow ones first; ends: where each ends.
    """

    layout: Layout
    busy: NDArray[np.bool_]
    counts: NDArray[np.int64]
    spoken: Spoken
    of: NDArray[np.int64]
    blocks: Sequence[Block]
    ends: Sequence[int]

    def __len__(self) -> int:
        return len(self.layout.rows)

    @property
    def rows(self) -> NDArray[np.int64]:
        """int64[E], of the union."""
        return self.layout.rows

    @property
    def parts(self) -> NDArray[np.int64]:
        """int64[E], of which part each entry is."""
        numbers, lengths = zip(*self.layout.sources, strict=True)
        return np.array(numbers, np.int64).repeat(lengths)

    @cached_property
    def codes(self) -> RowCodes:
        """Of their cells, and of the blank's."""
        mixed = self.layout.places.take(self.spoken.several)
        codes = self.spoken.of_several(self.spoken.several, self.busy.take(mixed, axis=0))
        return RowCodes(self.of, codes.astype(np.uint32))

    def occurrences(self) -> NDArray[np.int64]:
        """int64[R], how many entries each row of the union has; counted now."""
        return np.bincount(self.rows, minlength=self.layout.union_rows)

    def whole_rows(self) -> NDArray[np.bool_]:
        """bool[R], in which rows of the union one entry has traffic in every column.

        What several make whole together counts for no such row: that is rare, and takes a look at every row.
        """
        whole = np.zeros(self.layout.union_rows, np.bool_)
        whole[self.rows.take(where(self.counts == self.busy.shape[1]))] = True
        return whole

    def counts_in(self, table: NDArray[np.int64]) -> Counts:
        """Counts[K, C], of entries in any order and of the blank, where there is one."""
        return self.blocks[0].values.take(table, axis=0)

    @property
    def has_blank(self) -> bool:
        """Whether the only block has zeros in the place of entry E."""
        return len(self.blocks) == 1 and len(self.blocks[0].values) > len(self)

    @property
    def width(self) -> np.dtype[np.unsignedinteger[Any]]:
        """What holds every count."""
        return self.blocks[-1].values.dtype if self.blocks else np.dtype(np.uint8)

    def by_block(self, entries: NDArray[np.int64]) -> Iterator[tuple[Block, slice]]:
        """Each block in which some of these entries are, which are in ascending order, and where they stand in turn."""
        at = 0
        for block, end in zip(self.blocks, entries.searchsorted(self.ends).tolist(), strict=True):
            if end > at:
                yield block, slice(at, end)
            at = end

    def values_of(self, entries: NDArray[np.int64]) -> Counts:
        """Counts[K, C], of entries in ascending order."""
        if len(self.blocks) == 1:
            return self.blocks[0].values.take(entries, axis=0)
        values = np.empty((len(entries), self.busy.shape[1]), self.width)
        for block, there in self.by_block(entries):
            values[there] = block.values.take(entries[there] - block.first, axis=0)
        return values

    def codes_of(self, entries: NDArray[np.int64]) -> NDArray[np.uint32]:
        """uint32[K, C]."""
        return self.codes.of_any(entries, self.busy.take(entries, axis=0))

    def values_at(self, entries: NDArray[np.int64], columns: NDArray[np.int64]) -> Counts:
        """Of single cells, of entries in ascending order, several times too."""
        width = self.busy.shape[1]
        values: Counts
        if len(self.blocks) == 1:
            values = self.blocks[0].values.ravel().take(entries * width + columns)
            return values
        values = np.empty(len(entries), self.width)
        for block, there in self.by_block(entries):
            values[there] = block.values.ravel().take((entries[there] - block.first) * width + columns[there])
        return values

    def cells_of(self, entries: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], Counts]:
        """(entries, columns, values) of the cells with traffic, of entries in ascending order."""
        places, columns = rows_and_columns(where(self.busy.take(entries, axis=0).ravel()), self.busy.shape[1])
        own = entries.take(places)
        return own, columns, self.values_at(own, columns)


def entries_of(
    parts: Sequence[Placed],
    remaps: Sequence[NDArray[np.uint32] | None],
    shape: tuple[int, int],
    places: Places | None = None,
    *,
    identities: int,
) -> Entries:
    """Of a union of so many rows and columns.

    remaps: the union's codes of each part's own, None: the same. places: where the parts' rows go, all in one, if that
    is known already. identities: how many the union has.
    """
    own = [part.matrix.busy or Busy.found(part.matrix.narrowest, part.matrix.codes) for part in parts]
    strips = [(number, strip) for number, each in enumerate(own) for strip in each.strips if len(strip.rows)]
    if places is None:
        places = Places.of([part.rows for part in parts], shape[0])
    is_few = _is_few(strips, shape[1])
    if not is_few:
        strips.sort(key=_width)
    layout = Layout.of(strips, places, shape[0])
    lots = [strips] if is_few else [list(same) for _, same in groupby(strips, key=_width)]
    blocks, ends = _blocks(lots, [part.columns for part in parts], shape[1], blanks=int(is_few))
    busy = np.empty((len(layout.rows), shape[1]), np.bool_)
    for block, end in zip(blocks, ends, strict=True):
        np.not_equal(block.values[: end - block.first], 0, out=busy[block.first : end])
    counts = true_cells(busy)
    # Runs are told in the order of the cells of each part.
    spoken = Spoken.found(*_runs_of(own, remaps, identities), counts.take(layout.places[:-1]))
    of = np.empty(len(layout.places), np.int64)
    of[layout.places] = spoken.of
    return Entries(layout, busy, counts, spoken, of, blocks, ends)


def _is_few(strips: Sequence[tuple[int, Strip]], columns: int) -> bool:
    """Whether their cells fit one block, made as wide as the widest."""
    widest = max([strip.values.itemsize for _, strip in strips], default=1)
    return sum([len(strip.rows) for _, strip in strips]) * columns * widest < FEW_BYTES


def _blocks(
    lots: Sequence[Sequence[tuple[int, Strip]]],
    own_columns: Sequence[NDArray[np.int64] | None],
    columns: int,
    *,
    blanks: int,
) -> tuple[list[Block], list[int]]:
    """(a block for each lot of strips, one after the other, and where each ends, before its blanks).

    own_columns: where the columns of each part go, of which strips have the number.
    """
    blocks: list[Block] = []
    first = 0
    for lot in lots:
        values = _beside([(strip.values, own_columns[number]) for number, strip in lot], columns, blanks=blanks)
        blocks.append(Block(first, values))
        first += len(values) - blanks
    return blocks, [*[block.first for block in blocks[1:]], first] if blocks else []


def _runs_of(
    busy: Sequence[Busy], remaps: Sequence[NDArray[np.uint32] | None], identities: int
) -> tuple[Counts, NDArray[np.int64]]:
    """(codes of the union, lengths), of as many cells as have traffic, one part after the other, and of nobody's."""
    codes: list[Counts] = []
    lengths: list[NDArray[np.unsignedinteger]] = []
    for own, remap in zip(busy, remaps, strict=True):
        if own.runs is None:
            cells = sum(int(np.count_nonzero(strip.values)) for strip in own.strips)
            codes.append(NOBODY[0])
            lengths.append(np.array([cells], np.uint32))
        else:
            codes.append(own.runs.codes if remap is None else remap.take(own.runs.codes))
            lengths.append(own.runs.lengths)
    width = np.uint16 if identities <= SHORT_CODES else np.uint32
    told: Counts = np.concatenate([*codes, NOBODY[0]], dtype=width, casting="unsafe")
    return told, np.concatenate([*lengths, NOBODY[1]], dtype=np.int64)


def _bytes_of(width: np.dtype[Any]) -> int:
    return width.itemsize


def _width(told: tuple[int, Strip]) -> int:
    return told[1].values.itemsize


def _beside(own: Sequence[tuple[Counts, NDArray[np.int64] | None]], columns: int, *, blanks: int) -> Counts:
    """Rows, one part's after the other's, of so many columns, as wide as the widest, and then so many rows of zeros.

    own: (values, where they go).
    """
    if all(places is None for _, places in own):
        # In one piece, for single cells are taken out of it by their numbers.
        if len(own) == 1 and not blanks:
            return np.ascontiguousarray(own[0][0])
        return np.concatenate([*(values for values, _ in own), np.zeros((blanks, columns), np.uint8)])
    # Where rows are made wider, it is once: of many parts with few columns each that is most of what a merge takes.
    width = max((values.dtype for values, _ in own), key=_bytes_of)
    wide = np.zeros((sum(len(values) for values, _ in own) + blanks, columns), width)
    at = 0
    for values, places in own:
        wide[at : at + len(values), slice(None) if places is None else places] = values
        at += len(values)
    return wide
