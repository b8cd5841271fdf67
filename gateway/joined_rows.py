"""Rows of few columns as JSON: whole arrays are written at once, cut into the texts of rows, and joined with the rest.

For rows of few numbers, an object for each of them costs more than its numbers do, several times so where the caches
hold other things, as they do between two polls. Copying the texts of long rows would cost more than it saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.leader_texts import LeaderTexts, of_several, told_apart
from gateway.row_texts import Piece, json_of, piece_bytes
from keyviz_grpc.model import Matrix
from keyviz_grpc.traffic import true_cells, where

NARROW: Final = 128
"""Columns up to which a row is short."""

AGREED: Final = b'"conflict":false'
CONFLICTS: Final = b'"conflict":true,"conflicts":['
SOFT: Final = b'"soft":['
END: Final = b"},"
IDENTITIES: Final = LeaderTexts(lambda text: b',"raft_group_ids":%b%b' % (text, END), END)


def joined(openings: Sequence[bytes], matrix: Matrix, *, identity: bool) -> list[Piece]:
    """All rows in the pieces to send. openings: what each says before the first of its values."""
    if not openings:
        return []
    parts = [b""] * (4 * len(openings))
    parts[0::4], parts[1::4] = openings, cut(matrix.narrowest)
    parts[2::4], parts[3::4] = _flags_of(matrix), _ends_of(matrix, identity=identity)
    text = memoryview(b"".join(parts))[:-1]  # no comma after the last row
    size = -(-len(text) // max(1, len(text) // piece_bytes(len(text))))
    return [text[start : start + size] for start in range(0, len(text), size)]


def cut(array: NDArray[Any]) -> list[bytes]:
    """Of each row of an array its JSON without the first bracket, and with the comma after it. There must be rows."""
    # Cut at one byte: to look for several takes twice as long.
    texts = json_of(np.ascontiguousarray(array))[2:-1].split(b"[")
    texts[-1] += b","
    return texts


def _flags_of(matrix: Matrix) -> list[bytes]:
    """What stands after the values of each row: whether it is in conflict, and its marks."""
    flags = [AGREED] * matrix.shape[0]
    if matrix.conflicts is not None:
        for row, text in _marked(matrix.conflicts, CONFLICTS):
            flags[row] = text
    if matrix.soft is not None:
        for row, text in _marked(matrix.soft, SOFT):
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


def _ends_of(matrix: Matrix, *, identity: bool) -> list[bytes]:
    """Who led each row, where anybody wants to know, and its end."""
    leaders = matrix.row_leaders() if identity else None
    rows, columns = matrix.shape
    if leaders is None or not columns:
        return [END] * rows
    shown, others = told_apart(leaders)
    texts = IDENTITIES.of_rows(matrix.identities, shown, columns)
    numbers, groups, terms = of_several(matrix, leaders, others)
    if not len(numbers):
        return texts
    texts = texts.copy()
    for row, group, term in zip(numbers.tolist(), cut(groups), cut(terms), strict=True):
        texts[row] = b',"raft_group_ids":[%b"leader_terms":[%b},' % (group, term[:-1])
    return texts
