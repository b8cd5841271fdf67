"""Rows of peers that write them otherwise than everybody does, which protobuf allows: the same, and read as fast."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from keyviz_grpc.codec import decode_answer, encode_answer, parse_response, rows_as_bytes
from keyviz_grpc.codec.fields import as_field, varint
from keyviz_grpc.codec.rows_as_bytes import RowForm, Traffic
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb

ROWS = pb.GetKeyVizMatrixResponse.ROWS_FIELD_NUMBER
FIELDS = pb.KeyVizRow.DESCRIPTOR.fields_by_name
COLUMNS = 3


def field(name: str, value: bytes) -> bytes:
    """One field of bytes, or a list."""
    return b"".join(as_field(FIELDS[name].number, [value]))


NAME, START, END = field("bucket_id", b"route:7"), field("start", b"a"), field("end", b"b")
VALUES, GROUPS, TERMS = field("values", b"\5\0\6"), field("raft_group_ids", b"\1\1\2"), field("leader_terms", b"\7\7\7")
USUAL = NAME + START + END + VALUES + GROUPS + TERMS
UNUSUAL = {
    "lists before names": VALUES + GROUPS + TERMS + NAME + START + END,
    "lists in another order": NAME + START + END + TERMS + GROUPS + VALUES,
    "a list in two pieces": USUAL.replace(VALUES, field("values", b"\5\0") + field("values", b"\6")),
    "numbers one by one": USUAL.replace(
        VALUES, b"".join(varint(FIELDS["values"].number << 3) + n for n in (b"\5", b"\0", b"\6"))
    ),
    "a name twice": field("bucket_id", b"route:8") + USUAL,
    "a list that nobody knows": USUAL + b"".join(as_field(15, [b"\1\2\3"])),
    "a number that nobody knows": varint(99 << 3) + b"\1" + USUAL,
    "a tag that is longer than it need be": b"\x8a\x00" + USUAL[1:],
}


def response(*rows: bytes) -> pb.GetKeyVizMatrixResponse:
    """An older node's answer."""
    head = pb.GetKeyVizMatrixResponse(column_unix_ms=range(1000, 1000 * COLUMNS + 1, 1000)).SerializeToString()
    return parse_response(head + b"".join(piece for row in rows for piece in as_field(ROWS, [row])))


def told(*rows: bytes) -> Answer:
    """What it says."""
    return decode_answer(response(*rows), series=Series.WRITES, outcome=Outcome("h:1"))


@pytest.mark.parametrize("row", UNUSUAL.values(), ids=UNUSUAL)
def test_a_row_in_another_form_says_the_same(row: bytes) -> None:
    """Beside a usual one, and not number by number; a second time too, when its description was met."""
    other = field("bucket_id", b"route:9") + field("start", b"b") + VALUES + GROUPS + TERMS
    expected = encode_answer(told(USUAL, other), accept=())
    for _ in range(2):
        assert Traffic.of(response(row, other), "h:1") is not None
        assert encode_answer(told(row, other), accept=()) == expected


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (VALUES + NAME + b"\xff", "not a GetKeyVizMatrixResponse"),
        (VALUES + field("bucket_id", b"\xff"), "not a GetKeyVizMatrixResponse"),
        (field("values", b"\5\0") + NAME, "2 values, 3 columns"),
        (VALUES + GROUPS + field("leader_terms", b"\7") + NAME, "3 raft_group_ids and 1 leader_terms"),
    ],
)
def test_what_is_wrong_is_named_whatever_the_form(row: bytes, words: str) -> None:
    """Nothing is passed over because a row is written anew."""
    with pytest.raises(MalformedAnswer, match=words):
        told(USUAL.replace(NAME, field("bucket_id", b"route:1")), row)


def test_usual_rows_are_not_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes longer than all the rest."""
    monkeypatch.setattr("keyviz_grpc.codec.rows_as_bytes._as_usual", lambda *_: pytest.fail("written anew"))
    assert RowForm.of(response(USUAL), "h:1") is not None


@pytest.mark.parametrize("wrong", [NAME, NAME + b"\xff", field("values", b"\5\0") + NAME])
def test_rows_of_which_one_cannot_be_read_are_looked_for_once(wrong: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is written anew behind it: whatever the form, reading them one by one says what is wrong."""
    looks, read = [], []
    find, row_class = rows_as_bytes._find, pb.KeyVizRow

    def finding(rows: Sequence[bytes], sender: str) -> object:
        looks.append(len(rows))
        return find(rows, sender)

    def reading() -> pb.KeyVizRow:
        read.append(1)
        return row_class()

    monkeypatch.setattr(rows_as_bytes, "_find", finding)
    monkeypatch.setattr(pb, "KeyVizRow", reading)
    assert RowForm.of(response(USUAL, wrong, *[USUAL] * 9), "h:1") is None
    assert looks == [11]
    assert len(read) == 2
