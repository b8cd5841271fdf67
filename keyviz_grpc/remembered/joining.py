"""Blocks over one catalogue joined to one matrix, when somebody needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.identities import United, unite
from keyviz_grpc.model import NO_SHARES, Catalogue, Details, Matrix, Series, Shares
from keyviz_grpc.remembered.blocks import Block
from keyviz_grpc.traffic import Counts, Leaders

HALF_A_WORD: Final = 1 << 32
"""Numbers below this fit in it."""


def joined(series: Series, catalogue: Catalogue, blocks: Sequence[tuple[Block, slice]]) -> Matrix:
    """The matrix of consecutive blocks over the same rows, of each the columns of its slice.

    Cell by cell what the blocks say. Raises MalformedAnswer where columns are not in ascending order.
    """
    blocks = [(block, part) for block, part in blocks if part.stop > part.start]
    columns = np.concatenate([np.empty(0, np.int64), *(block.columns[part] for block, part in blocks)])
    width = np.result_type(np.uint8, *(block.narrowest.dtype for block, _ in blocks))
    values: Counts = np.empty((len(catalogue), len(columns)), width)
    identities, remaps = united([block.identities for block, _ in blocks])
    starts = np.cumsum([0, *(part.stop - part.start for _, part in blocks)]).tolist()
    for (block, part), start in zip(blocks, starts, strict=False):
        values[:, start : start + part.stop - part.start] = block.narrowest[:, part]
    more: Details = {
        "identities": identities,
        "shares": _shares(blocks, remaps, starts),
        "soft": _marks([(block.soft, part) for block, part in blocks], values.shape),
        "conflicts": _marks([(block.conflicts, part) for block, part in blocks], values.shape),
    }
    if blocks and all(block.leaders is not None for block, _ in blocks):
        return Matrix.of_leaders(series, columns, catalogue, values, _leaders(blocks, remaps, values), **more)
    codes = np.zeros(values.shape, np.uint32)
    for (block, part), remap, start in zip(blocks, remaps, starts, strict=False):
        if block.codes is not None:
            own = block.codes[:, part]
            codes[:, start : start + part.stop - part.start] = own if remap is None else remap[own]
    return Matrix.of_counts(series, columns, catalogue, values, codes if codes.any() else None, **more)


def _leaders(
    blocks: Sequence[tuple[Block, slice]], remaps: Sequence[NDArray[np.uint32] | None], values: Counts
) -> Leaders | None:
    """Of blocks that all have them ready; values: of all their columns.

    A row whose leader is the same in all of them, where it has traffic at all, stays such a row; the others are looked
    at cell by cell.
    """
    told = [
        (united_leaders(block.leaders, remap), block.narrowest, part)
        for (block, part), remap in zip(blocks, remaps, strict=True)
        if block.leaders is not None
    ]
    of = np.max([leaders.of for leaders, _, _ in told], axis=0)
    sure, whole = of >= 0, np.ones(len(of), np.bool_)
    for leaders, own, part in told:
        others = leaders.of != of
        silent = np.flatnonzero(others & (leaders.of == 0))
        others[silent] = own.take(silent, axis=0)[:, part].any(axis=1)
        sure &= ~others
        whole &= leaders.whole
    unsure = np.flatnonzero(~sure)
    codes = np.empty((0, values.shape[1]), np.uint32)
    if len(unsure):
        spread = [leaders.take(unsure).spread(own.take(unsure, axis=0))[:, part] for leaders, own, part in told]
        found = Leaders.found(values.take(unsure, axis=0), np.concatenate(spread, axis=1))
        of[unsure], codes = found.of, found.codes
    # What it lacked may have been in columns that are cut off.
    partly = np.flatnonzero(~whole & (of != 0))
    whole[partly] = values.take(partly, axis=0).all(axis=1)
    leaders = Leaders(of, codes, whole)
    return leaders if leaders.any else None


def united_leaders(leaders: Leaders, remap: NDArray[np.uint32] | None) -> Leaders:
    """By the codes of a united table."""
    if remap is None:
        return leaders
    of = np.where(leaders.of < 0, leaders.of, remap.take(np.maximum(leaders.of, 0)))
    return Leaders(of, remap.take(leaders.codes), leaders.whole)


def united(tables: Sequence[NDArray[np.uint64]]) -> United:
    """As `unite`, and the first table itself where it holds all the others: what was made of it is found by it."""
    if len(tables) == 2 and np.array_equal(tables[0], tables[1]):
        identities, (codes,) = unite(tables[:1])  # which knows of the longer lasting one that it is fit for that
        return identities, [codes, codes]
    if len(tables) == 2 and (places := _places_in(*tables)) is not None:
        return tables[0], [None, places]
    identities, remaps = unite(tables)
    if len(tables) > 1 and identities is not tables[0] and np.array_equal(identities, tables[0]):
        return tables[0], [None, *remaps[1:]]
    return identities, remaps


def _places_in(table: NDArray[np.uint64], own: NDArray[np.uint64]) -> NDArray[np.uint32] | None:
    """Where the identities of a table are in another, sorted one; None where they are not or that takes longer.

    Of the newest columns there are few, and they are told anew with every column.
    """
    if not table.size or not own.size or max(int(table.max()), int(own.max())) >= HALF_A_WORD:
        return None
    keys, wanted = (each[:, 0] << np.uint64(32) | each[:, 1] for each in (table, own))
    places = np.minimum(keys.searchsorted(wanted), len(keys) - 1)
    return places.astype(np.uint32) if np.array_equal(keys.take(places), wanted) else None


def _marks(marks: Sequence[tuple[NDArray[np.bool_] | None, slice]], shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    if all(array is None for array, _ in marks):
        return None
    united = np.zeros(shape, np.bool_)
    start = 0
    for array, part in marks:
        width = part.stop - part.start
        if array is not None:
            united[:, start : start + width] = array[:, part]
        start += width
    return united if united.any() else None


def _shares(
    blocks: Sequence[tuple[Block, slice]], remaps: Sequence[NDArray[np.uint32] | None], starts: Sequence[int]
) -> Shares:
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64]]] = []
    for (block, part), remap, start in zip(blocks, remaps, starts, strict=False):
        shares = block.shares
        inside = (shares.columns >= part.start) & (shares.columns < part.stop)
        if not inside.any():
            continue
        own = shares.codes[inside]
        at = shares.columns[inside] - part.start + start
        parts.append((shares.rows[inside], at, own if remap is None else remap[own], shares.values[inside]))
    if not parts:
        return NO_SHARES
    rows, columns, codes, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.lexsort((codes, columns, rows))
    return Shares(rows[order], columns[order], codes[order], values[order])
