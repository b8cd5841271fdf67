"""Long rows as JSON, kept as they were sent: with what new columns say they become the next rows without being read.

A row that is written costs by its cells. One that is carried on costs a few views of what it said before, and what the
new columns say; both are copied once, into what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.joined_rows import AGREED, CONFLICTS, END, IDENTITIES, cut
from gateway.leader_texts import told_apart
from gateway.row_texts import Piece, json_of, piece_bytes
from keyviz_grpc.model import Matrix
from keyviz_grpc.remembered import continues
from keyviz_grpc.traffic import Leaders

FEW_COLUMNS: Final = 8
"""Up to so many columns that fell out of the window are cut off the texts of rows one by one; of so many of the newest
ones is seen first what rows say.
"""

NEWEST: Final = 8
"""So many columns tell of most rows whether anybody led them."""

SPAN_BYTES: Final = 2 * 8
"""What an array of a row takes in memory besides its text."""

VALUES_END: Final = b"],"
SOFT: Final = b',"soft":['
MARKS_END: Final = b"]"
GROUPS: Final = b',"raft_group_ids":['
GROUPS_END: Final = b'],"leader_terms":['
TERMS_END: Final = b"]},"

CUT: Final = b"|"
"""Stands in none of the texts of numbers and marks, nor around them."""

NOBODY: Final = np.empty(0, np.bool_)

Cells: TypeAlias = Callable[[NDArray[np.int64], slice], NDArray[Any]]
"""Of an array: the cells of some rows, in the columns of a slice."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Where the numbers of one array begin and end in the text of every row; a row that has none ends at 0."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def of_rows(self, rows: NDArray[np.int64]) -> Span:
        """Those of some rows."""
        return self if len(rows) == len(self.ends) else Span(self.starts.take(rows), self.ends.take(rows))


@dataclass(frozen=True, slots=True, eq=False)
class CarriedRows:
    """All rows of a matrix, each with a comma after it. counts: how many are in each text. spans: by array."""

    texts: Sequence[bytes]
    counts: Sequence[int]
    spans: Mapping[str, Span]

    def pieces(self) -> list[Piece]:
        """What is sent: there is no comma after the last row."""
        return [*self.texts[:-1], memoryview(self.texts[-1])[:-1]]

    @property
    def size_bytes(self) -> int:
        """In memory."""
        return sum(map(len, self.texts)) + SPAN_BYTES * sum(self.counts) * len(self.spans)


