"""The closed columns of one node, as far as it told them, and how an answer that leaves them out becomes whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.outcome import Answer, History
from keyviz_grpc.query import Known, MatrixQuery
from keyviz_grpc.remembered.blocks import FAR, Block, Narrow, Piece, between
from keyviz_grpc.remembered.joining import joined
from keyviz_grpc.remembered.recollected import Recollected, Stamps
from keyviz_grpc.remembered.shelf import Shelf
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

FEW_CELLS: Final = 1 << 17
"""So many cells of pieces are joined in less time than a way to a thread and back is worth."""


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
    columns: NDArray[np.int64]
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


def _columns_of(pieces: Sequence[Piece], columns: NDArray[np.int64]) -> NDArray[np.int64]:
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


class NodeColumns:
    """What is remembered of whoever listens at one address, by series and by whether roles are told.

    Thread-safe, for its entries never change. shelf None: nothing is remembered.
    """

    def __init__(self, shelf: Shelf | None) -> None:
        self._shelf = shelf
        self.epoch = 0

    def recall(self, query: MatrixQuery) -> Recalled:
        """What this question can build on."""
        if self._shelf is None or query.rows or query.bucket_ids or query.node_id or query.unmerged:
            return Recalled(query, None, self, None, self.epoch)
        held = self._shelf.get(self, _kind_of(query))
        window = query.window
        if not isinstance(held, Remembered) or not held.from_unix_ms <= window.from_unix_ms < held.below_unix_ms:
            return Recalled(query, None, self, self._shelf, self.epoch)
        return Recalled(query, held, self, self._shelf, self.epoch)

    def forget(self) -> None:
        """Gives everything back: another node may listen there now. What is on its way still is not kept."""
        self.epoch += 1
        if self._shelf is not None:
            self._shelf.drop_all(self)


@unchanging(frozen=True, slots=True, eq=False)
class Recalled:
    """One question on its way, and what its answer may leave out. It does not change when memory does meanwhile."""

    query: MatrixQuery
    held: Remembered | None
    _owner: NodeColumns
    _shelf: Shelf | None
    _epoch: int

    @property
    def known(self) -> Known | None:
        """What an answer may leave out, None = nothing."""
        return None if self.held is None else self.held.known

    @property
    def rows(self) -> Catalogue | None:
        """The rows of an answer that leaves out what is known."""
        return None if self.held is None else self.held.catalogue

    @property
    def known_below_unix_ms(self) -> int:
        """From which stamp on it asks for what is not remembered, 0 = everything is asked for."""
        return 0 if self.held is None else self.held.below_unix_ms

    def copies_much(self, columns: int, oldest: int) -> bool:
        """Whether an answer with so many columns more has many of those that are remembered copied."""
        held = self.held
        if held is None or (len(held.columns) + columns) * len(held.catalogue) <= FEW_CELLS:
            return False
        return held.copied_columns(columns, oldest) * len(held.catalogue) > FEW_CELLS

    def whole(self, answer: Answer, wire_bytes: int) -> Answer:
        """The answer as it would have been in full; it is remembered.

        Raises MalformedAnswer for an answer that does not fit what it says is known; then all is forgotten.
        """
        if self._shelf is None:
            return answer
        history = answer.history
        if history is None or answer.merged or not (answer.node_id and answer.incarnation):
            self._drop()
            return answer
        if not history.left_out_below_unix_ms:
            self._keep(answer, history, wire_bytes)
            return answer
        try:
            return self._completed(answer, history, wire_bytes)
        except MalformedAnswer:
            self._drop()
            raise

    def _completed(self, answer: Answer, history: History, wire_bytes: int) -> Answer:
        held, window, tail = self.held, self.query.window, answer.matrix
        told = (answer.node_id, answer.incarnation, history.number)
        if held is None or held.life != told or history.left_out_below_unix_ms != held.below_unix_ms:
            raise MalformedAnswer("history: columns are left out that are known of another node, life or history")
        first = max(window.from_unix_ms, answer.oldest_unix_ms) if answer.oldest_unix_ms else FAR
        known, columns = held.between(first, min(window.to_unix_ms or FAR, held.below_unix_ms))
        if len(columns) != history.left_out_columns:
            raise MalformedAnswer(f"history: {history.left_out_columns} columns are left out, {len(columns)} are known")
        if len(tail.columns):
            if int(tail.columns[0]) < held.below_unix_ms:
                raise MalformedAnswer(f"history: column {int(tail.columns[0])} is told although it is known")
            known = (*known, (tail, slice(0, len(tail.columns))))
            columns = np.concatenate([columns, tail.columns])
        self._extend(held, answer, self._below(history), wire_bytes)
        return answer.of(Recollected(tail.series, held.catalogue, known, columns))

    def _below(self, history: History) -> int:
        # Whatever closes later is stamped after the newest, or changes the number.
        newest = history.newest_unix_ms + 1
        return min(self.query.window.to_unix_ms or newest, newest)

    def _keep(self, answer: Answer, history: History, wire_bytes: int) -> None:
        """Remembers a full answer, in addition to what is there where that is possible."""
        if self._shelf is None or not history.newest_unix_ms:
            self._drop()
            return
        below, start = self._below(history), self.query.window.from_unix_ms
        there = self._shelf.get(self._owner, _kind_of(self.query))
        life = (answer.node_id, answer.incarnation, history.number)
        if isinstance(there, Remembered) and (there.life != life or there.catalogue != answer.matrix.catalogue):
            self._drop()
        elif _goes_beyond(answer.matrix, below):
            self._drop()
            return
        elif isinstance(there, Remembered):
            if there.from_unix_ms <= start <= there.below_unix_ms:
                self._extend(there, answer, below, wire_bytes)
                return
            if below <= there.below_unix_ms and len(answer.matrix.columns) <= len(there.columns):
                return
        matrix = answer.matrix
        if len(matrix.columns) == 0 or below <= start:
            return
        pieces = (Piece.of(matrix),)
        self._put(Remembered(*life, start, below, matrix.catalogue, pieces, matrix.columns))

    def _extend(self, held: Remembered, answer: Answer, below: int, wire_bytes: int) -> None:
        if _goes_beyond(answer.matrix, below):
            self._drop()
            return
        if below <= held.below_unix_ms:
            return
        series = answer.matrix.series
        self._put(held.extended(answer.matrix, below, wire_bytes, series=series, oldest=answer.oldest_unix_ms))

    def _put(self, remembered: Remembered) -> None:
        if self._shelf is None or self._epoch != self._owner.epoch:
            return
        size = sum([piece.size_bytes for piece in remembered.pieces], remembered.columns.nbytes)
        self._shelf.put(self._owner, _kind_of(self.query), remembered, size_bytes=size, shared=(remembered.catalogue,))

    def _drop(self) -> None:
        if self._shelf is not None:
            self._shelf.drop(self._owner, _kind_of(self.query))


def _kind_of(query: MatrixQuery) -> tuple[Series, bool]:
    """Answers of the same kind say the same rows."""
    return query.series, query.without_roles


def _goes_beyond(matrix: Matrix, below_unix_ms: int) -> bool:
    """Whether it has columns that its node says it does not hold; those are not kept, nor what they came with."""
    return len(matrix.columns) > 0 and int(matrix.columns[-1]) >= below_unix_ms
