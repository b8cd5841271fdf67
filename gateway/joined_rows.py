"""Rows of few columns as JSON: whole arrays are written at once, cut into the texts of rows, and joined with the rest.

For rows of few numbers, an object for each of them costs more than its numbers do, several times so where the caches
hold other things, as they do between two polls. Copying the texts of long rows would cost more than it saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.leader_texts import LeaderTexts, of_several, told_apart
from gateway.row_texts import Piece, json_of, piece_bytes
from keyviz_grpc.model import Matrix
from keyviz_grpc.traffic import Leaders, true_cells, where

NARROW: Final = 128
"""Columns up to which a row is short."""

SLAB_CELLS: Final = 1 << 17
"""Of so many cells the texts are there at once, besides those that are joined already."""

AGREED: Final = b'"conflict":false'
CONFLICTS: Final = b'"conflict":true,"conflicts":['
SOFT: Final = b'"soft":['
END: Final = b"},"
IDENTITIES: Final = LeaderTexts(lambda text: b',"raft_group_ids":%b%b' % (text, END), END)

NO_ROWS: Final = np.empty(0, np.int64)


def joined(openings: Sequence[bytes], matrix: Matrix, *, identity: bool) -> list[Piece]:
    """All rows in the pieces to send. openings: what each says before the first of its values."""
    rows, columns = matrix.shape
    ends = _Ends.of(matrix if identity else None, rows)
    step = max(1, SLAB_CELLS // max(1, columns))
    pieces: list[Piece] = []
    for at in range(0, rows, step):
        there = slice(at, min(at + step, rows))
        parts = [b""] * (4 * (there.stop - at))
        parts[0::4], parts[1::4] = openings[there], cut(matrix.narrowest[there])
        parts[2::4], parts[3::4] = _flags_of(matrix, there), ends.of_rows(there)
        text = memoryview(b"".join(parts))
        if there.stop == rows:
            text = text[:-1]  # no comma after the last row
        count = max(1, len(text) // piece_bytes(len(text) * rows // (there.stop - at)))
        size = -(-len(text) // count)
        pieces.extend(text[start : start + size] for start in range(0, len(text), size))
    return pieces


def cut(array: NDArray[Any]) -> list[bytes]:
    """Of each row of an array its JSON without the first bracket, and with the comma after it. There must be rows."""
    # Cut at one byte: to look for several takes twice as long.
    texts = json_of(np.ascontiguousarray(array))[2:-1].split(b"[")
    texts[-1] += b","
    return texts


def _flags_of(matrix: Matrix, there: slice) -> list[bytes]:
    """What stands after the values of each row: whether it is in conflict, and its marks."""
    flags = [AGREED] * (there.stop - there.start)
    if matrix.conflicts is not None:
        for row, text in _marked(matrix.conflicts[there], CONFLICTS):
            flags[row] = text
    if matrix.soft is not None:
        for row, text in _marked(matrix.soft[there], SOFT):
            flags[row] = b"%b,%b" % (flags[row], text)
    return flags


def _marked(marks: NDArray[np.bool_], before: bytes) -> Iterable[tuple[int, bytes]]:
    """The rows in which anything is marked, and their marks behind `before`."""
    counts, columns = true_cells(marks), marks.shape[1]
    single, several = where(counts == 1), where(counts > 1)
    rows, texts = single.tolist(), []
    if rows:
        kept = _marked_once(columns, before)
        texts = [kept[column] for column in marks.take(single, axis=0).argmax(axis=1).tolist()]
    if len(several):
        rows += several.tolist()
        text = json_of(marks.take(several, axis=0)).replace(b"[", before)
        # How long each is need not be looked for: `false` and a comma, one letter less where a cell is marked.
        lengths = (len(before) + 6 * columns + 1) - counts.take(several)
        ends = (len(before) + lengths.cumsum()).tolist()
        texts += [text[start : end - 1] for start, end in zip([len(before), *ends[:-1]], ends, strict=True)]
    return zip(rows, texts, strict=True)


@lru_cache(4)
def _marked_once(columns: int, before: bytes) -> list[bytes]:
    """The marks of a row that has one mark, by its column: half of the rows with any where one cell in fifty has."""
    return [b"%b%btrue%b]" % (before, b"false," * at, b",false" * (columns - 1 - at)) for at in range(columns)]


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """Of every row who led it, and its end. texts: as if others, which have more to say, said nothing."""

    matrix: Matrix | None
    leaders: Leaders | None
    texts: list[bytes]
    others: NDArray[np.int64]

    @classmethod
    def of(cls, matrix: Matrix | None, rows: int) -> _Ends:
        """matrix: None where nobody wants to know."""
        leaders = None if matrix is None else matrix.row_leaders()
        if matrix is None or leaders is None or not matrix.columns.size:
            return cls(None, None, [END] * rows, NO_ROWS)
        shown, others = told_apart(leaders)
        texts = IDENTITIES.of_rows(matrix.identities, shown, matrix.shape[1])
        return cls(matrix, leaders, texts, others)

    def of_rows(self, there: slice) -> list[bytes]:
        """Of some rows, those of several leaders among them."""
        texts = self.texts[there]
        if self.matrix is None or self.leaders is None or not len(self.others):
            return texts
        own = self.others[slice(*self.others.searchsorted((there.start, there.stop)).tolist())]
        rows, groups, terms = of_several(self.matrix, self.leaders, own)
        if len(rows):
            told = zip((rows - there.start).tolist(), cut(groups), cut(terms), strict=True)
            for row, group, term in told:
                texts[row] = b',"raft_group_ids":[%b"leader_terms":[%b},' % (group, term[:-1])
        return texts
