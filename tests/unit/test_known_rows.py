"""Catalogues that were read before, in bounded memory."""

from __future__ import annotations

from keyviz_grpc.codec.catalogues import decode_catalogue
from keyviz_grpc.codec.known import CATALOGUE_BYTES
from keyviz_grpc.codec.spans import Span, all_of
from keyviz_grpc.codec.weight import ROUTE_ID_BYTES
from keyviz_grpc.model import MAX_ROUTE_IDS
from keyviz_grpc.proto import keyviz_pb2 as pb

ROWS = 1000


def packed(number: int) -> Span:
    """Aggregates that list as many routes as they may."""
    ids = range(1000, 1000 + MAX_ROUTE_IDS)
    rows = [
        pb.KeyVizRow(bucket_id=f"virtual:{number}{row}", start=b"%06d" % row, aggregate=True, route_ids=ids)
        for row in range(ROWS)
    ]
    return all_of(pb.KeyVizCatalogue(rows=rows).SerializeToString())


def test_route_ids_are_weighed() -> None:
    """They are most of such a catalogue, and a few bytes of a message: the first one gives way to so many."""
    first = decode_catalogue(packed(0))
    assert decode_catalogue(packed(0)) is first
    for number in range(1, CATALOGUE_BYTES // (ROWS * MAX_ROUTE_IDS * ROUTE_ID_BYTES) + 1):
        decode_catalogue(packed(number))
    assert decode_catalogue(packed(0)) is not first
