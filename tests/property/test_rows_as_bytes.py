"""Rows whose numbers are read all at once say what rows read one by one say, or are refused in the same words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import Shape, cluster, without_extensions
from keyviz_grpc.codec import decode_answer, encode_answer, parse_response
from keyviz_grpc.codec.rows_as_bytes import Traffic
from keyviz_grpc.errors import MalformedAnswer, TooLarge
from keyviz_grpc.merge import merge
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from tests.fuzz.messages import Take, nearly_right
from tests.fuzz.targets import picture
from tests.property.strategies import clusters
from tests.reference.convert import answer_of
from tests.reference.oracle import Node

TOP = 2**64 - 1
NOT_ONE = "the answer is not a GetKeyVizMatrixResponse"
SERIES = [Series.WRITES, Series.READS]


def told(raw: bytes, parse: Callable[[bytes], Any], series: Series) -> object:
    """All that the answer says, or the class and words of its refusal."""
    try:
        return picture(decode_answer(parse(raw), series=series, outcome=Outcome("p:1"), max_cells=100_000))
    except DecodeError:
        return MalformedAnswer, NOT_ONE
    except (MalformedAnswer, TooLarge) as refused:
        return type(refused), str(refused)


def check(raw: bytes, series: Series = Series.WRITES) -> None:
    """The two ways of reading agree."""
    assert told(raw, parse_response, series) == told(raw, pb.GetKeyVizMatrixResponse.FromString, series)


@pytest.mark.parametrize("series", SERIES)
@given(nodes=clusters(), older=st.booleans())
def test_answers_of_nodes_and_of_aggregators(series: Series, nodes: list[Node], older: bool) -> None:
    """With shares and conflicts, which only newer ones have, and without."""
    parts = [answer_of(node, series) for node in nodes]
    for answer in (*parts, merge(parts, query=MatrixQuery(series, unmerged=len(nodes) == 1), now_unix_ms=1)):
        message = encode_answer(answer)
        check((without_extensions(message) if older else message).SerializeToString(), series)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(SERIES))
def test_answers_that_are_nearly_right(data: bytes, series: Series) -> None:
    """Lists of other lengths, numbers up to the highest, soft marks, half identities."""
    check(nearly_right(Take(data)).SerializeToString(), series)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_bytes(data: st.DataObject) -> None:
    """Any of them changed, and any part of the end missing."""
    raw = bytearray(without_extensions(encode_answer(cluster(Shape(1, 12, 5))[0])).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(len(raw) // 2, len(raw))) :]
    check(bytes(raw))


def number(value: int, padding: int = 0) -> bytes:
    """A varint; padding: so many bytes longer than it has to be."""
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    for _ in range(padding):
        digits[-1] |= 0x80
        digits.append(0)
    return bytes(digits)


def block(field: int, content: bytes) -> bytes:
    """A field of wire type 2."""
    return number(field << 3 | 2) + number(len(content)) + content


def packed(*values: int) -> bytes:
    """A packed list's content."""
    return b"".join(map(number, values))


def one_by_one(field: int, *values: int) -> bytes:
    """A list that is not packed, as every reader must take it too."""
    return b"".join(number(field << 3) + number(value) for value in values)


