"""Messages to model and back, in both encodings; hostile bytes are refused, never a crash."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import (
    answer_bytes,
    decode_answer,
    decode_query,
    encode_answer,
    encode_query,
    known_bytes,
    messages_in_response,
    parse_response,
    query_bytes,
    question_of,
    ready_before,
)
from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.errors import InvalidRequest, MalformedAnswer, TooLarge
from keyviz_grpc.merge import merge
from keyviz_grpc.merge.entries import Placed, entries_of
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, History, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import Known, MatrixQuery
from keyviz_grpc.traffic import Busy, Runs, Strip
from tests.property.strategies import clusters
from tests.reference.convert import answer_of, told_by
from tests.reference.oracle import Node

ENCODINGS = [(), (pb.MATRIX_ENCODING_COLUMNAR,)]
SERIES = [Series.WRITES, Series.READS]
some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def there_and_back(answer: Answer, accept: tuple[int, ...]) -> Answer:
    """Through bytes."""
    raw = encode_answer(answer, accept=accept).SerializeToString()
    response = pb.GetKeyVizMatrixResponse.FromString(raw)
    return decode_answer(response, series=answer.matrix.series, outcome=Outcome("peer:1"))


@pytest.mark.parametrize("accept", ENCODINGS)
@pytest.mark.parametrize("series", SERIES)
@some
@given(nodes=clusters())
def test_answers_survive_the_wire(accept: tuple[int, ...], series: Series, nodes: list[object]) -> None:
    """Own answers and merged ones, with shares, conflicts, outcomes and books of leaves."""
    parts = [answer_of(node, series) for node in nodes]  # type: ignore[arg-type]
    for answer in (parts[0], merge(parts, query=MatrixQuery(series), now_unix_ms=14_000)):
        back = there_and_back(answer, accept)
        assert back.matrix.catalogue == answer.matrix.catalogue
        assert told_by(back, writes=series.is_write) == told_by(answer, writes=series.is_write)
        assert (back.node_id, back.incarnation, back.step_ms) == (answer.node_id, answer.incarnation, answer.step_ms)
        assert back.leaf_ranges == answer.leaf_ranges
        if answer.merged:
            assert back.outcomes == answer.outcomes


@pytest.mark.parametrize("accept", ENCODINGS)
@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("left_out", [0, 1])
@some
@given(nodes=clusters())
def test_an_answer_put_together_from_bytes_is_its_message(
    accept: tuple[int, ...], series: Series, left_out: int, nodes: list[Node]
) -> None:
    """A node's own, one that leaves columns out, a merged one, and one that carries those of its leaves."""
    parts = [answer_of(node, series) for node in nodes]
    told = (merge(parts, query=MatrixQuery(series, unmerged=u), now_unix_ms=14_000) for u in (False, True))
    own = replace(parts[0], history=History(1, 9, left_out, 2), generated_at_unix_ms=14_000)
    for answer in (own, *told):
        raw, message = answer_bytes(answer, accept=accept), encode_answer(answer, accept=accept)
        assert pb.GetKeyVizMatrixResponse.FromString(raw) == message
        assert len(raw) == message.ByteSize()
        ready = ready_before(answer, accept=accept)
        assert (ready is not None) == bool(accept), "packed a moment ago"
        assert ready is None or ready.made_at(answer.generated_at_unix_ms) == raw
        assert ready is None or ready.shape == answer.matrix.shape
    unpacked = replace(answer, matrix=replace(answer.matrix))
    soon = ready_before(unpacked, accept=accept)
    assert soon is None or soon.made_at(answer.generated_at_unix_ms) == raw


def test_a_question_has_its_own_bytes_however_many_are_asked() -> None:
    """The same ones each time, also of those that are equal but for one thing."""
    whole = MatrixQuery(via=("a",))
    queries = [whole, *(replace(whole, rows=rows) for rows in range(1, 20))] * 2
    for query in queries:
        expected = encode_query(query, accept=ENCODINGS[1]).SerializeToString()
        assert [query_bytes(query, accept=ENCODINGS[1]) for _ in range(2)] == [expected] * 2


def test_what_is_known_is_the_end_of_a_question() -> None:
    """So that all peers share what stands before."""
    query, known = MatrixQuery(via=("a",), exclude=(("n1", 3),)), Known("n2", 5, 7, 2**62)
    told = replace(query, known=known)
    raw = query_bytes(query, accept=ENCODINGS[1]) + known_bytes(known)
    assert raw == encode_query(told, accept=ENCODINGS[1]).SerializeToString()
    assert decode_query(pb.GetKeyVizMatrixRequest.FromString(raw)) == told
    plain = query_bytes(replace(query, without_roles=True), accept=ENCODINGS[1]) + known_bytes(known)
    assert decode_query(pb.GetKeyVizMatrixRequest.FromString(plain)) == replace(told, without_roles=True)


