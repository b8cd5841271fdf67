"""The rows of a matrix as JSON, straight from arrays: no Python work a cell, little a row."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import orjson

from keyviz_grpc.model import Row

LEAST_PIECE_BYTES: Final = 512 << 10
MOST_PIECE_BYTES: Final = 1 << 20
PIECES: Final = 8
"""A body is sent in about so many pieces, of sizes in between: its reader takes one while the next is sent, and each
may wake the reader, on the very core that writes.
"""

SAMPLED: Final = 8
"""Rows by which it is found how long all are, or up to twice as many."""

NOTHING: Final = (orjson.Fragment(b""),)

Piece: TypeAlias = bytes | memoryview

ShownRow: TypeAlias = dict[str, object]


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
    return list(pieces_of(rows, len(json_of(some)) * len(rows) // max(1, len(some))))


def pieces_of(rows: Sequence[ShownRow], size_bytes: int) -> Iterator[Piece]:
    """The same pieces, each written when it is asked for. size_bytes: about that of all."""
    count = max(1, len(rows) * piece_bytes(size_bytes) // max(1, size_bytes))
    # Each piece but the first begins with nothing and a comma. Brackets are left out without a copy.
    texts = (json_of([*NOTHING[:at], *rows[at : at + count]]) for at in range(0, len(rows), count))
    return _evened(memoryview(text)[1:-1] for text in texts)


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
