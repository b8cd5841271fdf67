"""Rows by their bytes: a catalogue becomes another one in a few of them, and most nodes hold the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from keyviz_grpc.codec.fields import OF_BYTES
from keyviz_grpc.codec.rows import decode_row
from keyviz_grpc.codec.spans import LONGEST_LENGTH, number_at
from keyviz_grpc.codec.weight import ROUTE_ID_BYTES, ROW_BYTES
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Row
from keyviz_grpc.proto import keyviz_pb2 as pb

MET_BYTES: Final = 32 << 20
"""Room for fifty thousand rows; those of catalogues that are kept are the same objects and take no more for it."""

_ROW_TAG: Final = pb.KeyVizCatalogue.ROWS_FIELD_NUMBER << 3 | OF_BYTES

_met: Kept[bytes, Row] = Kept(MET_BYTES)


def rows_of(packed: bytes, most: int, read: Callable[[bytes], Sequence[pb.KeyVizRow]]) -> list[Row]:
    """The rows of a serialized KeyVizCatalogue, of which only those are read that were not met before.

    most: how many are looked for one by one; where there are more, or anything else, all of it is read. read: parses
    such bytes. Raises what it raises, and MalformedAnswer as `decode_row`.
    """
    pieces = _pieces(packed, most)
    if pieces is None:
        return [decode_row(message) for message in read(packed)]
    found = [_met.get(piece) for piece in pieces]
    unmet = [piece for piece, row in zip(pieces, found, strict=True) if row is None]
    if not unmet:
        return [row for row in found if row is not None]
    fresh = map(decode_row, read(b"".join(unmet)))
    return [_kept(piece, next(fresh)) if row is None else row for piece, row in zip(pieces, found, strict=True)]


def _pieces(packed: bytes, most: int) -> list[bytes] | None:
    """The fields that the bytes are, each with its tag; None where they are not all rows, or too many."""
    pieces: list[bytes] = []
    at, end = 0, len(packed)
    while at < end:
        if packed[at] != _ROW_TAG or len(pieces) == most:
            return None
        size, start = number_at(packed, at + 1, end, LONGEST_LENGTH)
        pieces.append(packed[at : start + size])
        at = start + size
    return pieces if at == end else None


def _kept(piece: bytes, row: Row) -> Row:
    _met.put(piece, row, len(piece) + ROW_BYTES + ROUTE_ID_BYTES * len(row.route_ids))
    return row
