"""Rows of older nodes whose descriptions are not what they say, or more than is worth copying."""

from __future__ import annotations

import pytest

from keyviz_grpc.codec import decode_answer, parse_response, rows_as_bytes
from keyviz_grpc.codec.fields import as_field, varint
from keyviz_grpc.codec.row_heads import Heads
from keyviz_grpc.codec.rows_as_bytes import Traffic
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model import Matrix, Series
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb

ROWS = pb.GetKeyVizMatrixResponse.ROWS_FIELD_NUMBER
VALUES_TAG = pb.KeyVizRow.VALUES_FIELD_NUMBER << 3 | 2


def matrix(sent: bytes) -> Matrix:
    """What an older node's answer says."""
    return decode_answer(parse_response(sent), series=Series.READS, outcome=Outcome("h:1")).matrix


def test_a_description_longer_than_its_row_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row says that its name ends far behind it, where the tag of values stands again and again."""
    rows = [bytes([pb.KeyVizRow.BUCKET_ID_FIELD_NUMBER << 3 | 2]) + varint(5_000 + at) for at in range(100)]
    rows.append(bytes([VALUES_TAG]) * 20_000)
    raw = pb.GetKeyVizMatrixResponse(column_unix_ms=[1000]).SerializeToString()
    raw += b"".join(b"".join(as_field(ROWS, [row])) for row in rows)

    def described(*_: object) -> Heads:
        raise AssertionError("a description was copied")

    monkeypatch.setattr(Heads, "of", described)
    assert Traffic.of(parse_response(raw), "h:1") is None
    with pytest.raises(MalformedAnswer, match="not a GetKeyVizMatrixResponse"):
        matrix(raw)


def test_long_descriptions_are_read_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """And say the same."""
    rows = [pb.KeyVizRow(bucket_id=f"route:{at}", start=b"%d" % at, route_count=1, values=[at]) for at in range(3)]
    raw = pb.GetKeyVizMatrixResponse(column_unix_ms=[1000], rows=rows).SerializeToString()
    at_once = matrix(raw)
    assert Traffic.of(parse_response(raw), "h:2") is not None
    monkeypatch.setattr(rows_as_bytes, "MOST_DESCRIBED_BYTES", 30)
    assert Traffic.of(parse_response(raw), "h:3") is None
    assert matrix(raw).values.tolist() == at_once.values.tolist() == [[0], [1], [2]]
    assert matrix(raw).catalogue == at_once.catalogue
