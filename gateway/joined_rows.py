"""Rows of few columns as JSON: whole arrays are written at once, cut into the texts of rows, and joined with the rest.

For rows of few numbers, an object for each of them costs more than its numbers do, several times so where the caches
hold other things, as they do between two polls. Copying the texts of long rows would cost more than it saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.row_texts import KEPT_NUMBERS, Piece, json_of, of_several, piece_bytes, repeated_of, shown_throughout
from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import Matrix

NARROW: Final = 128
"""Columns up to which a row is short."""

SLAB_CELLS: Final = 1 << 17
"""Of so many cells the texts are there at once, besides those that are joined already."""

AGREED: Final = b'"conflict":false'
END: Final = b"},"


@dataclass(frozen=True, slots=True, eq=False)
class _Led:
    """What every row says of its leader, up to its end: by: the codes, as bytes, of those who lead a row throughout."""

    by: bytes
    texts: list[bytes]


_led: Final[KeptByIdentity[dict[int, _Led]]] = KeptByIdentity(4)


def joined(openings: Sequence[bytes], matrix: Matrix, *, identity: bool) -> list[Piece]:
    """All rows in the pieces to send. openings: what each says before the first of its values."""
    rows, columns = matrix.shape
    flags, ends = _flags_of(matrix), _ends_of(matrix) if identity else [END] * rows
    step = max(1, SLAB_CELLS // max(1, columns))
    pieces: list[Piece] = []
    for at in range(0, rows, step):
        there = slice(at, at + step)
        values = cut(matrix.narrowest[there])
        parts = [b""] * (4 * len(values))
        parts[0::4], parts[1::4], parts[2::4], parts[3::4] = openings[there], values, flags[there], ends[there]
        text = memoryview(b"".join(parts))
        if at + step >= rows:
            text = text[:-1]  # no comma after the last row
        count = max(1, len(text) // piece_bytes(len(text) * rows // len(values)))
        size = -(-len(text) // count)
        pieces.extend(text[start : start + size] for start in range(0, len(text), size))
    return pieces


def cut(array: NDArray[Any]) -> list[bytes]:
    """Of each row of an array its JSON without the first bracket, and with the comma after it. There must be rows."""
    # Cut at one byte: to look for several takes twice as long.
    texts = json_of(np.ascontiguousarray(array))[2:-1].split(b"[")
    texts[-1] += b","
    return texts


def _flags_of(matrix: Matrix) -> list[bytes]:
    """Of every row what stands after its values, marks included."""
    flags = [AGREED] * matrix.shape[0]
    for row, text in _marked(matrix.conflicts):
        flags[row] = b'"conflict":true,"conflicts":[' + text
    for row, text in _marked(matrix.soft):
        flags[row] = b'%b,"soft":[%b' % (flags[row], text)
    return flags


def _marked(marks: NDArray[np.bool_] | None) -> Iterable[tuple[int, bytes]]:
    """Rows in which anything is marked, and their marks up to the closing bracket."""
    if marks is None:
        return ()
    rows = np.flatnonzero(marks.any(axis=1))
    if not len(rows):
        return ()
    return zip(rows.tolist(), (text[:-1] for text in cut(marks.take(rows, axis=0))), strict=True)


def _ends_of(matrix: Matrix) -> list[bytes]:
    """Of every row who led it, and its end."""
    leaders = matrix.row_leaders()
    if leaders is None or not matrix.columns.size:
        return [END] * matrix.shape[0]
    shown = shown_throughout(leaders)
    ends = _led_by(matrix, shown)
    rows, groups, terms = of_several(matrix, leaders, shown)
    if not len(rows):
        return ends
    ends = ends.copy()
    for row, group, term in zip(rows.tolist(), cut(groups), cut(terms), strict=True):
        ends[row] = b',"raft_group_ids":[%b"leader_terms":[%b},' % (group, term[:-1])
    return ends


def _led_by(matrix: Matrix, shown: NDArray[np.int64]) -> list[bytes]:
    """Kept while the same leaders lead the same rows, as they do from one poll to the next."""
    by_times, by = _led.get((matrix.identities,), dict), shown.tobytes()
    known = by_times.get(len(matrix.columns))
    if known is None or known.by != by:
        texts = {
            code: b',"raft_group_ids":%b},' % text
            for code, text in repeated_of(matrix.identities, shown, len(matrix.columns)).items()
        }
        texts[0] = END
        known = _Led(by, [texts[code] for code in shown.tolist()])
        by_times.clear()
        if len(texts) * len(matrix.columns) <= KEPT_NUMBERS:
            by_times[len(matrix.columns)] = known
    return known.texts
