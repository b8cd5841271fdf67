"""The rows of a matrix as JSON, straight from arrays: no Python work a cell, little a row."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.leader_texts import LeaderTexts, of_several, told_apart
from keyviz_grpc.model import Matrix, Row

LEAST_PIECE_BYTES: Final = 256 << 10
MOST_PIECE_BYTES: Final = 1 << 20
PIECES: Final = 8
"""A body is sent in about so many pieces, of sizes in between: its reader takes one while the next is sent, and each is
a turn of the event loop or more.
"""

SAMPLED: Final = 8
"""Rows by which it is found how long all are, or up to twice as many."""

NOTHING: Final = (orjson.Fragment(b""),)

Piece: TypeAlias = bytes | memoryview

ShownRow: TypeAlias = dict[str, object]

_IDENTITIES: Final[LeaderTexts[orjson.Fragment | None]] = LeaderTexts(orjson.Fragment, None)


def head_of(row: Row) -> bytes:
    """What a row says before its values, from its bucket id on."""
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
    return json_of(shown).removeprefix(b'{"bucket_id":')[:-1]


def in_pieces(rows: Sequence[ShownRow]) -> list[Piece]:
    """Rows as JSON, with what stands between them, in the pieces to send."""
    some = rows[:: max(1, len(rows) // SAMPLED)]
    size = len(json_of(some)) * len(rows) // max(1, len(some))
    count = max(1, len(rows) * piece_bytes(size) // max(1, size))
    # Each piece but the first begins with nothing and a comma. Brackets are left out without a copy.
    texts = (json_of([*NOTHING[:at], *rows[at : at + count]]) for at in range(0, len(rows), count))
    return list(_evened(memoryview(text)[1:-1] for text in texts))


def _evened(texts: Iterable[memoryview]) -> Iterator[Piece]:
    """Neither much longer nor much shorter than pieces are, whatever the sampled rows made believe."""
    short: list[memoryview] = []
    size = 0
    for text in texts:
        if size + len(text) <= LEAST_PIECE_BYTES:
            short.append(text)
            size += len(text)
            continue
        if short:
            yield short[0] if len(short) == 1 else b"".join(short)
        short, size = [], 0
        most = len(text) if len(text) <= 2 * MOST_PIECE_BYTES else MOST_PIECE_BYTES
        yield from (text[at : at + most] for at in range(0, len(text), most))
    if short:
        yield short[0] if len(short) == 1 else b"".join(short)


def piece_bytes(size: int) -> int:
    """How large a piece of a body of so many bytes is."""
    return min(max(size // PIECES, LEAST_PIECE_BYTES), MOST_PIECE_BYTES)


def json_of(value: object) -> bytes:
    """As JSON, arrays included."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def marked(rows: Sequence[ShownRow], marks: NDArray[np.bool_]) -> Iterator[tuple[ShownRow, NDArray[np.bool_]]]:
    """The rows in which anything is marked, and their marks."""
    numbers = np.flatnonzero(marks.any(axis=1))
    return zip(map(rows.__getitem__, numbers.tolist()), marks.take(numbers, axis=0), strict=True)


def add_identities(rows: Sequence[ShownRow], matrix: Matrix) -> None:
    """Both identity arrays to every row of the matrix that has any known identity, nothing to the others."""
    leaders = matrix.row_leaders()
    if leaders is None or not matrix.columns.size:
        return
    shown, others = told_apart(leaders)
    for row, told in zip(rows, _IDENTITIES.of_rows(matrix.identities, shown, matrix.shape[1]), strict=True):
        if told is not None:
            row["raft_group_ids"] = told
    for number, groups, terms in zip(*of_several(matrix, leaders, others), strict=True):
        row = rows[number]
        row["raft_group_ids"] = groups
        row["leader_terms"] = terms
