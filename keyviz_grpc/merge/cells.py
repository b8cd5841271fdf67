"""The cells of the merged matrix: reads are summed, writes follow the write rule of docs/merge.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.blocks import Block, Placed, Sparse, block_of
from keyviz_grpc.merge.identities import unite
from keyviz_grpc.merge.saturating import add, sum_runs
from keyviz_grpc.merge.shares import dominant, listed
from keyviz_grpc.model import NO_IDENTITIES, NO_SHARES, Catalogue, Matrix, Series, Shares


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What `Matrix` holds besides rows and columns, over the union of all parts."""

    values: NDArray[np.uint64]
    identities: NDArray[np.uint64]
    codes: NDArray[np.uint32] | None
    shares: Shares
    soft: NDArray[np.bool_] | None
    conflicts: NDArray[np.bool_] | None

    def over(self, series: Series, columns: NDArray[np.int64], catalogue: Catalogue) -> Matrix:
        """The matrix of these cells."""
        return Matrix(
            series,
            columns,
            catalogue,
            self.values,
            self.identities,
            self.codes,
            self.shares,
            soft=self.soft,
            conflicts=self.conflicts,
        )


def merge_reads(parts: Sequence[Placed], shape: tuple[int, int]) -> Cells:
    """Sums over parts, saturating. No identity, never a conflict."""
    values = np.zeros(shape, np.uint64)
    for number, part in enumerate(parts):
        if number == 0 and part.rows is None and part.columns is None:
            values = part.matrix.values
        elif part.rows is None and part.columns is None:
            values = add(values, part.matrix.values)
        else:
            region = _region(part)
            if number == 0:
                values[region] = part.matrix.values
            else:
                values = values if values.flags.writeable else values.copy()
                values[region] = add(values[region], part.matrix.values)
    return Cells(values, NO_IDENTITIES, None, NO_SHARES, _soft(parts, shape), None)


def merge_writes(parts: Sequence[Placed], shape: tuple[int, int], *, list_shares: bool = True) -> Cells:
    """The write rule, in two passes: blocks of rows where cells are simple, sparse lists of shares where they are not.

    A cell is simple when no part lists its shares and the parts with traffic in it all show one known identity, or
    when only one part has traffic. Only the rows in which a part has any traffic are looked at: a leader counts
    alone, so with n nodes that is little more than one of n. `values` of a part stand for F as well: F only matters
    where it exceeds the known and the unknown shares, and there it is the part's value. list_shares False: the result
    lists no shares.
    """
    identities, remaps = unite([part.matrix.identities for part in parts])
    state = _State.of(shape)
    blocks = [block_of(part, remap, shape[1]) for part, remap in zip(parts, remaps, strict=True)]
    for block in blocks:
        state.add(block.thick())
    for block in blocks:
        state.add_cells(block.thin())
    lists = [_place_shares(part, remap) for part, remap in zip(parts, remaps, strict=True)]
    for shares in lists:
        if len(shares):
            state.tangle(shares.rows * shape[1] + shares.columns)
    listed_shares = NO_SHARES
    if state.any_tangled:
        listed_shares = _sparse_pass(state, list(zip(parts, remaps, strict=True)), lists, identities=identities)
    for part in parts:
        if part.matrix.conflicts is not None:
            state.conflicts[_region(part)] |= part.matrix.conflicts
    return Cells(
        state.values,
        identities,
        state.codes if state.codes.any() else None,
        listed_shares if list_shares else NO_SHARES,
        _soft(parts, shape),
        state.conflicts if state.conflicts.any() else None,
    )


