"""What describes rows is met again by who sent it, and by nothing less than all of its bytes."""

from __future__ import annotations

import pytest

from keyviz_grpc.codec import decode_answer, encode_answer, parse_response, row_heads
from keyviz_grpc.codec.row_heads import HEAD_BYTES, MET_BYTES, heads_met
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb


def raw(*names: str) -> bytes:
    """An older node's answer of a column."""
    rows = [
        pb.KeyVizRow(bucket_id=name, start=b"%03d" % at, route_count=1, values=[at]) for at, name in enumerate(names)
    ]
    return pb.GetKeyVizMatrixResponse(column_unix_ms=[1000], rows=rows).SerializeToString()


def matrix(sent: bytes, sender: str) -> Matrix:
    """What it says."""
    return decode_answer(parse_response(sent), series=Series.READS, outcome=Outcome(sender)).matrix


def catalogue(sent: bytes, sender: str) -> Catalogue:
    """Its rows."""
    return matrix(sent, sender).catalogue


def test_each_sender_finds_its_own_whatever_else_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have as many rows of the same length."""
    sent = {f"h:{number}": raw("route:1", f"route:2{number}") for number in range(5)}
    first = {sender: catalogue(own, sender) for sender, own in sent.items()}
    for name in ("_catalogues", "_recent"):
        monkeypatch.setattr(f"keyviz_grpc.codec.known.{name}", Kept(0))
    for sender, own in sent.items():
        assert catalogue(own, sender) is first[sender]
    assert [row.bucket_id for row in catalogue(sent["h:3"], "h:4").rows] == ["route:1", "route:23"]


def test_rows_are_those_of_the_packed_form() -> None:
    """One object for the same rows, so that a cluster of older and newer nodes has one catalogue."""
    rows = catalogue(raw("route:5", "route:6"), "h:1")
    packed = encode_answer(
        decode_answer(parse_response(raw("route:5", "route:6")), series=Series.READS, outcome=Outcome("h:2")),
        accept=(pb.MATRIX_ENCODING_COLUMNAR,),
    )
    assert catalogue(packed.SerializeToString(), "h:2") is rows


def test_rows_that_break_a_law_are_not_met_again() -> None:
    """And those before them are."""
    kept = catalogue(raw("route:7", "route:8"), "h:1")
    for _ in range(2):
        with pytest.raises(MalformedAnswer, match="occurs twice"):
            catalogue(raw("route:7", "route:7"), "h:1")
    assert catalogue(raw("route:7", "route:8"), "h:1") is kept


def test_what_is_kept_is_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many senders those go that were silent longest."""
    monkeypatch.setattr(row_heads, "_met", Kept(MET_BYTES))
    names = [f"{'n' * 1000}{number}" for number in range(500)]
    rows = pb.GetKeyVizMatrixResponse.FromString(raw(*names)).rows
    most = MET_BYTES // (len(names) * (2 * len(names[0]) + HEAD_BYTES)) + 1
    for sender in range(most + 1):
        catalogue(raw(*names), f"h:{sender}")
    sent = [row.SerializeToString() for row in rows]
    assert heads_met("h:0", sent) is None
    assert heads_met(f"h:{most}", sent) is not None