@dataclass(frozen=True, eq=False)
class Start:
    """What a matrix begins with: rows written before, without their first columns. new: how many columns it adds."""

    rows: CarriedRows
    dropped: int
    new: int

    @classmethod
    def of(cls, matrix: Matrix, before: Matrix, rows: CarriedRows) -> Start | None:
        """None where the matrix is not known to go on with the one before, or where too little of that is left."""
        part = continues(matrix, before)
        if part is None or part.stop != len(before.columns) or not part.start <= FEW_COLUMNS:
            return None
        kept = part.stop - part.start
        return cls(rows, part.start, matrix.shape[1] - kept) if 0 < kept < matrix.shape[1] else None

    def have(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some rows have that array."""
        span = self.rows.spans.get(name)
        return np.zeros(len(rows), np.bool_) if span is None else span.of_rows(rows).ends > 0

    @cached_property
    def _texts(self) -> list[tuple[bytes, memoryview]]:
        """In which each row is."""
        counted = zip(self.rows.texts, self.rows.counts, strict=True)
        return [each for text, count in counted for each in repeat((text, memoryview(text)), count)]

    def left_of(self, name: str, rows: NDArray[np.int64]) -> list[Piece]:
        """What is left of an array of rows that have it."""
        span = self.rows.spans[name].of_rows(rows)
        texts = self._texts
        if len(rows) != len(texts):
            texts = [texts[row] for row in rows.tolist()]
        starts = span.starts.tolist()
        for _ in range(self.dropped):
            starts = [text.index(b",", start) + 1 for (text, _), start in zip(texts, starts, strict=True)]
        ends = span.ends.tolist()
        return [view[start:end] for (_, view), start, end in zip(texts, starts, ends, strict=True)]


def carried(openings: Sequence[bytes], matrix: Matrix, start: Start | None, *, identity: bool) -> CarriedRows:
    """All rows of a matrix that has any, and columns. openings: what each says before the first of its values."""
    rows = _Rows(matrix, start)
    rows.add_texts(openings)
    rows.add("values", np.arange(len(openings)), _cells_of(matrix.narrowest), VALUES_END)
    rows.add_marks("conflicts", matrix.conflicts, AGREED, CONFLICTS)
    rows.add_marks("soft", matrix.soft, b"", SOFT)
    leaders = matrix.row_leaders() if identity else None
    if leaders is None:
        rows.add_texts([END] * len(openings))
    else:
        rows.add_identities(leaders)
    return rows.joined()


class _Rows:
    """Rows that are put together from lists of one part each a row, in the order in which a row has them."""

    def __init__(self, matrix: Matrix, start: Start | None) -> None:
        self._matrix, self._start, self._count = matrix, start, len(matrix.catalogue)
        self._lists: list[Sequence[Piece]] = []
        self._arrays: dict[str, tuple[int, int]] = {}

    def add_texts(self, texts: Sequence[bytes]) -> None:
        """One of every row."""
        self._lists.append(texts)

    def add(self, name: str, rows: NDArray[np.int64], cells: Cells, end: bytes) -> None:
        """An array of some rows, with what stands after it; the others have none."""
        columns, start = self._matrix.shape[1], self._start
        self._arrays[name] = len(self._lists), len(end)
        has = NOBODY if start is None else start.have(name, rows)
        if start is None or not has.any():
            self._lists += [
                self._of(rows, _texts_of(cells(rows, slice(0, columns)))),
                self._of(rows, [end] * len(rows)),
            ]
            return
        newest = slice(columns - start.new, columns)
        if has.all():
            self._lists += [
                self._of(rows, start.left_of(name, rows)),
                self._of(rows, _texts_of(cells(rows, newest), b",", end)),
            ]
            return
        carried, fresh = rows[has], rows[~has]
        known = self._of(carried, start.left_of(name, carried))
        more = self._of(carried, _texts_of(cells(carried, newest), b",", end))
        for row, text in zip(fresh.tolist(), _texts_of(cells(fresh, slice(0, columns))), strict=True):
            known[row], more[row] = text, end
        self._lists += [known, more]

    def _of(self, rows: NDArray[np.int64], texts: Sequence[Piece]) -> list[Piece]:
        """One of every row: those of some, and nothing of the others."""
        if len(rows) == self._count:
            return list(texts)
        every: list[Piece] = [b""] * self._count
        for row, text in zip(rows.tolist(), texts, strict=True):
            every[row] = text
        return every

    def add_marks(self, name: str, marks: NDArray[np.bool_] | None, without: bytes, opening: bytes) -> None:
        """Those of rows in which anything is marked. without: what other rows say."""
        if marks is None and not without:
            return
        leads = [without] * self._count
        self._lists.append(leads)
        if marks is None:
            return
        marked = np.flatnonzero(marks.any(axis=1))
        for row in marked.tolist():
            leads[row] = opening
        self.add(name, marked, _cells_of(marks), MARKS_END)

    def add_identities(self, leaders: Leaders) -> None:
        """Who led each row, up to its end."""
        matrix = self._matrix
        shown, others = told_apart(leaders)
        stated = others[_is_stated(matrix, leaders, others)]
        texts = IDENTITIES.of_rows(matrix.identities, shown, matrix.shape[1])
        leads = list(texts)
        self._lists.append(leads)
        for row in stated.tolist():
            leads[row] = GROUPS
        if len(stated):
            self.add("groups", stated, _identities_of(matrix, leaders, 0), GROUPS_END)
            self.add("terms", stated, _identities_of(matrix, leaders, 1), TERMS_END)

    def joined(self) -> CarriedRows:
        """All rows, in texts of about the length in which they are sent."""
        width = len(self._lists)
        parts: list[Piece] = [b""] * (width * self._count)
        for at, texts in enumerate(self._lists):
            parts[at::width] = texts
        lengths = np.fromiter(map(len, parts), np.int64, len(parts)).reshape(-1, width)
        ends = lengths.ravel().cumsum().reshape(-1, width)
        size = int(ends[-1, -1])
        each = piece_bytes(size)
        bounds = ends[:, -1].searchsorted(np.arange(1, size // each) * each)
        firsts = np.unique([0, *bounds.tolist()])
        counts = np.diff(firsts, append=self._count)
        # Counted from the first byte of each text.
        ends -= (ends[firsts, 0] - lengths[firsts, 0]).repeat(counts)[:, np.newaxis]
        spans = {
            name: Span(ends[:, at - 1].copy(), np.where(lengths[:, at + 1] > 0, ends[:, at + 1] - closing, 0))
            for name, (at, closing) in self._arrays.items()
        }
        several = [
            b"".join(parts[width * first : width * (first + count)])
            for first, count in zip(firsts.tolist(), counts.tolist(), strict=True)
        ]
        return CarriedRows(several, counts.tolist(), spans)


def _cells_of(array: NDArray[Any]) -> Cells:
    """Those of an array of all rows."""

    def cells(rows: NDArray[np.int64], columns: slice) -> NDArray[Any]:
        own = array[:, columns]
        return own if len(rows) == len(array) else own.take(rows, axis=0)

    return cells


def _identities_of(matrix: Matrix, leaders: Leaders, number: int) -> Cells:
    """Groups (0) or terms (1)."""
    table = matrix.identities[:, number]

    def cells(rows: NDArray[np.int64], columns: slice) -> NDArray[np.uint64]:
        told = Leaders(leaders.of, leaders.codes[:, columns], leaders.whole).take(rows)
        return table.take(told.spread(matrix.narrowest[:, columns].take(rows, axis=0)))

    return cells


def _is_stated(matrix: Matrix, leaders: Leaders, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[len(rows)]: whether a leader is known in any cell of those rows, which have one or several with traffic."""
    stated = _have_any(matrix.narrowest, rows)
    mixed, places = leaders.mixed(rows)
    stated[mixed] = _have_any(leaders.codes, places)
    return stated


def _have_any(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[len(rows)]: which of those rows are not 0 throughout. The newest columns tell it of most, and are few."""
    told: NDArray[np.bool_] = np.bitwise_or.reduce(array[:, -NEWEST:].take(rows, axis=0), axis=1) != 0
    silent = np.flatnonzero(~told)
    if len(silent):
        told[silent] = np.bitwise_or.reduce(array.take(rows.take(silent), axis=0), axis=1) != 0
    return told


def _texts_of(array: NDArray[Any], before: bytes = b"", after: bytes = b"") -> list[bytes]:
    """Of each row what stands between the brackets of its JSON, with something around it."""
    if not array.size:
        return []
    if array.shape[1] == 1:
        # One list of all numbers is written several times faster than a list a row, and so is what stands between.
        numbers = json_of(np.ascontiguousarray(array[:, 0]))[1:-1]
        return (before + numbers.replace(b",", after + CUT + before) + after).split(CUT)
    return [b"%b%b%b" % (before, text[:-2], after) for text in cut(array)]
