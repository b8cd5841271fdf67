"""The cells of the merged matrix: reads are summed (SPEC 4.2), writes follow the identity rule (SPEC 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.identities import unite
from keyviz_grpc.merge.saturating import add, sum_runs
from keyviz_grpc.merge.shares import dominant, listed
from keyviz_grpc.model import NO_IDENTITIES, NO_SHARES, Matrix, Shares


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A part's matrix and where it goes: its row i is row rows[i] of the union, its column j column columns[j].

    rows, columns None: the part has the union's rows (columns), in order.
    """

    matrix: Matrix
    rows: NDArray[np.int64] | None
    columns: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What `Matrix` holds besides rows and columns, over the union of all parts."""

    values: NDArray[np.uint64]
    identities: NDArray[np.uint64]
    codes: NDArray[np.uint32] | None
    shares: Shares
    soft: NDArray[np.bool_] | None
    conflicts: NDArray[np.bool_] | None


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
    """The write rule, in two passes: whole arrays where cells are simple, sparse lists of shares where they are not.

    A cell is simple when no part lists its shares and the parts with traffic in it all show one known identity, or
    when only one part has traffic. `values` of a part stand for F as well: F only matters where it exceeds the known
    and the unknown shares, and there it is the part's value. list_shares False: the result lists no shares.
    """
    identities, remaps = unite([part.matrix.identities for part in parts])
    placed = [_place(part, remap, shape) for part, remap in zip(parts, remaps, strict=True)]
    state = _simple_pass(placed, shape)
    lists = [_place_shares(part, remap) for part, remap in zip(parts, remaps, strict=True)]
    for shares in lists:
        if len(shares):
            state.tangled[shares.rows, shares.columns] = True
    conflicts = state.conflicts & ~state.tangled
    shares = _sparse_pass(state, placed, lists, identities=identities, conflicts=conflicts)
    if not list_shares:
        shares = NO_SHARES
    for part in parts:
        if part.matrix.conflicts is not None:
            conflicts[_region(part)] |= part.matrix.conflicts
    return Cells(
        state.values,
        identities,
        state.codes if state.codes.any() else None,
        shares,
        _soft(parts, shape),
        conflicts if conflicts.any() else None,
    )


@dataclass(slots=True, eq=False)
class _State:
    values: NDArray[np.uint64]
    codes: NDArray[np.uint32]
    conflicts: NDArray[np.bool_]
    tangled: NDArray[np.bool_]


def _simple_pass(placed: Sequence[tuple[NDArray[np.uint64], NDArray[np.uint32]]], shape: tuple[int, int]) -> _State:
    state = _State(
        np.zeros(shape, np.uint64), np.zeros(shape, np.uint32), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    )
    for number, (values, codes) in enumerate(placed):
        if number == 0:
            np.copyto(state.values, values)
            np.copyto(state.codes, codes)
            continue
        new = state.values == 0
        both = (values > 0) & ~new
        np.copyto(state.codes, codes, where=new)
        if both.any():
            # Few cells, as a rule: leaders count alone.
            cells = np.flatnonzero(both)
            mine, yours = state.values.ravel()[cells], values.ravel()[cells]
            one = (state.codes.ravel()[cells] == codes.ravel()[cells]) & (codes.ravel()[cells] != 0)
            state.tangled.ravel()[cells[~one]] = True
            state.conflicts.ravel()[cells[one & (mine != yours)]] = True
        np.maximum(state.values, values, out=state.values)
    return state


def _sparse_pass(
    state: _State,
    placed: Sequence[tuple[NDArray[np.uint64], NDArray[np.uint32]]],
    lists: Sequence[Shares],
    *,
    identities: NDArray[np.uint64],
    conflicts: NDArray[np.bool_],
) -> Shares:
    tangled = np.flatnonzero(state.tangled)
    if len(tangled) == 0:
        return NO_SHARES
    width = state.values.shape[1]
    cells, codes, values, nonzero_parts = _gather(tangled, placed, lists, width)
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
    conflicts.ravel()[each] = differing | uncertain
    return listed(cells, codes, largest, values=state.values, width=width)


def _gather(
    tangled: NDArray[np.int64],
    placed: Sequence[tuple[NDArray[np.uint64], NDArray[np.uint32]]],
    lists: Sequence[Shares],
    width: int,
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64], NDArray[np.int64]]:
    """Every share of every part in the tangled cells, and how many parts have traffic in each of them."""
    all_cells, all_codes, all_values = [], [], []
    nonzero_parts = np.zeros(len(tangled), np.int64)
    for (values, codes), shares in zip(placed, lists, strict=True):
        here = values.ravel()[tangled]
        nonzero_parts += here > 0
        plain = here > 0
        own = shares.rows * width + shares.columns
        plain[np.searchsorted(tangled, own)] = False
        all_cells += [tangled[plain], own]
        all_codes += [codes.ravel()[tangled[plain]], shares.codes]
        all_values += [here[plain], shares.values]
    return np.concatenate(all_cells), np.concatenate(all_codes), np.concatenate(all_values), nonzero_parts


def _region(part: Placed) -> tuple[NDArray[np.int64] | slice, NDArray[np.int64] | slice]:
    if part.rows is None:
        return slice(None), slice(None) if part.columns is None else part.columns
    if part.columns is None:
        return part.rows, slice(None)
    rows, columns = np.ix_(part.rows, part.columns)
    return rows, columns


def _place(
    part: Placed, remap: NDArray[np.uint32] | None, shape: tuple[int, int]
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    matrix = part.matrix
    codes = np.zeros(matrix.shape, np.uint32) if matrix.codes is None else matrix.codes
    if remap is not None and matrix.codes is not None:
        codes = remap[codes]
    if part.rows is None and part.columns is None:
        return np.ascontiguousarray(matrix.values), np.ascontiguousarray(codes)
    region = _region(part)
    values, placed_codes = np.zeros(shape, np.uint64), np.zeros(shape, np.uint32)
    values[region] = matrix.values
    placed_codes[region] = codes
    return values, placed_codes


def _place_shares(part: Placed, remap: NDArray[np.uint32] | None) -> Shares:
    shares = part.matrix.shares
    if len(shares) == 0 or (remap is None and part.rows is None and part.columns is None):
        return shares
    rows = shares.rows if part.rows is None else part.rows[shares.rows]
    columns = shares.columns if part.columns is None else part.columns[shares.columns]
    return Shares(rows, columns, shares.codes if remap is None else remap[shares.codes], shares.values)


def _soft(parts: Sequence[Placed], shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    soft = np.zeros(shape, np.bool_)
    for part in parts:
        if part.matrix.soft is not None:
            soft[_region(part)] |= part.matrix.soft
    return soft if soft.any() else None
