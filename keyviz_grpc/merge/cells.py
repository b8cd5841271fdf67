"""The cells of the merged matrix: reads are summed, writes follow the write rule of docs/merge.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.adding import taken_part_by_part
from keyviz_grpc.merge.entries import Placed, entries_of
from keyviz_grpc.merge.few import taken_together
from keyviz_grpc.merge.identities import unite
from keyviz_grpc.merge.rows import Places
from keyviz_grpc.merge.saturating import add
from keyviz_grpc.merge.sparse import sparse_pass
from keyviz_grpc.merge.union import Region, Union
from keyviz_grpc.model import Catalogue, Matrix, Series, Shares


def merge_cells(
    parts: Sequence[Placed],
    series: Series,
    columns: NDArray[np.int64],
    catalogue: Catalogue,
    *,
    places: Places | None = None,
    list_shares: bool = True,
) -> Matrix:
    """The matrix of these columns and rows, which are the unions of all parts'.

    places: where the rows of all parts go, where that is known in one. list_shares False: the result lists no shares.
    """
    shape = (len(catalogue), len(columns))
    soft = _soft(parts, shape)
    if not series.is_write:
        return Matrix.of_leaders(series, columns, catalogue, _sums(parts, shape), None, soft=soft)
    identities, union, shares = _union(parts, shape, places, list_shares=list_shares)
    marked = [(_region(part), part.matrix.conflicts) for part in parts if part.matrix.conflicts is not None]
    return Matrix.of_leaders(
        series,
        columns,
        catalogue,
        union.values,
        union.leaders(),
        identities=identities,
        shares=shares,
        soft=soft,
        conflicts=union.conflicts(marked),
    )


def _sums(parts: Sequence[Placed], shape: tuple[int, int]) -> NDArray[np.uint64]:
    """Over parts, saturating."""
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
    return values


def _union(
    parts: Sequence[Placed], shape: tuple[int, int], places: Places | None, *, list_shares: bool
) -> tuple[NDArray[np.uint64], Union, Shares]:
    """(identities, the union, its shares).

    The write rule: whole rows where cells are simple, sparse lists of shares where they are not. A cell is simple
    when no part lists its shares and the parts with traffic in it all show one known identity, or when only one part
    has traffic. Only the rows in which a part has any traffic are looked at: a leader counts alone, so with n nodes
    that is little more than one of n. `values` of a part stand for F as well: F only matters where it exceeds the
    known and the unknown shares, and there it is the part's value.
    """
    identities, remaps = unite([part.matrix.identities for part in parts])
    lists = [_place_shares(part, remap) for part, remap in zip(parts, remaps, strict=True)]
    entries = entries_of(parts, remaps, shape, places, identities=len(identities))
    told = [shares for shares in lists if len(shares)]
    union = (None if told else taken_together(entries, shape)) or taken_part_by_part(entries, shape, told)
    return identities, union, sparse_pass(union, entries, lists, identities=identities, list_shares=list_shares)


def _region(part: Placed) -> Region:
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
