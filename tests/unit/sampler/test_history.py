"""The history number: it stands still while closed columns do, and changes with whatever alters them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from keyviz_grpc.codec import decode_answer, decode_query, encode_answer, encode_query
from keyviz_grpc.errors import InvalidRequest, MalformedAnswer
from keyviz_grpc.model import Series, Window
from keyviz_grpc.outcome import History, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import Known, MatrixQuery
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler

STEP_MS = 1000
START_MS = 1_000_000
COLUMNAR = (pb.MATRIX_ENCODING_COLUMNAR,)


class Clock:
    """Seconds, moved by hand in either direction."""

    def __init__(self) -> None:
        self.unix_ms = START_MS

    def __call__(self) -> float:
        return self.unix_ms / 1000


@pytest.fixture
def clock() -> Clock:
    """At the start of a window."""
    return Clock()


@pytest.fixture
def sampler(clock: Clock) -> Iterator[Sampler]:
    """Holds at most four columns of a second each; two routes, both written once in each of the first two columns."""
    with Sampler(node_id="n1", step_ms=STEP_MS, columns=4, clock=clock, wall_clock=clock, stall_s=2) as sampler:
        sampler.register_routes([Route(1, b"", b"m", 1), Route(2, b"m", b"", 1)])
        sampler.set_leader(1, 3)
        for _ in range(2):
            write(sampler)
            step(sampler, clock)
        yield sampler


def write(sampler: Sampler, route: int = 1, label: str = "") -> None:
    """One operation."""
    sampler.observe(route, b"k", Op.WRITE, 10, label=label)


def step(sampler: Sampler, clock: Clock, ms: int = STEP_MS) -> None:
    """Time in which the node runs, or sleeps where it is more than two steps."""
    clock.unix_ms += ms
    sampler.tick()


def late(sampler: Sampler, clock: Clock) -> None:
    """An operation of the first window, which closed long ago."""
    keys = PackedKeys(np.zeros(1, np.uint8), np.array([0, 1]))
    sampler.observe_many([1], keys, np.ones(1, np.uint8), [1], at_unix_ms=[START_MS])
    step(sampler, clock)


def history(sampler: Sampler) -> History:
    """As an answer to everything tells it."""
    told = sampler.matrix(MatrixQuery()).history
    assert told is not None
    return told


def flipped(sampler: Sampler, clock: Clock) -> None:
    """Another leader from now on."""
    sampler.set_leader(1, 4, leader_node_id="n2")
    write(sampler)
    step(sampler, clock)


@pytest.mark.parametrize("happens", [step, flipped, lambda sampler, _: write(sampler)])
def test_the_number_stands_still(sampler: Sampler, clock: Clock, happens: Callable[[Sampler, Clock], None]) -> None:
    """A window that closes, traffic, a new leader: nothing that was told before is other than it was."""
    before = history(sampler).number
    happens(sampler, clock)
    assert history(sampler).number == before


def back(sampler: Sampler, clock: Clock) -> None:
    """The clock goes back into a closed window, something is counted there, and time goes on."""
    step(sampler, clock, -1500)
    write(sampler)
    step(sampler, clock, 1500)


def filled_hole(sampler: Sampler, clock: Clock) -> None:
    """A window that was slept through gets its column after a newer one."""
    step(sampler, clock, 10 * STEP_MS)
    write(sampler)
    step(sampler, clock)
    step(sampler, clock, -5 * STEP_MS)
    write(sampler)
    step(sampler, clock, 5 * STEP_MS)


@pytest.mark.parametrize(
    "happens",
    [
        late,
        back,
        filled_hole,
        lambda sampler, _: write(sampler, label="cache"),
        lambda sampler, _: sampler.register_routes([Route(3, b"a", b"b", 2)]),
        lambda sampler, _: sampler.register_routes([Route(1, b"", b"c", 1)]),
        lambda sampler, _: sampler.replace_routes(remove=[1, 2], add=[Route(3, b"", b"", 1)]),
    ],
)
def test_the_number_changes(sampler: Sampler, clock: Clock, happens: Callable[[Sampler, Clock], None]) -> None:
    """Whatever alters cells, columns or rows that were told before; a new life has numbers of its own."""
    before = history(sampler).number
    happens(sampler, clock)
    assert history(sampler).number != before
    with Sampler(node_id="n1", incarnation=sampler.incarnation) as other:
        assert history(other).number not in (before, history(sampler).number)


def test_a_route_that_left_the_picture_changes_the_number(sampler: Sampler, clock: Clock) -> None:
    """A removed route's row goes when its last column does."""
    sampler.remove_routes([1])
    before, rows = history(sampler).number, len(sampler.matrix(MatrixQuery()).matrix.catalogue)
    for _ in range(4):
        step(sampler, clock)
    assert len(sampler.matrix(MatrixQuery()).matrix.catalogue) < rows
    assert history(sampler).number != before