def test_a_question_that_is_asked_again_means_the_same() -> None:
    """Short or long, and one that is wrong is refused each time."""
    short = pb.GetKeyVizMatrixRequest(rows=3, via=["a"])
    long = pb.GetKeyVizMatrixRequest(bucket_ids=[str(number) * 500 for number in range(50)])
    wrong = pb.GetKeyVizMatrixRequest(via=["a"] * 33)
    for _ in range(3):
        for request, expected in (
            (short, MatrixQuery(rows=3, via=("a",))),
            (pb.GetKeyVizMatrixRequest(), MatrixQuery()),
        ):
            assert question_of(request.SerializeToString()).query == decode_query(request) == expected
        assert question_of(long.SerializeToString()).query.bucket_ids == tuple(long.bucket_ids)
        with pytest.raises(InvalidRequest, match="via"):
            _ = question_of(wrong.SerializeToString()).query
        with pytest.raises(DecodeError):
            question_of(b"\xff\xff")
    assert question_of(short.SerializeToString()) is question_of(short.SerializeToString()), "read once"
    short.rows, short.accept[:] = 4, [pb.MATRIX_ENCODING_COLUMNAR]
    question = question_of(short.SerializeToString())
    assert (question.query, question.accept) == (MatrixQuery(rows=4, via=("a",)), (pb.MATRIX_ENCODING_COLUMNAR,))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 1 << 21])
