"""What describes rows is met again by who sent it, and by nothing less than all of its bytes."""

from __future__ import annotations

import pytest

from keyviz_grpc.codec import decode_answer, encode_answer, parse_response, row_heads
from keyviz_grpc.codec.row_heads import HEAD_BYTES, MET_BYTES, heads_met
from keyviz_grpc.codec.weight import ROUTE_ID_BYTES, ROW_BYTES
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


def rows_met(sent: bytes, sender: str) -> bool:
    """Whether that sender is known to have sent rows that begin like these."""
    rows = pb.GetKeyVizMatrixResponse.FromString(sent).rows
    return heads_met(sender, [row.SerializeToString() for row in rows]) is not None


def test_rows_are_met_again_whatever_their_traffic() -> None:
    """Lists of another length are met, descriptions that go on are not."""
    described = pb.KeyVizRow(bucket_id="route:9", route_count=1)
    rows = [pb.KeyVizRow(values=[1] * columns) for columns in (1, 2, 300)]
    for row in rows:
        row.MergeFrom(described)
    sent = [pb.GetKeyVizMatrixResponse(column_unix_ms=range(1, 1 + len(row.values)), rows=[row]) for row in rows]
    catalogue(sent[0].SerializeToString(), "h:20")
    assert all(rows_met(each.SerializeToString(), "h:20") for each in sent)
    sent[0].rows[0].sample_roles.append(pb.SAMPLE_ROLE_LEADER_WRITE)
    assert not rows_met(sent[0].SerializeToString(), "h:20")


def weight(sent: bytes) -> int:
    """What rows come to, apart from the name of whoever sent them."""
    rows = pb.GetKeyVizMatrixResponse.FromString(sent).rows
    for row in rows:
        row.ClearField("values")
    described = pb.KeyVizCatalogue(rows=rows).ByteSize()
    listed = sum(len(row.route_ids) for row in rows)
    return 2 * described + (HEAD_BYTES + ROW_BYTES) * len(rows) + ROUTE_ID_BYTES * listed


def aggregates(count: int, listed: int) -> bytes:
    """An older node's answer of a column, of rows that list so many route ids each."""
    rows = [
        pb.KeyVizRow(
            bucket_id=f"agg:{at}", start=b"%03d" % at, aggregate=True, route_ids=range(1, listed + 1), values=[1]
        )
        for at in range(count)
    ]
    return pb.GetKeyVizMatrixResponse(column_unix_ms=[1000], rows=rows).SerializeToString()


@pytest.mark.parametrize(
    "sent",
    [raw(*(f"{'n' * 1000}{number}" for number in range(50))), raw(*map(str, range(100))), aggregates(20, 256)],
    ids=["long names", "short names", "route ids"],
)
def test_what_is_kept_is_weighed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """With the catalogue and all that it lists; of many senders those go that were silent longest."""
    monkeypatch.setattr(row_heads, "_met", Kept(3 * (weight(sent) + len("h:0"))))
    for sender in range(3):
        catalogue(sent, f"h:{sender}")
    assert all(rows_met(sent, f"h:{sender}") for sender in range(3))
    catalogue(sent, "h:10")
    assert [rows_met(sent, f"h:{sender}") for sender in (0, 1, 2, 10)] == [False, False, True, True]


@pytest.mark.parametrize(("nodes", "count"), [(290, 1024), (29, 10_000)])
def test_large_clusters_have_room(nodes: int, count: int) -> None:
    """Where fewer fit than there are nodes, none of them is met again."""
    assert nodes * weight(raw(*(f"route:{number:06d}" for number in range(count)))) < MET_BYTES
