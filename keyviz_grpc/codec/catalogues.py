"""Catalogues as the bytes of a KeyVizCatalogue: they come with every packed answer, and change rarely, in a few rows.

One side keeps the bytes, the other what they meant.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from keyviz_grpc.codec import known
from keyviz_grpc.codec.crowd import HARMLESS_BYTES, rows_in_catalogue
from keyviz_grpc.codec.met_rows import rows_of
from keyviz_grpc.codec.rows import encode_row
from keyviz_grpc.codec.spans import Span
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.kept import KeptByIdentity, KeptOfLast
from keyviz_grpc.model import Catalogue, Row
from keyviz_grpc.proto import keyviz_pb2 as pb

_encoded: KeptByIdentity[bytes] = KeptByIdentity(16)
_encoded_rows: KeptOfLast[Row, bytes] = KeptOfLast()


def encode_catalogue(catalogue: Catalogue) -> bytes:
    """The serialized KeyVizCatalogue; rows that are the objects of the last one are not encoded again."""
    return _encoded.get((catalogue,), lambda: b"".join(_encoded_rows.of(catalogue.rows, _row_bytes)))


def is_encoded(catalogue: Catalogue) -> bool:
    """Whether those bytes are there already."""
    return _encoded.found((catalogue,)) is not None


def _row_bytes(row: Row) -> bytes:
    return pb.KeyVizCatalogue(rows=[encode_row(row)]).SerializeToString()


def decode_catalogue(packed: Span, expected: int | None = None, node_id: str = "") -> Catalogue:
    """Of a serialized KeyVizCatalogue; the same object for the same bytes, while it is remembered.

    expected: how many rows it must have, or MalformedAnswer before anything is made of them. node_id: who sent it.
    """
    return known.catalogue_of(packed, lambda: _rows_of(packed.copy(), expected), node_id)


def is_catalogue(packed: bytes) -> bool:
    """Whether they are a serialized KeyVizCatalogue; what it says may break a law all the same."""
    try:
        _parsed(packed)
    except MalformedAnswer:
        return False
    return True


def _rows_of(packed: bytes, expected: int | None) -> list[Row]:
    if expected is not None and len(packed) > HARMLESS_BYTES and rows_in_catalogue(packed, expected) > expected:
        raise MalformedAnswer(f"columnar: {expected} widths for more rows than that")
    rows = rows_of(packed, len(packed) if expected is None else expected, _parsed)
    if expected is not None and len(rows) != expected:
        raise MalformedAnswer(f"columnar: {expected} widths for {len(rows)} rows")
    return rows


def _parsed(packed: bytes) -> Sequence[pb.KeyVizRow]:
    message = pb.KeyVizCatalogue()
    try:
        message.ParseFromString(packed)
    except DecodeError as error:
        raise MalformedAnswer("columnar: the catalogue is not a KeyVizCatalogue") from error
    return message.rows