def test_a_field_put_together_by_hand_is_the_one_that_protobuf_makes(size: int) -> None:
    """Whatever its length takes, and in however many pieces it is there."""
    content = bytes(size)
    number = pb.KeyVizColumnar.CATALOGUE_FIELD_NUMBER
    made = b"".join(as_field(number, [content[: size // 2], content[size // 2 :]]))
    assert pb.KeyVizColumnar.FromString(made).catalogue == content
    assert b"".join(as_field(500, [content])).startswith(b"\xa2\x1f")


@pytest.mark.parametrize("accept", ENCODINGS)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_hostile_bytes_are_refused_or_read(accept: tuple[int, ...], data: st.DataObject) -> None:
    """Any damage to a real answer gives a clear refusal or another answer, nothing else."""
    answer = cluster(Shape(1, 12, 5))[0]
    raw = bytearray(encode_answer(answer, accept=accept).SerializeToString())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(len(raw) // 2, len(raw))) :]
    response = pb.GetKeyVizMatrixResponse()
    try:
        response.ParseFromString(bytes(raw))
    except Exception:  # noqa: BLE001 - protobuf's own refusal comes before ours
        return
    with contextlib.suppress(MalformedAnswer, TooLarge):
        decode_answer(response, series=Series.WRITES, outcome=Outcome("peer:1"))


def response(**changes: object) -> pb.GetKeyVizMatrixResponse:
    """Two buckets, two columns, all well."""
    rows = [
        pb.KeyVizRow(bucket_id="route:1", end=b"m", values=[1, 2], route_count=1),
        pb.KeyVizRow(bucket_id="route:2", start=b"m", values=[3, 4], route_count=1),
    ]
    whole: dict[str, object] = {"column_unix_ms": [1000, 2000], "rows": rows, "step_ms": 1000, **changes}
    return pb.GetKeyVizMatrixResponse(**whole)  # type: ignore[arg-type]


def row(**changes: object) -> pb.KeyVizRow:
    """One bucket of two columns."""
    whole: dict[str, object] = {"bucket_id": "route:1", "end": b"m", "values": [1, 2], **changes}
    return pb.KeyVizRow(**whole)  # type: ignore[arg-type]


def told(**changes: object) -> pb.KeyVizOutcome:
    """A leaf that is well."""
    return pb.KeyVizOutcome(kind=pb.OUTCOME_KIND_OK, address="leaf:1", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (response(rows=[row(values=[1])]), "1 values, 2 columns"),
        (response(rows=[row(), row()]), "occurs twice"),
        (response(rows=[row(bucket_id="")]), "empty bucket_id"),
        (response(rows=[row(start=b"z")]), "not below end"),
        (response(rows=[row(soft_columns=[True])]), "soft_columns"),
        (response(rows=[row(raft_group_ids=[1], leader_terms=[1, 2])]), "raft_group_ids"),
        (response(rows=[row(route_ids=range(257))]), "route_ids"),
        (response(column_unix_ms=[2000, 1000]), "ascending"),
        (response(column_unix_ms=[1000, 1000]), "ascending"),
        (response(column_unix_ms=[0, 1000]), "positive"),
        (response(step_ms=-5), "step_ms"),
        (response(step_ms=2**60), "step_ms"),
        (response(column_unix_ms=[1000, 2**63 - 1]), "column_unix_ms"),
        (response(generated_at_unix_ms=-1), "generated_at_unix_ms"),
        (response(oldest_unix_ms=2**62), "oldest_unix_ms"),
        (response(outcomes=[told(latency_ms=math.nan)]), "latency_ms nan"),
        (response(outcomes=[told(latency_ms=-1.0)]), "latency_ms -1"),
        (response(outcomes=[told(generated_at_unix_ms=2**63 - 1)]), "generated_at_unix_ms"),
        (response(outcomes=[told(step_ms=-1)]), "outcomes: step_ms"),
        (response(outcomes=[told()] * 3, leaf_sets=[pb.LeafSet(leaves=[2, 1])]), "do not ascend"),
        (response(outcomes=[told()], leaf_ranges=[pb.LeafRange(), pb.LeafRange()]), "leaf_ranges: not in order"),
        (response(leaf_answers=[pb.LeafAnswer(answer=response())]), "leaf_answers"),
        (response(shares=[pb.KeyVizShare(row=9, value=1)]), "shares"),
        (response(shares=[pb.KeyVizShare(row=0, value=0)]), "value 0"),
        (response(shares=[pb.KeyVizShare(row=0, value=99)]), "larger than its cell"),
        (response(conflicts=[pb.KeyVizConflicts(row=0, columns=[7])]), "conflicts"),
        (response(conflicts=[pb.KeyVizConflicts(row=1, columns=[2])]), "conflicts: row 1"),
        (response(conflicts=[pb.KeyVizConflicts(row=2, columns=[0])]), "conflicts: row 2"),
        (response(outcomes=[pb.KeyVizOutcome(kind=77)]), "kind 77"),  # type: ignore[arg-type]
        (response(outcomes=[told()], leaf_sets=[pb.LeafSet(leaves=[3])]), "leaf"),
        (response(columnar=pb.KeyVizColumnar(version=1)), "both"),
        (response(rows=[], columnar=pb.KeyVizColumnar(version=9)), "version 9"),
        (
            response(rows=[row(aggregate=True), row(bucket_id="virtual:2", aggregate=True)]),
            "two aggregates have the range",
        ),
    ],
)
def test_each_broken_law_is_named(broken: pb.GetKeyVizMatrixResponse, words: str) -> None:
    """Whoever reads the log can find it."""
    with pytest.raises(MalformedAnswer, match=words):
        decode_answer(broken, series=Series.WRITES, outcome=Outcome("peer:1"))


def test_a_broken_law_in_a_large_answer_is_found_quickly() -> None:
    """A node that lies must not keep busy the few threads that read everybody's answers."""
    rows = [
        pb.KeyVizRow(bucket_id=f"virtual:{n}", start=b"%06d" % n, end=b"%06d" % (n + 1), aggregate=True, values=[1])
        for n in range(60_000)
    ]
    rows[-1].start, rows[-1].end = rows[-2].start, rows[-2].end
    broken = pb.GetKeyVizMatrixResponse(column_unix_ms=[1000], rows=rows)
    began = time.process_time()
    with pytest.raises(MalformedAnswer, match="two aggregates have the range start=b'059998'"):
        decode_answer(broken, series=Series.READS, outcome=Outcome("peer:1"))
    assert time.process_time() - began < 10


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(5, 2), (2, 5)])
def test_cells_are_bounded_whatever_the_shape(rows: int, columns: int, as_bytes: bool) -> None:
    """As many as may be are read, one more is too large."""
    told_rows = [pb.KeyVizRow(bucket_id=f"route:{n}", start=b"%d" % n, values=[1] * columns) for n in range(rows)]
    raw = response(column_unix_ms=range(1, columns + 1), rows=told_rows).SerializeToString()
    sent = parse_response(raw) if as_bytes else pb.GetKeyVizMatrixResponse.FromString(raw)
    whole = decode_answer(sent, series=Series.READS, outcome=Outcome("peer:1"), max_cells=10)
    assert whole.matrix.shape == (rows, columns)
    sent = parse_response(raw) if as_bytes else pb.GetKeyVizMatrixResponse.FromString(raw)
    with pytest.raises(TooLarge, match=f"{rows} rows x {columns} columns are more than 9 cells"):
        decode_answer(sent, series=Series.READS, outcome=Outcome("peer:1"), max_cells=9)


def test_half_known_identities_are_unknown() -> None:
    """Either number 0 means so."""
    answer = decode_answer(
        response(rows=[row(raft_group_ids=[5, 5], leader_terms=[0, 3])]), series=Series.WRITES, outcome=Outcome("p:1")
    )
    assert answer.matrix.codes is not None
    assert answer.matrix.identities[answer.matrix.codes].tolist() == [[[0, 0], [5, 3]]]


FROZEN: dict[str, object] = {
    "widths": "020202",
    "values": "d24db74e344ebd2442243a24f3160d179017",
    "run_codes": [1, 2, 3, 4],
    "run_lengths": [1, 2, 3, 3],
    "share_cell_deltas": [1, 0],
}


def test_a_packed_sample_keeps_its_bytes() -> None:
    """The packed form of a small cluster, pinned: another program's decoder was written for exactly this."""
    answer = cluster(Shape(1, 3, 3, flips=True))[0]
    packed = encode_answer(answer, accept=ENCODINGS[1]).columnar
    assert packed.version == 1
    assert packed.widths.hex() == FROZEN["widths"]
    assert packed.values.hex() == FROZEN["values"]
    assert list(packed.run_codes) == FROZEN["run_codes"]
    assert list(packed.run_lengths) == FROZEN["run_lengths"]
    assert list(packed.share_cell_deltas) == FROZEN["share_cell_deltas"]


@given(st.data())
def test_identities_are_spread_by_rows_as_cell_by_cell(data: st.DataObject) -> None:
    """Whatever the runs: across rows, within them, of no cell at all, and past rows without traffic."""
    rows, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 7))
    busy = np.array(data.draw(st.lists(st.booleans(), min_size=rows * width, max_size=rows * width)))
    lengths: list[int] = []
    while sum(lengths) < busy.sum():
        lengths.append(data.draw(st.integers(0, int(busy.sum()) - sum(lengths))))
    lengths = lengths or [0]
    codes = np.array(data.draw(st.lists(st.integers(0, 9), min_size=len(lengths), max_size=len(lengths))), np.uint32)
    expected = np.zeros(rows * width, np.uint32)
    expected[busy] = codes.repeat(lengths)
    shaped = busy.reshape(rows, width)
    matrix = Matrix.of_busy(
        Series.WRITES,
        np.arange(1, width + 1),
        Catalogue(tuple(Row(f"route:{number}", b"%d" % number, b"%d" % (number + 1)) for number in range(rows))),
        Busy([Strip(np.arange(rows), shaped.astype(np.uint16))], Runs(codes, np.array(lengths, np.int64))),
    )
    entries = entries_of([Placed(matrix, None, None)], [None], (rows, width), identities=len(matrix.identities))
    for spread in (matrix.codes, entries.codes_of(np.arange(rows))):
        assert spread is not None
        assert spread.dtype == np.uint32
        assert spread.tolist() == expected.reshape(rows, width).tolist()