def known(sampler: Sampler) -> Known:
    """Everything that the node holds now."""
    told = history(sampler)
    return Known("n1", sampler.incarnation, told.number, told.newest_unix_ms + 1)


def test_what_is_known_is_left_out(sampler: Sampler, clock: Clock) -> None:
    """Columns below the stamp stay away and are counted, within the range asked for and the ring."""
    remembered = known(sampler)
    for _ in range(3):
        step(sampler, clock)
    answer = sampler.matrix(MatrixQuery(known=remembered))
    assert answer.matrix.columns.tolist() == [START_MS + n * STEP_MS for n in (3, 4, 5)]
    assert answer.history == History(remembered.history, START_MS + 5 * STEP_MS, remembered.below_unix_ms, 1)
    narrow = sampler.matrix(
        MatrixQuery(window=Window(START_MS + 4 * STEP_MS, START_MS + 5 * STEP_MS), known=remembered)
    )
    assert narrow.matrix.columns.tolist() == [START_MS + 4 * STEP_MS]
    assert narrow.history is not None
    assert narrow.history.left_out_columns == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda known: replace(known, node_id="n2"),
        lambda known: replace(known, incarnation=known.incarnation + 1),
        lambda known: replace(known, history=known.history + 1),
    ],
)
def test_at_any_doubt_the_answer_is_whole(sampler: Sampler, change: Callable[[Known], Known]) -> None:
    """Another node, another life, another number."""
    answer = sampler.matrix(MatrixQuery(known=change(known(sampler))))
    assert len(answer.matrix.columns) == 2
    assert answer.history == history(sampler)


@pytest.mark.parametrize("query", [MatrixQuery(rows=1), MatrixQuery(bucket_ids=("route:1",)), MatrixQuery(node_id="x")])
def test_part_of_the_rows_has_no_history(sampler: Sampler, query: MatrixQuery) -> None:
    """Only answers with every row can be remembered, and nothing is left out of others."""
    answer = sampler.matrix(replace(query, known=known(sampler)))
    assert answer.history is None
    assert len(answer.matrix.columns) == (0 if query.node_id else 2)


@pytest.mark.parametrize("series", [Series.READS, Series.WRITES])
def test_over_the_wire(sampler: Sampler, clock: Clock, series: Series) -> None:
    """Rows are not sent again; with no new column there is no matrix at all."""
    remembered, rows = known(sampler), sampler.matrix(MatrixQuery()).matrix.catalogue
    for new in (0, 1):
        request = encode_query(MatrixQuery(series, known=remembered), accept=COLUMNAR)
        answer = sampler.matrix(decode_query(pb.GetKeyVizMatrixRequest.FromString(request.SerializeToString())))
        raw = encode_answer(answer, accept=COLUMNAR)
        assert not raw.columnar.catalogue
        assert raw.HasField("columnar") == bool(new)
        told = decode_answer(raw, series=series, outcome=Outcome("p"), rows=rows)
        assert told.matrix.catalogue is rows
        assert told.history == answer.history
        assert told.matrix.values.tolist() == answer.matrix.values.tolist()
        with pytest.raises(MalformedAnswer, match="nobody said"):
            decode_answer(raw, series=series, outcome=Outcome("p"))
        write(sampler)
        step(sampler, clock)


def test_callers_that_read_rows_only_are_told_everything(sampler: Sampler) -> None:
    """`known` goes with the columnar form."""
    assert decode_query(encode_query(MatrixQuery(known=known(sampler)))).known is None


@pytest.mark.parametrize("field", ["node_id", "incarnation", "history", "below_unix_ms"])
def test_half_a_claim_is_refused(sampler: Sampler, field: str) -> None:
    """The request is named as wrong, not guessed at."""
    request = encode_query(MatrixQuery(known=known(sampler)), accept=COLUMNAR)
    request.known.ClearField(field)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="known"):
        decode_query(request)


def test_an_answer_that_leaves_out_and_has_rows_is_malformed(sampler: Sampler) -> None:
    """What is left out must be left out wholly."""
    remembered, rows = known(sampler), sampler.matrix(MatrixQuery()).matrix.catalogue
    raw = encode_answer(sampler.matrix(MatrixQuery(known=remembered)), accept=COLUMNAR)
    whole = encode_answer(sampler.matrix(MatrixQuery()), accept=COLUMNAR)
    raw.columnar.CopyFrom(whole.columnar)
    with pytest.raises(MalformedAnswer, match="catalogue"):
        decode_answer(raw, series=Series.WRITES, outcome=Outcome("p"), rows=rows)
