"""The body of the matrix endpoint, put together from texts that are ready and texts of what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Final

import numpy as np
import orjson

from gateway.carried_rows import CarriedRows, Start, carried
from gateway.joined_rows import NARROW, joined
from gateway.long_rows import LongRows
from gateway.render import fanout_of, rfc3339
from gateway.row_texts import Piece, head_of, in_pieces, json_of, piece_bytes, pieces_of
from gateway.streamed import Streamed
from keyviz_grpc.model import Catalogue, Matrix, Row
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.remembered import Shelf

FEW_CELLS: Final = 1 << 16
FEW_WORDS: Final = 512
FEW_CHARS: Final = 1 << 18
"""So many cells or columns, outcomes and warnings, and characters of those are written in less time than a way to a
thread and back is worth.
"""

FEW_MEASURED_CELLS: Final = 1 << 19
WIDEST_MEASURED: Final = 4
"""Bytes of a count. How long long rows become is found by a look at all counts for each digit of the largest one."""

PIECES_HELD: Final = 3
"""Of a body that is written while it is sent: two, half as long again where rows that say more are together."""

FEW_HEAD_BYTES: Final = 2 << 20
"""What rows say before their values: as long as their keys are."""


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """rows: all of the matrix in a few pieces, None while nobody asked twice. carried: the same, of long rows."""

    matrix: Matrix
    rows: list[Piece] | None
    carried: CarriedRows | None = None


def _is_brief(outcomes: Sequence[Outcome]) -> bool:
    words = chars = 0
    for outcome in outcomes:
        words += 1 + len(outcome.warnings)
        if words > FEW_WORDS:
            return False
        chars += len(outcome.address) + len(outcome.node_id) + len(outcome.detail)
        for warning in outcome.warnings:
            chars += len(warning.bucket_id) + len(warning.detail)
    return chars <= FEW_CHARS


def _around(answer: Answer) -> tuple[bytes, bytes]:
    """What stands before the rows of a body, and what after them."""
    matrix = answer.matrix
    nodes = np.ones(matrix.shape[1], np.int64) if answer.column_nodes is None else answer.column_nodes
    document: dict[str, Any] = {
        "column_unix_ms": np.ascontiguousarray(matrix.columns),
        "step_ms": answer.step_ms,
        "rows": (),
        "series": matrix.series.value,
        "generated_at": rfc3339(answer.generated_at_unix_ms),
        "column_nodes": np.ascontiguousarray(nodes),
        **fanout_of(answer),
    }
    before, opening, after = json_of(document).partition(b'"rows":[')
    return before + opening, after


def _rows_in(written: Written | None, matrix: Matrix) -> list[Piece] | None:
    """The rows of this very matrix, where they were written."""
    return written.rows if written is not None and written.matrix is matrix else None


class _HeadTexts:
    """What rows say before their values, from the bucket id on, in the two forms in which it is written."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._texts = [head_of(row) for row in rows]
        self.size_bytes = sum(map(len, self._texts))

    @cached_property
    def fragments(self) -> list[orjson.Fragment]:
        """For rows that are written as dictionaries."""
        return [orjson.Fragment(text) for text in self._texts]

    @cached_property
    def openings(self) -> list[bytes]:
        """For rows that are joined: up to the first value."""
        return [b'{"bucket_id":%b,"values":[' % text for text in self._texts]


@dataclass(frozen=True, slots=True, eq=False)
class _Heads:
    """Those of a catalogue."""

    catalogue: Catalogue
    texts: _HeadTexts