def held_within(message: Message) -> int:
    """How many messages there are in a message, however deep."""
    inner = [value for field, value in message.ListFields() if field.message_type is not None]
    each = [one for value in inner for one in ([value] if isinstance(value, Message) else value)]
    return len(each) + sum(map(held_within, each))


@given(clusters(), st.booleans(), st.booleans())
def test_messages_are_counted_without_parsing(nodes: list[Node], packed: bool, unmerged: bool) -> None:
    """As many as parsing finds, in every form; one more than the most is told as that."""
    answers = [answer_of(node, Series.WRITES) for node in nodes]
    merged = merge(answers, query=MatrixQuery(Series.WRITES, unmerged=unmerged), now_unix_ms=1)
    message = encode_answer(merged, accept=(pb.MATRIX_ENCODING_COLUMNAR,) if packed else ())
    raw, count = message.SerializeToString(), held_within(message)
    assert messages_in_response(raw, 10**9) == count
    if count:
        assert messages_in_response(raw, count - 1) == count
    for cut in range(0, len(raw), max(1, len(raw) // 20)):
        with contextlib.suppress(MalformedAnswer):
            assert messages_in_response(raw[:cut], 10**9) <= count


def test_messages_in_each_other_without_end_are_refused() -> None:
    """Before a parser goes down all of them."""
    raw = b""
    for _ in range(20):
        inner = b"\x12" + bytes([len(raw)]) + raw if len(raw) < 100 else raw
        raw = b"\xea\x01" + bytes([len(inner)]) + inner if len(inner) < 120 else raw
    with pytest.raises(MalformedAnswer, match="deep"):
        messages_in_response(raw, 10**9)
