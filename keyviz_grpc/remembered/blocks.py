"""Stretches of columns over one catalogue, as narrow as they can be while they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Matrix, Shares
from keyviz_grpc.remembered.continued import Continued
from keyviz_grpc.traffic import Counts, Leaders
from keyviz_grpc.unchanging import unchanging

FAR: Final = 1 << 62
"""Later than any stamp."""

SPREAD_CELL_BYTES: Final = 8 + 4 + 2 + 8 + 8
"""What a cell of a matrix takes at most: its count, its code, its marks, a run and a row's number of its own."""

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

    def since(self, from_unix_ms: int) -> Narrow:
        """A copy of the columns from that stamp on."""
        part, shares = between(self, from_unix_ms, FAR), self.shares
        if len(shares):
            kept = shares.columns >= part.start
            places = shares.columns[kept] - part.start
            shares = Shares(shares.rows[kept], places, shares.codes[kept], shares.values[kept])
        return Narrow.around(
            self.columns[part].copy(),
            self.values[:, part],
            None if self.codes is None else self.codes[:, part],
            identities=self.identities,
            shares=shares,
            soft=_left_of(self.soft, part),
            conflicts=_left_of(self.conflicts, part),
        )

    @classmethod
    def around(
        cls,
        columns: NDArray[np.int64],
        values: Counts,
        codes: NDArray[np.unsignedinteger] | None,
        *,
        identities: NDArray[np.uint64],
        shares: Shares,
        soft: NDArray[np.bool_] | None = None,
        conflicts: NDArray[np.bool_] | None = None,
    ) -> Narrow:
        """With copies of counts and codes, and of the identities only those that a cell shows or lists."""
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


def _left_of(marks: NDArray[np.bool_] | None, part: slice) -> NDArray[np.bool_] | None:
    """A copy of those columns; None where nothing is marked in them, as where nothing ever was."""
    kept = None if marks is None else marks[:, part]
    return None if kept is None or not kept.any() else kept.copy()


def _in_use(
    identities: NDArray[np.uint64], codes: NDArray[np.unsignedinteger] | None, shares: Shares
) -> tuple[NDArray[np.uint64], NDArray[np.unsignedinteger] | None, Shares]:
    """(identities, codes, shares) without the identities of columns that are gone; their order stays."""
    used = np.zeros(len(identities), np.bool_)
    used[:1] = True
    if codes is not None:
        # Mostly a cell has the code of the one before it: to find the others takes a tenth of looking at each.
        used[codes[:, :1]] = True
        used[codes[:, 1:][codes[:, 1:] != codes[:, :-1]]] = True
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
