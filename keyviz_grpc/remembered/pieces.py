"""The columns that one life of a node told, in pieces of which few are copied when more come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.query import Known
from keyviz_grpc.remembered.blocks import FAR, Block, Narrow, Piece, between
from keyviz_grpc.remembered.joining import joined
from keyviz_grpc.remembered.recollected import Stamps
from keyviz_grpc.remembered.stacked import stacked
from keyviz_grpc.unchanging import unchanging

JOINED: Final = 16
"""So many pieces of about one length become one: a column is copied seldom, and short memories lose whole pieces."""

FEW_JOINED: Final = 4
"""So many where they are of fewer columns than these and of many cells, for those are kept as they came, and weigh."""

MANY_CELLS: Final = 1 << 12
"""Of a piece; joining costs as much a piece as it does for thousands of cells."""

WORN: Final = 4
"""One of so many columns is no longer held where the first piece is worth a copy without those."""

Stretch: TypeAlias = tuple[Sequence[tuple[Block, slice]], Stamps]
"""Of each piece which columns, and the stamps of all."""


@unchanging(frozen=True, slots=True, eq=False)
class Remembered:
    """Every column with from <= stamp < below that one life of a node held, while its history had this number.

    Of those that the node no longer holds some may still be in `pieces`, which ascend in time. columns: the stamps of
    all pieces.
    """

    node_id: str
    incarnation: int
    number: int
    from_unix_ms: int
    below_unix_ms: int
    catalogue: Catalogue
    pieces: tuple[Piece, ...]
    columns: Stamps
    known: Known = field(init=False)
    """What an answer may leave out: the same object for the same columns."""
    _last: Kept[tuple[int, int], Stretch] = field(init=False)

    def __post_init__(self) -> None:
        known = Known(self.node_id, self.incarnation, self.number, self.below_unix_ms)
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "_last", Kept(1))

    @property
    def life(self) -> tuple[str, int, int]:
        """What two of these must share to be of the same columns."""
        return self.node_id, self.incarnation, self.number

    def copied_columns(self, more: int, oldest: int) -> int:
        """Of how many columns a copy is made when so many more are remembered, at most."""
        pieces = self._from(oldest)
        lengths = [*(piece.width for piece in pieces), *([more] if more else [])]
        columns, copied = sum(lengths), more
        while count := _to_join(lengths, len(self.catalogue)):
            lengths[-count:] = [sum(lengths[-count:])]
            copied += lengths[-1]
        gone = int(_columns_of(pieces, self.columns).searchsorted(oldest))
        return copied + (lengths[0] if _is_worn(gone, columns) else 0)

    def extended(self, tail: Matrix, below_unix_ms: int, wire_bytes: int, *, series: Series, oldest: int) -> Remembered:
        """With the columns of `tail` from here on; its other columns are here already."""
        part = between(tail, max(self.below_unix_ms, oldest), FAR)
        pieces = self._from(oldest)
        if part.stop > part.start:
            pieces = (*pieces, self._piece_of(tail, part, wire_bytes, series))
        columns = _columns_of(pieces, np.concatenate([self.columns, tail.columns[part]]))
        pieces = _joined_up(pieces, series, self.catalogue)
        if _is_worn(gone := int(columns.searchsorted(oldest)), len(columns)):
            pieces, columns = (self._cut(pieces[0], oldest, series), *pieces[1:]), columns[gone:]
        below = max(self.below_unix_ms, below_unix_ms)
        return Remembered(*self.life, self.from_unix_ms, below, self.catalogue, pieces, columns)

    def _piece_of(self, tail: Matrix, part: slice, wire_bytes: int, series: Series) -> Piece:
        whole = part == slice(0, len(tail.columns))
        if whole and part.stop < FEW_JOINED and tail.catalogue is self.catalogue:
            return Piece.as_told(tail, wire_bytes)  # it is copied with those after it, which soon are as many
        return Piece.of(tail if whole else joined(series, self.catalogue, [(tail, part)]))

    def _cut(self, piece: Piece, oldest: int, series: Series) -> Piece:
        """A copy of its columns from there on."""
        if isinstance(piece.block, Narrow):
            return Piece.narrow(piece.block.since(oldest))
        return Piece.of(joined(series, self.catalogue, [piece.part(oldest, FAR)]))

    def between(self, first: int, end: int) -> Stretch:
        """The columns with first <= stamp < end: the very objects of the last time where the same ones are wanted."""
        stretch = self._last.get((first, end))
        if stretch is None:
            parts = [
                # Asked here: to call a method for each of many pieces takes several times as long.
                piece.whole if first <= piece.first_unix_ms and piece.last_unix_ms < end else piece.part(first, end)
                for piece in self.pieces
            ]
            columns = self.columns[self.columns.searchsorted(first) : self.columns.searchsorted(end)]
            self._last.put((first, end), stretch := (parts, columns))
        return stretch

    def _from(self, oldest: int) -> tuple[Piece, ...]:
        """The pieces that have any column from there on."""
        return tuple(piece for piece in self.pieces if piece.last_unix_ms >= oldest)


def _columns_of(pieces: Sequence[Piece], columns: Stamps) -> NDArray[np.int64]:
    """The stamps of consecutive pieces, of those of these and of some before them."""
    first = columns.searchsorted(pieces[0].first_unix_ms) if pieces else len(columns)
    return columns[first:]


def _joined_up(pieces: tuple[Piece, ...], series: Series, catalogue: Catalogue) -> tuple[Piece, ...]:
    """In fewer pieces: each of the last ones is several times as long as those after it.

    So a column is copied once for each time that as many as it is kept with have become several times as many.
    """
    while count := _to_join([piece.width for piece in pieces], len(catalogue)):
        last = [piece.whole for piece in pieces[-count:]]
        narrow = stacked([block for block, _ in last]) or Narrow.of(joined(series, catalogue, last))
        pieces = (*pieces[:-count], Piece.narrow(narrow))
    return pieces


def _to_join(lengths: Sequence[int], rows: int) -> int:
    """How many of the last pieces are to become one."""
    if len(lengths) < FEW_JOINED:
        return 0
    is_heavy = lengths[-1] < FEW_JOINED and lengths[-1] * rows > MANY_CELLS
    count = FEW_JOINED if is_heavy else JOINED
    return count if len(lengths) >= count and lengths[-count] < count * lengths[-1] else 0


def _is_worn(gone: int, columns: int) -> bool:
    """Whether so many columns that the node no longer holds, the first ones of all, are worth a copy of their piece."""
    return 0 < columns <= gone * WORN
