"""Stamps and lengths of runs of large answers, read where they came: they mean what the parser makes of them."""

from __future__ import annotations

import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import answer_bytes, apart, set_apart, weight_of
from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.proto import keyviz_pb2 as pb
from tests.unit.codec.apart_answers import COLUMNAR, left_of, read, read_whole, runs_of, told


@pytest.fixture(autouse=True)
def _every_answer_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "LARGE", 0)


def test_stamps_that_came_before_are_not_parsed_again() -> None:
    """They are the columns of answers that were parsed as a whole, and the answer weighs what it would with them."""
    raw = answer_bytes(cluster(Shape(2, 40, 7))[1], accept=COLUMNAR)
    first = read(raw)
    assert left_of(raw).column_unix_ms == []
    again = read(raw)
    assert told(again) == told(first)
    assert again.matrix.columns is first.matrix.columns is read_whole(raw).matrix.columns
    own = set_apart(raw)
    assert own.weight_of(own.message()) == weight_of(pb.GetKeyVizMatrixResponse.FromString(raw))


@pytest.mark.parametrize("columns", [8, 9])
def test_stamps_in_two_pieces_are_the_parsers(columns: int) -> None:
    """Whether or not those of the first piece are known, which mean no more than they say afterwards."""
    raw = answer_bytes(cluster(Shape(2, 5, columns))[0], accept=COLUMNAR)
    stamps = pb.GetKeyVizMatrixResponse.FromString(raw).column_unix_ms
    if columns == 8:
        read(raw)
    more = pb.GetKeyVizMatrixResponse(column_unix_ms=[1 << 42]).SerializeToString()
    assert set_apart(raw + more).large is None
    with pytest.raises(MalformedAnswer, match="values"):
        read(raw + more)
    columnar = b"".join(as_field(28, [b"\x08\x01\x12\x00\x22\x00"]))
    with_more = pb.GetKeyVizMatrixResponse(column_unix_ms=stamps).SerializeToString() + columnar + more
    assert len(read(with_more).matrix.columns) == columns + 1
    assert read(raw).matrix.columns.tolist() == list(stamps)


def with_lengths(lengths: list[int]) -> bytes:
    """Seven rows of one leader, with traffic in twenty columns each, and how long its runs are said to be."""
    catalogue = pb.KeyVizCatalogue(rows=[pb.KeyVizRow(bucket_id=str(n), start=bytes([n + 1])) for n in range(7)])
    columnar = pb.KeyVizColumnar(
        version=1,
        catalogue=catalogue.SerializeToString(),
        widths=b"\1" * 7,
        values=b"\1" * 140,
        identity_groups=[3],
        identity_terms=[4],
        run_codes=[1] * len(lengths),
        run_lengths=lengths,
    )
    stamps = range(1000, 1020)
    return pb.GetKeyVizMatrixResponse(node_id="n", column_unix_ms=stamps, columnar=columnar).SerializeToString()


@pytest.mark.parametrize(
    ("lengths", "in_bytes"), [([70, 70], True), ([127, 13], True), ([128, 12], False), ([70, 0, 70], True), ([], True)]
)
def test_lengths_of_a_byte_each_are_read_where_they_came(lengths: list[int], in_bytes: bool) -> None:
    """One that takes two stands in the message with all others; either way they are the same."""
    raw = with_lengths(lengths)
    large = set_apart(raw).large
    assert large is not None
    assert (large.lengths is not None) is in_bytes
    assert list(left_of(raw).columnar.run_lengths) == ([] if in_bytes else lengths)
    assert told(read(raw)) == told(read_whole(raw))
    if lengths:
        assert runs_of(read(raw).matrix).lengths.tolist() == [length for length in lengths if length]


@pytest.mark.parametrize("lengths", [[70, 69], [70, 71], [140, 1], [128, 11], [0] * 300])
def test_lengths_that_do_not_cover_the_cells_are_refused(lengths: list[int]) -> None:
    """However many bytes they take."""
    for reader in (read, read_whole):
        with pytest.raises(MalformedAnswer, match="do not cover"):
            reader(with_lengths(lengths))
