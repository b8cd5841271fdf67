"""Large answers of which the large fields are read where they came: they mean what the parser makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import Apart, answer_bytes, apart, known, set_apart
from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.codec.spans import MOST_FIELDS, fields_in
from keyviz_grpc.errors import MalformedAnswer, TooLarge
from keyviz_grpc.kept import Kept
from keyviz_grpc.merge import merge
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from tests.unit.codec.apart_answers import COLUMNAR, left_of, read, read_whole, rows_are_known, runs_of, sent, told

LARGE = {"catalogue", "values", "identity_groups", "identity_terms", "run_codes", "run_lengths"}


@pytest.fixture(autouse=True)
def _every_answer_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "LARGE", 0)


def with_columnar(change: Callable[[bytes], bytes]) -> bytes:
    """An answer whose columnar form was changed byte by byte."""
    message = pb.GetKeyVizMatrixResponse.FromString(sent())
    own = message.columnar.SerializeToString()
    message.ClearField("columnar")
    number = pb.GetKeyVizMatrixResponse.COLUMNAR_FIELD_NUMBER
    return b"".join([message.SerializeToString(), *as_field(number, [change(own)])])


def test_what_is_large_is_read_where_it_came() -> None:
    """The message lacks it, the values are views of the very bytes, and nothing else is different."""
    raw = sent()
    own = set_apart(raw)
    message = left_of(raw)
    whole: Any = pb.GetKeyVizMatrixResponse.FromString(raw)
    assert {field.name for field, _ in whole.columnar.ListFields()} - LARGE == {
        field.name for field, _ in message.columnar.ListFields()
    }
    assert own.size_bytes == len(raw)
    for name in LARGE:
        whole.columnar.ClearField(name)
    assert message == whole
    answer = read(raw)
    assert told(answer) == told(read_whole(raw))
    assert answer.matrix.busy is not None
    for strip in answer.matrix.busy.strips:
        assert strip.values.itemsize > 1 or np.shares_memory(strip.values, np.frombuffer(raw, np.uint8))


def test_an_answer_of_many_leaves_keeps_its_books() -> None:
    """Shares, conflicts and what its leaves said stand beside what is large."""
    parts = cluster(Shape(3, 40, 6, conflict_share=0.3))
    raw = answer_bytes(merge(parts, query=MatrixQuery(), now_unix_ms=1), accept=COLUMNAR)
    assert set_apart(raw).large is not None
    apart_from, whole = read(raw), read_whole(raw)
    assert told(apart_from) == told(whole)
    books = [(answer.leaf_ranges, answer.matrix.shares.values.tolist()) for answer in (apart_from, whole)]
    assert books[0] == books[1]
    assert all(books[0])
    marks = [answer.matrix.conflicts for answer in (apart_from, whole)]
    assert marks[0] is not None
    assert marks[1] is not None
    assert marks[0].any()
    assert marks[0].tolist() == marks[1].tolist()


def test_rows_and_identities_are_found_again() -> None:
    """As of answers that were parsed as a whole; only then nothing of the rows is read."""
    raw = sent(rows=41)
    assert not rows_are_known(raw)
    first = read(raw).matrix
    assert rows_are_known(raw)
    again = read(raw).matrix
    assert again.catalogue is first.catalogue
    assert again.identities is first.identities
    assert runs_of(again).codes is runs_of(first).codes
    assert read_whole(raw).matrix.catalogue is first.catalogue


@pytest.mark.parametrize("shift", range(8))
def test_wide_values_may_stand_anywhere(shift: int) -> None:
    """Bytes before them move them from where numbers of their width are read fastest."""
    raw = answer_bytes(cluster(Shape(1, 8, 3, traffic="dense", flips=False, divergent=False))[0], accept=COLUMNAR)
    unknown = b"".join(as_field(1000, [bytes(shift)]))
    assert told(read(unknown + raw)) == told(read_whole(raw))


def test_fields_in_any_order_are_the_same_answer() -> None:
    """Only where leaders do not stand together they stay in the message."""
    raw = with_columnar(lambda own: own)
    places = fields_in(raw, 0, len(raw), [28])
    assert places is not None
    tag, _, end = places[28]

    def reverse(own: bytes) -> bytes:
        at, pieces = 0, list[bytes]()
        found = fields_in(own, 0, len(own), range(2, 9))
        assert found is not None
        for start, _, stop in found.values():
            pieces += [own[at:start], own[start:stop]]
            at = stop
        return b"".join([*reversed(pieces), own[at:]])

    for other, together in ((raw[tag:end] + raw[:tag] + raw[end:], True), (with_columnar(reverse), False)):
        large = set_apart(other).large
        assert large is not None
        assert (large.codes is not None) is together
        left = left_of(other).columnar
        assert not left.catalogue
        assert not left.values
        assert told(read(other)) == told(read_whole(raw))


def test_leaders_with_something_between_them_stay_in_the_message() -> None:
    """Whatever it is, it is not theirs."""
    for number in (6, 7):

        def part(own: bytes, number: int = number) -> bytes:
            found = fields_in(own, 0, len(own), [number])
            assert found is not None
            at = found[number][0]
            return own[:at] + b"".join(as_field(1000, [b"new"])) + own[at:]

        raw = with_columnar(part)
        large = set_apart(raw).large
        assert large is not None
        assert large.codes is None
        assert told(read(raw)) == told(read_whole(raw))


def test_leaders_are_kept_within_bounds_and_nobody_changes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bytes that told them, what those mean, and the name of the node."""
    table, codes = np.zeros((3, 2), np.uint64), np.zeros(5, np.uint32)
    packed = bytes(100)
    held = len(packed) + table.nbytes + codes.nbytes + len("n1") + known.ENTRY_BYTES
    for room, times in ((held, 1), (held - 1, 2)):
        monkeypatch.setattr(known, "_told_codes", Kept(room))
        asked: list[bytes] = []

        def read_codes(told: bytes, asked: list[bytes] = asked) -> known.Codes:
            asked.append(told)
            return table, codes

        for _ in range(2):
            assert known.codes_told(packed, "n1", read_codes)[1] is codes
        assert len(asked) == times
    assert not codes.flags.writeable


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        sent() + as_field(28, [pb.KeyVizColumnar(version=1).SerializeToString()])[0],
        sent() + b"".join(as_field(28, [pb.KeyVizColumnar(version=1, values=b"1").SerializeToString()])),
        with_columnar(lambda own: own + pb.KeyVizColumnar(catalogue=b"").SerializeToString() + b"\x12\x00"),
        with_columnar(lambda own: own + b"\x28\x05"),  # one more group, not packed
        with_columnar(lambda own: own + b"\x10\x01"),  # a catalogue that is a number
        with_columnar(lambda own: own + b"\x7a\x00" * MOST_FIELDS),
        with_columnar(lambda own: own + b"\x7d\x00\x00\x00\x00"),
        sent()[:-1],
        sent() + b"\x0a",
        sent() + b"\x0a" + b"\x80" * 5 + b"\x00",
    ],
)
def test_what_is_unusual_is_left_to_the_parser(raw: bytes) -> None:
    """Fields that occur twice or are of another kind, too many of them, and what is no message."""
    own = set_apart(raw)
    assert own.large is None
    assert own.rest is raw


