"""The cells of which parts say different things: share by share, as docs/merge.md has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.entries import Entries
from keyviz_grpc.merge.identities import standing
from keyviz_grpc.merge.mixed import Said, Told
from keyviz_grpc.merge.saturating import sum_runs
from keyviz_grpc.merge.shares import dominant, listed
from keyviz_grpc.merge.union import Union
from keyviz_grpc.model import NO_SHARES, Shares
from keyviz_grpc.traffic import begins, rows_and_columns, where

_All: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64]]"
"""(cells, codes, values) of all shares in some cells, each cell with each code once, sorted."""

MOST_PAIRS: Final = 1 << 18
"""Of a tangled cell and an entry of its row, looked at together: what is made of them takes a hundred bytes each."""

HALF_A_WORD: Final = 32
"""Bits of the widest count of which sums fit a word without a look; as many as ranks of identities need at most."""


def sparse_pass(
    union: Union,
    entries: Entries,
    lists: Sequence[Shares],
    *,
    identities: NDArray[np.uint64],
    list_shares: bool,
) -> Shares:
    """Decides the tangled cells of the union, and returns the shares that they list; none where nobody wants them.

    lists: the shares that each part lists itself, in places and codes of the union.
    """
    if not len(union.tangled):
        return NO_SHARES
    if union.mixed is not None:
        return _as_said(union, union.mixed.said, identities=identities, list_shares=list_shares)
    found = []
    for cells, own in _some_at_a_time(union, entries, lists):
        told = _gather(cells, entries, own, union.values.shape)
        shares = _decided(union, told, cells, identities=identities)
        if list_shares:
            found.append(_listed(union, shares))
    return _joined(found)


def _as_said(union: Union, said: Said, *, identities: NDArray[np.uint64], list_shares: bool) -> Shares:
    """As `sparse_pass`, where all that is told of the tangled cells was looked at already."""
    if said.adds_up():
        _add_up(union, said, identities)
        return _in_order(said.one_by_one(), union.values.shape[1]) if list_shares else NO_SHARES
    shares = _decided(union, said.one_by_one(), said.cells, identities=identities)
    return _listed(union, shares) if list_shares else NO_SHARES


def _some_at_a_time(
    union: Union, entries: Entries, lists: Sequence[Shares]
) -> Iterator[tuple[NDArray[np.int64], Sequence[Shares]]]:
    """Tangled cells and what of the lists is in them, no more of them than may be looked at together."""
    tangled, width = union.tangled, union.values.shape[1]
    most = max(1, MOST_PAIRS // int(entries.occurrences().max()))
    if most >= len(tangled):
        yield tangled, lists
        return
    for at in range(0, len(tangled), most):
        cells = tangled[at : at + most]
        yield cells, [_of_cells(shares, cells, width) for shares in lists]


def _add_up(union: Union, said: Said, identities: NDArray[np.uint64]) -> None:
    """Decides cells of which each part tells other writes than the others: as when a leader gives way to another."""
    values, stand = said.values.astype(np.uint64), standing(identities)
    # The count, and behind it who leads of equal ones.
    best = np.maximum.reduce(values << HALF_A_WORD | stand.ranks.take(said.codes))
    winners = stand.codes.take(best & ((1 << HALF_A_WORD) - 1))
    union.decide(said.cells, np.add.reduce(values), winners, np.zeros(len(said.cells), np.bool_))


def _in_order(told: Told, width: int) -> Shares:
    """All of them, by cell and code."""
    order = np.lexsort((told.codes, told.cells))
    rows, columns = rows_and_columns(told.cells.take(order), width)
    return Shares(rows, columns, told.codes.take(order), told.values.take(order))


def _listed(union: Union, shares: _All) -> Shares:
    return listed(*shares, values=union.values, width=union.values.shape[1])


def _of_cells(shares: Shares, cells: NDArray[np.int64], width: int) -> Shares:
    """Those between the first and the last of some tangled cells; every share listed is in a tangled cell."""
    own = shares.rows * width + shares.columns
    there = where((own >= cells[0]) & (own <= cells[-1]))
    return Shares(shares.rows[there], shares.columns[there], shares.codes[there], shares.values[there])


def _joined(found: Sequence[Shares]) -> Shares:
    if len(found) < 2:
        return found[0] if found else NO_SHARES
    return Shares(
        np.concatenate([shares.rows for shares in found]),
        np.concatenate([shares.columns for shares in found]),
        np.concatenate([shares.codes for shares in found]),
        np.concatenate([shares.values for shares in found]),
    )


def _decided(union: Union, told: Told, tangled: NDArray[np.int64], *, identities: NDArray[np.uint64]) -> _All:
    keys = told.cells * len(identities) + told.codes
    order = keys.argsort(kind="stable")
    largest = smallest = told.values.take(order)
    runs = where(begins(keys.take(order)))
    if len(runs) < len(order):  # somewhere two parts tell of one identity
        smallest = np.minimum.reduceat(largest, runs)
        largest = np.maximum.reduceat(largest, runs)
        order = order.take(runs)
    cells, codes = told.cells.take(order), told.codes.take(order)
    is_known = codes != 0
    known = largest * is_known
    # Of every tangled cell something is told, so that the runs are those cells in turn.
    starts, winners = dominant(cells, codes, known, identities)

    conflicts = np.zeros(len(tangled), np.bool_)
    if smallest is not largest:
        conflicts = np.logical_or.reduceat((largest != smallest) & is_known, starts)
    decided = np.maximum(sum_runs(known, starts), union.values.take(tangled))
    if told.parts is not None and np.count_nonzero(is_known) < len(is_known):
        unknown = np.maximum.reduceat(largest * ~is_known, starts)
        conflicts |= (unknown > 0) & (told.parts > 1)
        decided = np.maximum(decided, unknown)
    union.decide(tangled, decided, winners, conflicts)
    return cells, codes, largest


def _gather(tangled: NDArray[np.int64], entries: Entries, lists: Sequence[Shares], shape: tuple[int, int]) -> Told:
    size, width = shape[0] * shape[1], shape[1]
    rows, columns = rows_and_columns(tangled, width)
    # Each entry with every tangled cell of its row; those stand one after the other, as cells ascend.
    in_row: NDArray[np.int64] = np.bincount(rows, minlength=shape[0])
    times = in_row.take(entries.rows)
    own = where(times > 0)
    times, own_rows = times.take(own), entries.rows.take(own)
    ends: NDArray[np.int64] = times.cumsum()
    first: NDArray[np.int64] = (in_row.cumsum() - in_row).take(own_rows)
    at = np.arange(ends[-1] if len(ends) else 0) + (first - ends + times).repeat(times)
    own, columns = own.repeat(times), columns.take(at)
    values = entries.values_at(own, columns).astype(np.uint64)
    hot = where(values != 0)
    at, own, columns, values = at.take(hot), own.take(hot), columns.take(hot), values.take(hot)
    cells, codes = tangled.take(at), entries.codes.at(own, columns)
    parts = np.bincount(at, minlength=len(tangled))
    listing = [(number, shares) for number, shares in enumerate(lists) if len(shares)]
    if not listing:
        return Told(cells, codes, values, parts)
    places = [shares.rows * width + shares.columns for _, shares in listing]
    said = np.concatenate([number * size + cell for (number, _), cell in zip(listing, places, strict=True)])
    plain = where(~np.isin(entries.parts.take(own) * size + cells, said))
    return Told(
        np.concatenate([cells.take(plain), *places]),
        np.concatenate([codes.take(plain), *(shares.codes for _, shares in listing)]),
        np.concatenate([values.take(plain), *(shares.values for _, shares in listing)]),
        parts,
    )