@dataclass(slots=True, eq=False)
class _State:
    """The union so far. seen[i]: some part had traffic in row i. tangled: cells that the sparse pass decides."""

    values: NDArray[np.uint64]
    codes: NDArray[np.uint32]
    conflicts: NDArray[np.bool_]
    tangled: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    any_tangled: bool = False

    @classmethod
    def of(cls, shape: tuple[int, int]) -> _State:
        """Nothing counted yet."""
        marks = (np.zeros(shape, np.bool_), np.zeros(shape, np.bool_), np.zeros(shape[0], np.bool_))
        return cls(np.zeros(shape, np.uint64), np.zeros(shape, np.uint32), *marks)

    def tangle(self, cells: NDArray[np.int64]) -> None:
        """Leaves cells to the sparse pass."""
        self.tangled.ravel()[cells] = True
        self.any_tangled = self.any_tangled or len(cells) > 0

    def add(self, block: Block) -> None:
        """One more part."""
        contested = self.seen[block.rows]
        if contested.any():
            self._contest(block.take(contested))
            block = block.take(~contested)
        self.values[block.rows] = block.values
        self.codes[block.rows] = block.united_codes()
        self.seen[block.rows] = True

    def _contest(self, block: Block) -> None:
        """The rows in which an earlier part has traffic too."""
        theirs, codes = block.values, block.united_codes()
        values, known = self.values.take(block.rows, axis=0), self.codes.take(block.rows, axis=0)
        both = np.flatnonzero((values != 0) & (theirs != 0))
        if len(both):
            width = values.shape[1]
            cells = block.rows[both // width] * width + both % width
            mine, yours = (known.ravel()[both], values.ravel()[both]), (codes.ravel()[both], theirs.ravel()[both])
            self._compare(cells, mine, yours)
        self.values[block.rows] = np.maximum(values, theirs, out=values)
        # A cell without traffic has code 0, equal codes stay, and of others the sparse pass decides.
        self.codes[block.rows] = np.maximum(known, codes, out=known)

    def add_cells(self, part: Sparse) -> None:
        """Single cells of one more part, after the rows of all."""
        cells = part.cells
        values, codes = self.values.ravel(), self.codes.ravel()
        mine, known = values[cells], codes[cells]
        both = np.flatnonzero(mine != 0)
        self._compare(cells[both], (known[both], mine[both]), (part.codes[both], part.values[both]))
        values[cells] = np.maximum(mine, part.values)
        codes[cells] = np.maximum(known, part.codes)

    def _compare(self, cells: NDArray[np.int64], mine: _Told, yours: _Told) -> None:
        """Cells in which two parts have traffic."""
        one = (mine[0] == yours[0]) & (mine[0] != 0)
        self.tangle(cells[~one])
        self.conflicts.ravel()[cells[one & (mine[1] != yours[1])]] = True


_Told: TypeAlias = tuple["NDArray[np.uint32]", "NDArray[np.uint64]"]
"""Codes and values of some cells."""

_Recoded: TypeAlias = tuple[Placed, "NDArray[np.uint32] | None"]
"""A part, and the united codes of its own codes (None: the same)."""


def _sparse_pass(
    state: _State, parts: Sequence[_Recoded], lists: Sequence[Shares], *, identities: NDArray[np.uint64]
) -> Shares:
    tangled = np.flatnonzero(state.tangled)
    width = state.values.shape[1]
    cells, codes, values, nonzero_parts = _gather(tangled, parts, lists, state.values.shape)
    order = np.lexsort((codes, cells))
    cells, codes, values = cells[order], codes[order], values[order]
    fresh = np.ones(len(cells), np.bool_)
    fresh[1:] = (cells[1:] != cells[:-1]) | (codes[1:] != codes[:-1])
    runs = np.flatnonzero(fresh)
    largest = np.maximum.reduceat(values, runs)
    smallest = np.minimum.reduceat(values, runs)
    cells, codes = cells[runs], codes[runs]
    starts, winners = dominant(cells, codes, largest, identities)
    each = cells[starts]

    differing = np.logical_or.reduceat((largest != smallest) & (codes != 0), starts)
    unknown = np.maximum.reduceat(np.where(codes == 0, largest, np.uint64(0)), starts)
    known = sum_runs(np.where(codes == 0, np.uint64(0), largest), starts)
    full = state.values.ravel()[each]
    uncertain = (unknown > 0) & (nonzero_parts[np.searchsorted(tangled, each)] > 1)
    state.values.ravel()[each] = np.maximum(np.maximum(known, unknown), full)
    state.codes.ravel()[each] = winners
    state.conflicts.ravel()[each] = differing | uncertain
    return listed(cells, codes, largest, values=state.values, width=width)


def _gather(
    tangled: NDArray[np.int64], parts: Sequence[_Recoded], lists: Sequence[Shares], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64], NDArray[np.int64]]:
    """Every share of every part in the tangled cells, and how many parts have traffic in each of them."""
    all_cells, all_codes, all_values = [], [], []
    nonzero_parts = np.zeros(len(tangled), np.int64)
    rows, columns = np.divmod(tangled, shape[1])
    for (part, remap), shares in zip(parts, lists, strict=True):
        matrix = part.matrix
        own_rows, own_columns = _own(part.rows, rows, shape[0]), _own(part.columns, columns, shape[1])
        there = np.flatnonzero((own_rows >= 0) & (own_columns >= 0))
        own_rows, own_columns = own_rows[there], own_columns[there]
        if matrix.busy is not None:
            here, codes = matrix.busy.at(own_rows, own_columns)
        else:
            here = matrix.values[own_rows, own_columns]
            codes = np.zeros(len(here), np.uint32) if matrix.codes is None else matrix.codes[own_rows, own_columns]
        hot = here > 0
        nonzero_parts[there[hot]] += 1
        listed_cells = shares.rows * shape[1] + shares.columns
        if len(listed_cells):
            hot[np.searchsorted(there, np.searchsorted(tangled, listed_cells))] = False
        all_cells += [tangled[there[hot]], listed_cells]
        all_codes += [(codes if remap is None else remap.take(codes))[hot], shares.codes]
        all_values += [here[hot], shares.values]
    return np.concatenate(all_cells), np.concatenate(all_codes), np.concatenate(all_values), nonzero_parts


def _own(places: NDArray[np.int64] | None, numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """A part's numbers of rows or columns of the union, -1 where it has none; places: the union's of the part's."""
    if places is None:
        return numbers
    inverse = np.full(count, -1, np.int64)
    inverse[places] = np.arange(len(places))
    return inverse[numbers]


def _region(part: Placed) -> tuple[NDArray[np.int64] | slice, NDArray[np.int64] | slice]:
    if part.rows is None:
        return slice(None), slice(None) if part.columns is None else part.columns
    if part.columns is None:
        return part.rows, slice(None)
    rows, columns = np.ix_(part.rows, part.columns)
    return rows, columns


def _place_shares(part: Placed, remap: NDArray[np.uint32] | None) -> Shares:
    shares = part.matrix.shares
    if len(shares) == 0 or (remap is None and part.rows is None and part.columns is None):
        return shares
    rows = shares.rows if part.rows is None else part.rows[shares.rows]
    columns = shares.columns if part.columns is None else part.columns[shares.columns]
    return Shares(rows, columns, shares.codes if remap is None else remap[shares.codes], shares.values)


def _soft(parts: Sequence[Placed], shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    marked = [(_region(part), part.matrix.soft) for part in parts if part.matrix.soft is not None]
    if not marked:
        return None
    soft = np.zeros(shape, np.bool_)
    for region, marks in marked:
        soft[region] |= marks
    return soft if soft.any() else None