class MatrixRenderer:
    """Renders matrices. Row metadata is written once a catalogue and remembered for the last few; thread-safe.

    Short rows are joined from texts. Of others the encoder is handed one dictionary a row, with arrays, and with JSON
    of what many rows or requests have in common: for each further object of its own a row would take longer than for
    ten numbers.

    shelf: where the written rows of a matrix are kept that is asked for again, the very same object, as one is of which
    no column is new; None = nowhere.
    """

    def __init__(self, remembered: int = 4, shelf: Shelf | None = None) -> None:
        self._remembered, self._shelf = remembered, shelf
        self._heads: tuple[_Heads, ...] = ()

    def render(self, answer: Answer, *, identity: bool = True) -> bytes:
        """The body of the matrix endpoint in one piece; see `pieces`."""
        return b"".join(self.pieces(answer, identity=identity))

    def is_quick(self, answer: Answer, *, identity: bool = True) -> bool:
        """Whether `pieces` takes a millisecond or two at most: few cells and known rows, or all rows written already.

        Columns, and what is said of leaves, must be few in any case: they are written anew each time.
        """
        matrix = answer.matrix
        if matrix.shape[1] > FEW_CELLS or not _is_brief(answer.outcomes):
            return False
        before = self._before(matrix, identity=identity, keep=not answer.degraded)
        if _rows_in(before, matrix) is not None:
            return True
        return self._are_known(matrix, FEW_CELLS)

    def _are_known(self, matrix: Matrix, most_cells: int) -> bool:
        heads = self._known_heads(matrix.catalogue) if matrix.cells <= most_cells else None
        return heads is not None and heads.texts.size_bytes <= FEW_HEAD_BYTES

    def pieces(self, answer: Answer, *, identity: bool = True) -> list[Piece]:
        """The body of the matrix endpoint. identity False leaves out `raft_group_ids` and `leader_terms`.

        `fanout` is absent for an answer that no fan-out made: a local node alone.
        """
        head, tail = _around(answer)
        return [head, *self._rows_of(answer.matrix, identity=identity, keep=not answer.degraded), tail]

    def streams(self, answer: Answer) -> bool:
        """Whether `streamed` may be asked for; it takes a millisecond, and eight where all cells are marked and mixed.

        Rows must be long, known, few and not kept, and their length soon measured.
        """
        matrix = answer.matrix
        is_kept = self._shelf is not None and not answer.degraded
        is_long = NARROW < matrix.shape[1] <= FEW_CELLS and matrix.narrowest.itemsize <= WIDEST_MEASURED
        return not is_kept and is_long and _is_brief(answer.outcomes) and self._are_known(matrix, FEW_MEASURED_CELLS)

    def streamed(self, answer: Answer, *, identity: bool = True) -> Streamed:
        """The same body as that of `pieces`, written while it is sent."""
        head, tail = _around(answer)
        rows = self._long_rows(answer.matrix, identity=identity)
        size, around = rows.size_bytes, len(head) + len(tail)
        held_bytes = around + rows.held_bytes + PIECES_HELD * piece_bytes(size)
        return Streamed(around + size, held_bytes, chain((head,), pieces_of(rows.rows, size), (tail,)))

    def _before(self, matrix: Matrix, *, identity: bool, keep: bool) -> Written | None:
        there = self._shelf.get(self, (matrix.series, identity)) if self._shelf is not None and keep else None
        return there if isinstance(there, Written) else None

    def _rows_of(self, matrix: Matrix, *, identity: bool, keep: bool) -> list[Piece]:
        before = self._before(matrix, identity=identity, keep=keep)
        if (written := _rows_in(before, matrix)) is not None:
            return written
        if matrix.shape[1] > NARROW and self._shelf is not None and keep and matrix.cells:
            made = self._carried(matrix, before, identity=identity)
            rows, size = made.pieces(), made.size_bytes
            kept = Written(matrix, rows, made)
            self._shelf.put(self, (matrix.series, identity), kept, size_bytes=size, shared=(matrix.catalogue, matrix))
            return rows
        if matrix.shape[1] <= NARROW:
            rows = joined(self._heads_of(matrix.catalogue).openings, matrix, identity=identity)
        else:
            rows = in_pieces(self._long_rows(matrix, identity=identity).rows)
        if self._shelf is not None and keep:
            # All of it is worth its room only once somebody asks twice between two columns.
            seen = before is not None and before.matrix is matrix
            kept, size = Written(matrix, rows if seen else None), sum(map(len, rows)) if seen else 0
            self._shelf.put(self, (matrix.series, identity), kept, size_bytes=size, shared=(matrix.catalogue, matrix))
        return rows

    def _carried(self, matrix: Matrix, before: Written | None, *, identity: bool) -> CarriedRows:
        start = None if before is None or before.carried is None else Start.of(matrix, before.matrix, before.carried)
        return carried(self._heads_of(matrix.catalogue).openings, matrix, start, identity=identity)

    def _long_rows(self, matrix: Matrix, *, identity: bool) -> LongRows:
        heads = self._heads_of(matrix.catalogue)
        return LongRows(heads.fragments, heads.size_bytes, matrix, identity=identity)

    def _heads_of(self, catalogue: Catalogue) -> _HeadTexts:
        known = self._known_heads(catalogue) or self._kept(_Heads(catalogue, _HeadTexts(catalogue.rows)))
        return known.texts

    def _known_heads(self, catalogue: Catalogue) -> _Heads | None:
        # The very object first: that two others differ may be seen in their last rows only.
        for known in self._heads:
            if known.catalogue is catalogue:
                return known
        for known in self._heads:
            if known.catalogue == catalogue:
                # The objects of first answers are soon made anew, and from then on stay the same.
                return self._kept(_Heads(catalogue, known.texts))
        return None

    def _kept(self, heads: _Heads) -> _Heads:
        others = [known for known in self._heads if known.texts is not heads.texts]
        self._heads = (heads, *others[: self._remembered - 1])
        return heads