def test_an_answer_in_rows_stays_together() -> None:
    """And one that leaves out its rows as known."""
    for accept in ((), COLUMNAR):
        answer = cluster(Shape(2, 4, 3))[0]
        message = pb.GetKeyVizMatrixResponse.FromString(answer_bytes(answer, accept=accept))
        message.columnar.ClearField("catalogue") if accept else None
        assert set_apart(message.SerializeToString()).large is None


@pytest.mark.parametrize(("bound", "name"), [("MOST_LEFT", None), ("MOST_HEAD", None), ("MOST_HEAD", "node_id")])
def test_where_much_is_left_nothing_is_copied(bound: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left beside what is large is copied to be parsed: nobody has paid for that, and the loop waits for it."""
    raw = sent()
    message = pb.GetKeyVizMatrixResponse.FromString(raw)
    whole = message.columnar
    left = len(raw) - len(whole.catalogue) - len(whole.values)
    if bound == "MOST_HEAD":
        left = len(raw) - len(b"".join(as_field(28, [whole.SerializeToString()])))
    monkeypatch.setattr(apart, bound, left + 100)

    def with_more(size: int) -> bytes:
        if name is None:
            return b"".join([*as_field(1000, [bytes(size)]), message.SerializeToString()])
        own = pb.GetKeyVizMatrixResponse.FromString(message.SerializeToString())
        own.node_id = "n" * size
        return own.SerializeToString()

    few, many = with_more(90), with_more(110)
    assert set_apart(few).large is not None
    assert set_apart(many).large is None
    assert set_apart(many).rest is many
    assert told(read(many)) == told(read_whole(many))


def test_what_stands_apart_is_read_all_the_same() -> None:
    """Values in little time, leaders number by number, and rows where they are not known."""
    raw = sent(rows=43)
    own = set_apart(raw)
    assert own.large is not None
    assert own.large.codes is not None
    assert own.large.lengths
    numbers = len(own.rest) + len(own.large.codes + own.large.lengths) + own.large.values.size // apart.VALUES_AS_ONE
    assert own.parsed_bytes == numbers + own.large.catalogue.size
    read(raw)
    assert set_apart(raw).parsed_bytes == numbers
    assert Apart(3, b"abc").parsed_bytes == 3


def test_changed_bytes_mean_what_they_mean_to_the_parser() -> None:
    """The same answer, or refused."""
    chance = random.Random(7)
    raw, alike, refused = sent(), 0, 0
    columnar = pb.KeyVizColumnar(version=1, run_lengths=[1])
    once_more = [
        pb.GetKeyVizMatrixResponse(column_unix_ms=[1 << 42]).SerializeToString(),
        pb.GetKeyVizMatrixResponse(columnar=columnar).SerializeToString(),
        b"\xe2\x81\x00\x02\x08\x01",  # the same field, its number in more bytes than it takes
        b"\x8a\x00\x01\x05",
    ]
    for _ in range(1500):
        changed = bytearray(raw)
        at = chance.randrange(len(raw))
        change = chance.randrange(5)
        if change == 0:
            changed[at] = chance.randrange(256)
        elif change == 1:
            del changed[at : at + chance.randrange(1, 4)]
        elif change == 2:
            changed[at:at] = bytes(chance.choices(range(256), k=chance.randrange(1, 4)))
        elif change == 3:
            changed += chance.choice(once_more)
        else:
            other = chance.randrange(len(raw))
            changed[at:at] = raw[other : other + chance.randrange(1, 60)]
        outcomes: list[object] = []
        for reader in (read, read_whole):
            try:
                outcomes.append(told(reader(bytes(changed))))
            except (MalformedAnswer, TooLarge):
                outcomes.append(None)
        assert outcomes[0] == outcomes[1], bytes(changed)
        refused += outcomes[0] is None
        alike += outcomes[0] is not None
    assert min(alike, refused) > 100
