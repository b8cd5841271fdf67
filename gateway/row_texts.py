"""The rows of a matrix as JSON, straight from arrays: no Python work a cell, little a row."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import Matrix, Row
from keyviz_grpc.remembered import continues
from keyviz_grpc.traffic import Counts

KEPT_NUMBERS: Final = 1 << 21
"""Cells for which repeated identities are kept as text, four to ten bytes each as a rule, for one table of them."""

LEAST_PIECE_BYTES: Final = 256 << 10
MOST_PIECE_BYTES: Final = 1 << 20
PIECES: Final = 8
"""A body is sent in about so many pieces, of sizes in between: its reader takes one while the next is joined and sent,
and each is a turn of the event loop or more.
"""

FEW_COLUMNS: Final = 8
"""Up to so many columns that fell out of the window are cut off the texts of rows one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """values: of each row the JSON of its values. rows: all rows in a few pieces, None while nobody asked twice."""

    matrix: Matrix
    values: list[bytes]
    rows: list[bytes] | None


def head_of(row: Row) -> bytes:
    """A row from its brace up to the colon before its values."""
    shown: dict[str, Any] = {"bucket_id": row.bucket_id}
    if row.label:
        shown["label"] = row.label
    shown["start"] = base64.b64encode(row.start).decode()
    shown["end"] = base64.b64encode(row.end).decode()
    shown["aggregate"] = row.aggregate
    if row.aggregate:
        shown["route_ids"] = row.route_ids
    if row.route_ids_truncated:
        shown["route_ids_truncated"] = True
    shown["route_count"] = row.route_count
    return json_of(shown)[:-1] + b',"values":'


def joined(pieces: list[bytes]) -> list[bytes]:
    """The same bytes in the pieces to send, where rows are about equally long."""
    size = sum(map(len, pieces))
    count = max(1, len(pieces) * piece_bytes(size) // size if size else 1)
    return [b"".join(pieces[at : at + count]) for at in range(0, len(pieces), count)]


def piece_bytes(size: int) -> int:
    """How large a piece of a body of so many bytes is."""
    return min(max(size // PIECES, LEAST_PIECE_BYTES), MOST_PIECE_BYTES)


def json_of(value: object) -> bytes:
    """As JSON, arrays included."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _each(array: NDArray[Any]) -> Iterator[bytes]:
    """Every row of an array as JSON."""
    return map(orjson.dumps, np.ascontiguousarray(array), repeat(None), repeat(orjson.OPT_SERIALIZE_NUMPY))


def values_of(matrix: Matrix, before: Written | None) -> list[bytes]:
    """The JSON of the values of every row; what was written of the columns that it begins with is not written anew."""
    part = None if before is None else continues(matrix, before.matrix)
    if before is None or part is None or part.stop != len(before.matrix.columns) or part.start > FEW_COLUMNS:
        return list(_each(matrix.narrowest))
    new = matrix.shape[1] - (part.stop - part.start)
    if new <= 0 or part.stop == part.start:
        return list(_each(matrix.narrowest))
    known = before.values
    for _ in range(part.start - 1):
        known = [b"[" + text[text.index(b",") + 1 :] for text in known]
    newest = _in_brackets(matrix.narrowest[:, -new:])
    if part.start == 0:
        return [b"%b,%b]" % (text[:-1], more) for text, more in zip(known, newest, strict=True)]
    # In the same pass, since mostly one column leaves the window when one comes.
    return [b"[%b,%b]" % (text[text.index(b",") + 1 : -1], more) for text, more in zip(known, newest, strict=True)]


def _in_brackets(values: Counts) -> Iterable[bytes]:
    """Of each row what stands between the brackets of its JSON."""
    if values.shape[1] == 1 and len(values):
        # One list of all numbers is written several times faster than a list a row.
        return json_of(np.ascontiguousarray(values[:, 0]))[1:-1].split(b",")
    return (text[1:-1] for text in _each(values))


def marks_of(marks: NDArray[np.bool_]) -> list[bytes]:
    """The marks of every row in which anything is marked as JSON, nothing for the others."""
    written = [b""] * len(marks)
    numbers = np.flatnonzero(marks.any(axis=1))
    for number, text in zip(numbers.tolist(), _each(marks.take(numbers, axis=0)), strict=True):
        written[number] = text
    return written


def identities_of(matrix: Matrix) -> list[bytes]:
    """Both identity arrays of every row that has any known identity, nothing for the others."""
    leaders = matrix.row_leaders()
    if leaders is None or not matrix.columns.size:
        return [b""] * matrix.shape[0]
    # A row under one leader throughout is the rule: its arrays are one number repeated.
    shown = np.where(leaders.whole & (leaders.of > 0), leaders.of, 0)
    known = _repeated_of(matrix.identities, shown, matrix.shape[1])
    written = [known[code] for code in shown.tolist()]
    others = np.flatnonzero((leaders.of != 0) & (shown == 0))
    if len(others):
        codes = leaders.take(others).spread(matrix.narrowest.take(others, axis=0))
        stated = np.flatnonzero(codes.any(axis=1))
        arrays = (_each(np.take(matrix.identities[:, part], codes[stated])) for part in (0, 1))
        for number, groups, terms in zip(others[stated].tolist(), *arrays, strict=True):
            written[number] = b',"raft_group_ids":%b,"leader_terms":%b' % (groups, terms)
    return written


_kept: Final[KeptByIdentity[dict[int, dict[int, bytes]]]] = KeptByIdentity(4)


def _repeated_of(identities: NDArray[np.uint64], codes: NDArray[np.int64], times: int) -> dict[int, bytes]:
    """For each code (and maybe others) its arrays, nothing for 0; kept while leaders stay the same and as many columns
    are shown.
    """
    by_times = _kept.get((identities,), dict)
    known = by_times.get(times, {0: b""})
    missing = sorted(set(codes.tolist()).difference(known))
    if missing:
        # A dictionary of its own, for another thread may be reading the one that is kept.
        known = {**known, **dict(zip(missing, _repeated(identities[missing], times), strict=True))}
        by_times.clear()
        if len(known) * times <= KEPT_NUMBERS:
            by_times[times] = known
    return known


def _repeated(identities: NDArray[np.uint64], times: int) -> Iterator[bytes]:
    """For each (group, term) both arrays, `times` (at least 1) numbers long."""
    # One encoding for all decimals: formatting them one by one took half of the time here.
    digits = json_of(np.ascontiguousarray(identities))[2:-2].split(b"],[")
    for pair in digits if len(identities) else ():
        group, term = pair.split(b",")
        yield b"".join(
            (
                b',"raft_group_ids":[',
                (group + b",") * (times - 1),
                group,
                b'],"leader_terms":[',
                (term + b",") * (times - 1),
                term,
                b"]",
            )
        )
