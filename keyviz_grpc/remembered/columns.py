"""What is remembered of each peer, and how an answer that leaves columns out becomes whole."""

from __future__ import annotations

from typing import Final

import numpy as np

from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.outcome import Answer, History
from keyviz_grpc.query import Known, MatrixQuery
from keyviz_grpc.remembered.blocks import FAR, Piece
from keyviz_grpc.remembered.pieces import Remembered
from keyviz_grpc.remembered.recollected import Recollected
from keyviz_grpc.remembered.shelf import Shelf
from keyviz_grpc.unchanging import unchanging

FEW_CELLS: Final = 1 << 17
"""So many cells of pieces are joined in less time than a way to a thread and back is worth."""


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
