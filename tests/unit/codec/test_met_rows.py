"""Rows by their bytes: the same as if all of a catalogue were read, but that few are."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from keyviz_grpc.codec import met_rows
from keyviz_grpc.codec.catalogues import decode_catalogue
from keyviz_grpc.codec.columnar import encode_columnar
from keyviz_grpc.codec.met_rows import rows_of
from keyviz_grpc.codec.rows import decode_row, encode_row
from keyviz_grpc.codec.spans import all_of
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.proto import keyviz_pb2 as pb

LONG = Row("agg:1", b"b", b"c", aggregate=True, route_ids=tuple(range(1, 200)), route_count=200, sample_roles=(1, 3))
ROWS = [
    Row("route:1", b"", b"a"),
    Row("route:2", b"a", b"b", label="x", lineage_id="l"),
    LONG,
    Row("route:3", b"c", b""),
]


@pytest.fixture(autouse=True)
def nothing_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just begun."""
    monkeypatch.setattr(met_rows, "_met", Kept(1 << 20))


def packed(rows: Sequence[Row]) -> bytes:
    """The bytes of a catalogue."""
    return pb.KeyVizCatalogue(rows=[encode_row(row) for row in rows]).SerializeToString()


class Reader:
    """Parses, and knows how many rows."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __call__(self, raw: bytes) -> Sequence[pb.KeyVizRow]:
        """See `rows_of`."""
        rows = pb.KeyVizCatalogue.FromString(raw).rows
        self.read.append(len(rows))
        return rows


def test_only_rows_that_are_others_are_read() -> None:
    """The rest are the objects that they were, also where they stand elsewhere, and where another node sent them."""
    reader = Reader()
    before = rows_of(packed(ROWS), 9, reader)
    changed = Row("route:2", b"a", b"aa")
    after = rows_of(packed([changed, *ROWS[2:], ROWS[0]]), 9, reader)
    assert reader.read == [4, 1]
    assert before == ROWS
    assert after == [changed, *ROWS[2:], ROWS[0]]
    assert all(row is known for row, known in zip(after[1:], [*before[2:], before[0]], strict=True))
    assert rows_of(packed(ROWS), 9, reader) == ROWS
    assert reader.read == [4, 1]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (packed(ROWS) + b"\x10\x05", "a number beside the rows"),
        (b"\x8a\x00" + packed(ROWS)[1:], "a tag that is longer than it need be"),
        (packed(ROWS) + b"\x12\x00", "an unknown field"),
    ],
)
def test_what_is_not_rows_alone_is_read_whole(raw: bytes, why: str) -> None:
    """And says what the parser says."""
    del why
    reader = Reader()
    assert rows_of(raw, 9, reader) == ROWS == rows_of(raw, 9, reader)
    assert reader.read == [4, 4]


def test_more_rows_than_there_may_be_are_not_looked_for_one_by_one() -> None:
    """Whoever asked counts them."""
    reader = Reader()
    assert len(rows_of(packed(ROWS), 3, reader)) == 4 == len(rows_of(packed(ROWS), 3, reader))
    assert reader.read == [4, 4]


@pytest.mark.parametrize("cut", [1, 3])
def test_cut_off_rows_are_malformed(cut: int) -> None:
    """In the words of old, also where all others are known."""
    decode_catalogue(all_of(packed(ROWS)))
    with pytest.raises(MalformedAnswer, match="columnar: the catalogue is not a KeyVizCatalogue"):
        decode_catalogue(all_of(packed(ROWS)[:-cut]))


def test_a_row_that_lists_too_much_is_refused_every_time() -> None:
    """Nothing of it is kept."""
    bad = pb.KeyVizCatalogue(rows=[encode_row(ROWS[0]), pb.KeyVizRow(bucket_id="x", route_ids=range(257))])
    for _ in range(2):
        with pytest.raises(MalformedAnswer, match="257 route_ids"):
            rows_of(bad.SerializeToString(), 9, Reader())


@pytest.mark.parametrize("seed", range(4))
def test_bytes_of_any_kind_mean_what_the_parser_makes_of_them(seed: int) -> None:
    """Broken in any place, with rows that are known and rows that are not."""
    chance = random.Random(seed)
    read = Reader()
    outcomes = set()
    for _ in range(1500):
        raw = bytearray(packed(chance.sample(ROWS, chance.randrange(1, 5))))
        for _ in range(chance.randrange(4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        raw = raw[: chance.choice((len(raw), chance.randrange(len(raw) + 1)))]
        told = outcome(lambda whole: rows_of(whole, 9, read), bytes(raw))
        plain = outcome(lambda whole: [decode_row(row) for row in read(whole)], bytes(raw))
        assert told == plain
        outcomes.add(told if isinstance(told, type) else list)
    assert {DecodeError, list} <= outcomes


def outcome(way: Callable[[bytes], list[Row]], raw: bytes) -> list[Row] | type[Exception]:
    """The rows, or why there are none."""
    try:
        return way(raw)
    except (DecodeError, MalformedAnswer) as error:
        return type(error)


def test_a_catalogue_that_changes_in_a_row_is_packed_as_if_it_were_new() -> None:
    """Rows that are the same objects are not encoded again, and give the same bytes."""
    rows = list(ROWS)
    for turn in range(3):
        rows[turn] = Row(f"route:{turn + 7}", rows[turn].start, rows[turn].end)
        matrix = Matrix(Series.READS, np.empty(0, np.int64), Catalogue(tuple(rows)), np.empty((4, 0), np.uint64))
        message = pb.GetKeyVizMatrixResponse.FromString(b"".join(encode_columnar(matrix).whole))
        assert message.columnar.catalogue == packed(rows)