ID = block(1, b"route:1") + block(3, b"m")
COUNTS, GROUPS, TERMS = block(11, packed(300, 2)), block(13, packed(7, 7)), block(14, packed(3, 4))
ROWS: dict[str, bytes] = {
    "as written by everybody": ID + COUNTS + GROUPS + TERMS,
    "lists before the name": COUNTS + TERMS + GROUPS + ID,
    "no identities": ID + COUNTS,
    "soft marks": ID + COUNTS + block(12, packed(1, 0)),
    "soft marks, none set": ID + COUNTS + block(12, packed(0, 0)),
    "soft marks that are large numbers": ID + COUNTS + block(12, packed(0, 300)),
    "values one by one": ID + one_by_one(11, 300, 2) + GROUPS + TERMS,
    "identities one by one": ID + COUNTS + one_by_one(13, 7, 7) + one_by_one(14, 3, 4),
    "soft marks one by one": ID + COUNTS + one_by_one(12, 1, 0),
    "values in two pieces": ID + block(11, packed(300)) + block(11, packed(2)),
    "values twice": ID + COUNTS + COUNTS,
    "identities twice": ID + COUNTS + GROUPS + TERMS + GROUPS + TERMS,
    "soft marks twice": ID + COUNTS + block(12, packed(1, 0)) * 2,
    "an empty list and a full one": ID + block(11, b"") + COUNTS,
    "half of the identities": ID + COUNTS + GROUPS,
    "identities of half a pair": ID + COUNTS + block(13, packed(7, 0)) + TERMS,
    "fewer identities": ID + COUNTS + block(13, packed(7)) + block(14, packed(3)),
    "fewer values": ID + block(11, packed(300)),
    "more values": ID + block(11, packed(300, 2, 1)),
    "no values": ID,
    "a number cut off": ID + block(11, packed(300) + b"\x82"),
    "numbers that end in the next list": ID + block(11, packed(1, 2) + b"\xff") + block(13, packed(7, 7)),
    "numbers of one byte each": ID + block(11, packed(1, 127)) + GROUPS + TERMS,
    "numbers of two bytes each": ID + block(11, packed(128, 16383)) + block(13, packed(300, 301)) + TERMS,
    "one byte and three": ID + block(11, packed(1, 70_000)) + block(13, packed(70_000, 1)) + TERMS,
    "as many bytes as columns, and fewer numbers": ID + block(11, b"\x82\x01") + GROUPS + TERMS,
    "twice as many bytes as columns, the last one cut off": ID + block(11, b"\x82\x01\x02\x82"),
    "twice as many bytes as columns, and more numbers": ID + block(11, b"\x01\x02\x03\x04"),
    "no traffic": ID + block(11, packed(0, 0)) + GROUPS + TERMS,
    "no traffic in two bytes each": ID + block(11, number(0, 1) * 2) + GROUPS + TERMS,
    "the highest numbers": ID + block(11, packed(TOP, TOP - 1)) + block(13, packed(TOP, 1)) + block(14, packed(TOP, 1)),
    "numbers longer than they have to be": ID + block(11, number(300, 2) + number(2, 8)) + GROUPS + TERMS,
    "a number of more than 64 bits": ID + block(11, b"\xff" * 9 + b"\x7f" + b"\x01"),
    "a number of eleven bytes": ID + block(11, number(2, 10) + b"\x01"),
    "a field that nobody knows": ID + COUNTS + block(99, b"news") + GROUPS + TERMS,
    "a name that is no text": block(1, b"\xff\xfe") + COUNTS,
    "a role that is 0": ID + COUNTS + block(9, packed(0, 1)),
    "false said outright": ID + number(5 << 3) + number(0) + COUNTS,
    "an aggregate": ID
    + number(5 << 3)
    + number(1)
    + block(6, packed(*range(1, 200)))
    + number(8 << 3)
    + number(900)
    + COUNTS,
    "a name of many bytes": block(1, b"n" * 20_000) + COUNTS + GROUPS + TERMS,
    "a name longer than the row": number(1 << 3 | 2) + number(200) + b"n" * 40 + COUNTS,
    "a length that is longer than it has to be": number(1 << 3 | 2) + number(3, 1) + b"abc" + COUNTS,
    "a length of six bytes": number(1 << 3 | 2) + number(3, 5) + b"abc" + COUNTS,
    "a name said many times": block(1, b"route:1") * 20 + COUNTS,
    "a count of more routes than anybody has": ID + number(8 << 3) + number(TOP) + COUNTS,
    "a tag of a kind that is gone": ID + bytes([1 << 3 | 3]) + COUNTS,
    "soft marks before the values": ID + block(12, packed(1, 0)) + COUNTS,
    "identities before the values": ID + block(13, packed(7, 7)) + block(14, packed(3, 4)) + COUNTS,
    "a group by itself before the values": ID + number(13 << 3) + number(3) + COUNTS,
    "a tag of four bytes' kind": ID + bytes([2 << 3 | 5]) + bytes(4) + COUNTS,
    "one byte each but the last, which is cut off": ID + block(11, b"\x01\x02\x83"),
    "two of a kind, of which one is cut off": ID + block(11, b"\x81\x01\x82") + GROUPS + TERMS,
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("series", SERIES)
def test_every_way_of_writing_a_row(name: str, series: Series) -> None:
    """Alone, and between two rows that are as usual."""
    columns = block(1, packed(1000, 2000))
    before = block(2, block(1, b"route:0") + COUNTS + block(13, packed(9, 9)) + block(14, packed(1, 1)))
    after = block(2, block(1, b"route:2") + block(2, b"m") + block(11, packed(0, 1)))
    check(columns + block(2, ROWS[name]), series)
    check(columns + before + block(2, ROWS[name]) + after, series)


@pytest.mark.parametrize("columns", [100, 130, 9000])
def test_lists_of_many_numbers(columns: int) -> None:
    """Whose lengths take a byte, two and three; of numbers of one byte, two, some of each, and three."""
    stamps = block(1, packed(*range(1, columns + 1)))
    ones, twos, threes = [7] * columns, [300] * columns, [70_000] * columns
    few, many = [*ones[1:], 300], [*threes[1:], 1]
    identities = block(13, packed(*few)) + block(14, packed(*twos))
    rows = [
        block(1, b"route:%d" % number) + block(2, b"%02d" % number) + block(11, packed(*numbers)) + identities
        for number, numbers in enumerate([[0] * columns, ones, twos, threes, few, many])
    ]
    whole = stamps + b"".join(block(2, row) for row in rows)
    assert Traffic.of(parse_response(whole), "p:1") is not None
    check(whole)
    check(stamps + b"".join(block(2, row[: -1 - (row is rows[3])]) for row in rows))


@pytest.mark.parametrize("moved", [1, 4, len(GROUPS), len(GROUPS + TERMS), len(COUNTS + GROUPS + TERMS), len(COUNTS)])
def test_a_row_does_not_go_on_in_the_next_one(moved: int) -> None:
    """Where the bytes of one end a little earlier or later, it is the two rows that these bytes make."""
    columns, whole = block(1, packed(1000, 2000)), ID + COUNTS + GROUPS + TERMS
    other = block(1, b"route:2") + block(2, b"m") + COUNTS + GROUPS + TERMS
    check(columns + block(2, whole[:-moved]) + block(2, whole[-moved:] + other))
    check(columns + block(2, whole + other[:moved]) + block(2, other[moved:]))


def test_rows_of_no_columns() -> None:
    """They have no numbers, and one that has is refused."""
    check(block(2, ID))
    check(block(2, ID + COUNTS))
    check(block(2, ID + block(11, b"\x80")))


def test_rows_of_what_leaves_said_are_looked_at_at_once() -> None:
    """Whoever asks what is in a merged answer's leaves would otherwise be told of one that is none."""
    answer = block(1, packed(1000)) + block(2, ID + block(11, b"\x83"))
    raw = block(29, number(1 << 3) + number(0) + block(2, answer))
    check(raw)
    with pytest.raises(MalformedAnswer, match=NOT_ONE):
        parse_response(raw)


def test_rows_that_begin_as_those_of_the_last_answer() -> None:
    """And rows that nearly do: each answer after one of the same sender with as many rows."""
    columns = block(1, packed(1000, 2000))
    rows = [block(1, b"route:%d" % number) + block(2, b"%d" % number) for number in range(3)]
    usual = [row + COUNTS + GROUPS + TERMS for row in rows]
    changed = {
        "the same": usual,
        "a name": [usual[0], usual[1].replace(b"route:1", b"route:9"), usual[2]],
        "another length": [usual[0], usual[1].replace(b"\x07route:1", b"\x03r:1"), usual[2]],
        "more that describes it": [usual[0], rows[1] + block(4, b"label") + COUNTS, usual[2]],
        "no values": [usual[0], rows[1] + GROUPS + TERMS, usual[2]],
        "its description alone": [usual[0], rows[1], usual[2]],
        "a row less": usual[:2],
        "another order": [usual[2], usual[1], usual[0]],
    }
    for what in changed:
        for each in ("the same", what, "the same"):
            check(columns + b"".join(block(2, row) for row in changed[each]))


def answers() -> Iterator[bytes]:
    """As older nodes and ours send rows."""
    for trouble in (False, True):
        for series in SERIES:
            for answer in cluster(Shape(3, 50, 7, series=series, flips=trouble, divergent=trouble)):
                message = encode_answer(answer)
                yield from (message.SerializeToString(), without_extensions(message).SerializeToString())


def test_usual_answers_are_read_at_once() -> None:
    """Otherwise all of the above would compare one way with itself."""
    for raw in answers():
        assert Traffic.of(parse_response(raw), "p:1") is not None
        check(raw)


def everything() -> bytes:
    """An answer of one row, of which every field is told."""
    row = pb.KeyVizRow(bucket_id="virtual:1", start=b"a", end=b"m", label="l", aggregate=True, lineage_id="before")
    row.route_ids.extend([1, 2])
    row.route_ids_truncated, row.route_count = True, 300
    row.sample_roles.append(pb.SAMPLE_ROLE_LEADER_WRITE)
    for name, numbers in (("values", [1, 2]), ("soft_columns", [1, 0]), ("raft_group_ids", [7, 7])):
        getattr(row, name).extend(numbers)
    row.leader_terms.extend([3, 4])
    assert len(row.ListFields()) == len(pb.KeyVizRow.DESCRIPTOR.fields)
    return pb.GetKeyVizMatrixResponse(column_unix_ms=[1000, 2000], rows=[row]).SerializeToString()


def test_a_row_of_which_everything_is_told_is_read_at_once() -> None:
    """However much describes it."""
    assert Traffic.of(parse_response(everything()), "p:9") is not None
    check(everything())


def test_rows_read_one_by_one_are_those_read_at_once() -> None:
    """One object: what describes a row has nothing of its traffic."""
    at_once, one_by_one = (
        decode_answer(parse(everything()), series=Series.WRITES, outcome=Outcome("p:8")).matrix
        for parse in (parse_response, pb.GetKeyVizMatrixResponse.FromString)
    )
    assert one_by_one.catalogue is at_once.catalogue


def test_equal_tables_and_rows_become_one_object() -> None:
    """Whoever merges or writes answers of older nodes finds again what was made for the ones before."""
    raw = without_extensions(encode_answer(cluster(Shape(1, 50, 7))[0])).SerializeToString()
    one, other = (
        decode_answer(parse_response(raw), series=Series.WRITES, outcome=Outcome("p:1")).matrix for _ in range(2)
    )
    assert len(one.identities) > 1
    assert one.identities is other.identities
    assert one.catalogue is other.catalogue
    assert one.columns is other.columns
