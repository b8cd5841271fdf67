"""Stretches of columns over one catalogue: narrow while they are kept, joined to a matrix when they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.identities import United, unite
from keyviz_grpc.model import NO_SHARES, Catalogue, Details, Matrix, Series, Shares
from keyviz_grpc.remembered.continued import Continued
from keyviz_grpc.traffic import Counts, Leaders
from keyviz_grpc.unchanging import unchanging

FAR: Final = 1 << 62
"""Later than any stamp."""

SPREAD_CELL_BYTES: Final = 8 + 4 + 2 + 8 + 8
"""What a cell of a matrix takes at most: its count, its code, its marks, a run and a row's number of its own."""

HALF_A_WORD: Final = 1 << 32
"""Numbers below this fit in it."""

SHARE_BYTES: Final = 8 + 8 + 4 + 8
IDENTITY_BYTES: Final = 2 * 8


class Block(Protocol):
    """What a matrix has besides series and rows; integers of any width."""

    @property
    def columns(self) -> NDArray[np.int64]: ...
    @property
    def narrowest(self) -> Counts: ...
    @property
    def identities(self) -> NDArray[np.uint64]: ...
    @property
    def codes(self) -> NDArray[np.unsignedinteger] | None: ...
    @property
    def shares(self) -> Shares: ...
    @property
    def soft(self) -> NDArray[np.bool_] | None: ...
    @property
    def conflicts(self) -> NDArray[np.bool_] | None: ...
    @property
    def leaders(self) -> Leaders | None: ...
    @property
    def busy_cells(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class Narrow:
    """A block that owns its arrays, in integers as narrow as they allow.

    busy_cells: those of the rows that have traffic. leaders: it has none ready.
    """

    columns: NDArray[np.int64]
    values: NDArray[np.unsignedinteger]
    identities: NDArray[np.uint64]
    codes: NDArray[np.unsignedinteger] | None
    shares: Shares
    soft: NDArray[np.bool_] | None
    conflicts: NDArray[np.bool_] | None
    busy_cells: int = field(init=False)
    leaders: Leaders | None = field(default=None, init=False)

    @property
    def narrowest(self) -> Counts:
        """Its values."""
        return self.values

    def __post_init__(self) -> None:
        busy = int(np.count_nonzero(self.values.any(axis=1)))
        object.__setattr__(self, "busy_cells", busy * len(self.columns))

    @classmethod
    def of(cls, matrix: Matrix) -> Narrow:
        """A copy. What is made for it stays with nobody."""
        values, codes = matrix.read_once()
        soft, conflicts = (None if marks is None else marks.copy() for marks in (matrix.soft, matrix.conflicts))
        return cls.around(
            matrix.columns.copy(),
            values,
            codes,
            identities=matrix.identities,
            shares=matrix.shares,
            soft=soft,
            conflicts=conflicts,
        )

    @classmethod
    def around(
        cls,
        columns: NDArray[np.int64],
        values: Counts,
        codes: NDArray[np.uint32] | None,
        *,
        identities: NDArray[np.uint64],
        shares: Shares,
        soft: NDArray[np.bool_] | None = None,
        conflicts: NDArray[np.bool_] | None = None,
    ) -> Narrow:
        """Of copies of counts and codes, and of the identities only those that a cell shows or lists."""
        identities, codes, shares = _in_use(identities, codes, shares)
        return cls(
            columns,
            _narrowed(values, int(values.max(initial=0))),
            identities.copy(),
            None if codes is None else _narrowed(codes, len(identities) - 1),
            shares,
            soft,
            conflicts,
        )


@unchanging(frozen=True, slots=True, eq=False)
class Piece:
    """A block that is remembered, of a column at least, stamped from `first_unix_ms` to `last_unix_ms`.

    size_bytes: what it takes in memory, at most. whole: it, and all of its columns.
    """

    block: Block
    size_bytes: int
    width: int = field(init=False)
    first_unix_ms: int = field(init=False)
    last_unix_ms: int = field(init=False)
    whole: tuple[Block, slice] = field(init=False)

    def __post_init__(self) -> None:
        columns, put = self.block.columns, object.__setattr__
        put(self, "width", len(columns))
        put(self, "first_unix_ms", int(columns[0]))
        put(self, "last_unix_ms", int(columns[-1]))
        put(self, "whole", (self.block, slice(0, len(columns))))

    def part(self, from_unix_ms: int, to_unix_ms: int) -> tuple[Block, slice]:
        """(its block, which of the columns have from <= stamp < to)."""
        return self.block, between(self.block, from_unix_ms, to_unix_ms)

    @classmethod
    def of(cls, matrix: Matrix) -> Piece:
        """A copy, as narrow as it can be."""
        return cls.narrow(Narrow.of(matrix))

    @classmethod
    def narrow(cls, block: Narrow) -> Piece:
        """The block itself, which nobody else has."""
        return cls(block, size_bytes_of(block))

    @classmethod
    def as_told(cls, matrix: Matrix, wire_bytes: int) -> Piece:
        """The matrix itself, with the bytes that it is a view of and all that it spreads when it is read."""
        size = wire_bytes + SPREAD_CELL_BYTES * matrix.cells + matrix.columns.nbytes
        size += SHARE_BYTES * matrix.share_count + IDENTITY_BYTES * matrix.identity_count
        return cls(matrix, size + (0 if matrix.leaders is None else matrix.leaders.size_bytes))


def size_bytes_of(block: Block) -> int:
    """Bytes that a block's arrays take; of a matrix as if all were spread and wide, for somebody may read them."""
    shares, leaders, counts = block.shares, block.leaders, block.narrowest
    count_bytes = 8 * counts.size if isinstance(block, Matrix) else counts.nbytes
    if leaders is not None:
        codes_bytes = 4 * counts.size + leaders.size_bytes
    else:
        codes_bytes = 0 if block.codes is None else block.codes.nbytes
    arrays = (block.columns, block.identities, block.soft, block.conflicts)
    listed = (shares.rows, shares.columns, shares.codes, shares.values)
    if isinstance(block, Continued) and block.place is not None:
        count_bytes += block.place.room.size_bytes
    return count_bytes + codes_bytes + sum(array.nbytes for array in (*arrays, *listed) if array is not None)


def _in_use(
    identities: NDArray[np.uint64], codes: NDArray[np.uint32] | None, shares: Shares
) -> tuple[NDArray[np.uint64], NDArray[np.uint32] | None, Shares]:
    """(identities, codes, shares) without the identities of columns that are gone; their order stays."""
    used = np.zeros(len(identities), np.bool_)
    used[:1] = True
    if codes is not None:
        used[codes.ravel()] = True
    used[shares.codes] = True
    if used.all():
        return identities, codes, shares
    renumbered = (np.cumsum(used) - 1).astype(np.uint32)
    own = Shares(shares.rows, shares.columns, renumbered[shares.codes], shares.values)
    return identities[used], None if codes is None else renumbered[codes], own


def _narrowed(values: NDArray[np.unsignedinteger], top: int) -> NDArray[np.unsignedinteger]:
    return np.array(values, dtype=np.min_scalar_type(top), order="C")


def between(block: Block, from_unix_ms: int, to_unix_ms: int) -> slice:
    """Which of its columns have from <= stamp < to."""
    columns = block.columns
    first = int(columns.searchsorted(from_unix_ms))
    last = len(columns) if to_unix_ms == FAR else int(columns.searchsorted(to_unix_ms))
    return slice(first, max(first, last))


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
