"""What a sampler gives at once: the same as otherwise, or nothing, and never by waiting."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from keyviz_grpc.codec import encode_answer
from keyviz_grpc.model import Catalogue, Matrix, Series, Window
from keyviz_grpc.outcome import Answer
from keyviz_grpc.query import Known, MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler, assembled, ring
from keyviz_grpc.sampler.history import Layout
from tests.unit.sampler.clocks import Clock

QUERY = MatrixQuery(Series.WRITES)


@pytest.fixture
def clock() -> Clock:
    """In the middle of a window."""
    return Clock()


@pytest.fixture
def sampler(clock: Clock) -> Iterator[Sampler]:
    """Two routes that were written to in each of three closed windows, and in the one that is open."""
    quiet = 3600.0  # nobody else may hold the sampler, or count what was observed
    with Sampler(
        node_id="n1",
        step_ms=1000,
        columns=8,
        clock=clock,
        wall_clock=clock,
        stall_s=60,
        drain_interval_s=quiet,
    ) as sampler:
        sampler.register_routes([Route(1, b"", b"m", 1), Route(2, b"m", b"", 1)])
        sampler.set_leader(1, 3)
        for _ in range(3):
            write(sampler)
            clock.now_s += 1
            sampler.tick()
        write(sampler)
        yield sampler


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No work is little enough to be done at once."""
    monkeypatch.setattr(assembled, "MADE_AT_ONCE_COLUMNS", 0)


def write(sampler: Sampler) -> None:
    """One operation on each route."""
    for route, key in ((1, b"a"), (2, b"x")):
        sampler.observe(route, key, Op.WRITE, 10)


def told(answer: Answer | None) -> bytes:
    """All that an answer says, as bytes."""
    assert answer is not None
    return encode_answer(answer).SerializeToString(deterministic=True)


@pytest.mark.parametrize("window", [Window(), Window(1_002_000), Window(1_001_000, 1_003_000), Window(9_000_000)])
def test_what_was_asked_before_is_there_at_once(sampler: Sampler, window: Window) -> None:
    """And is what the other way gives; operations that are not counted yet belong to no closed window."""
    query = replace(QUERY, window=window)
    whole = sampler.matrix(query)
    write(sampler)
    assert told(sampler.matrix_at_once(query)) == told(sampler.matrix(query)) == told(whole)


def test_a_caller_that_knows_all_is_told_so_at_once(sampler: Sampler) -> None:
    """Also where no matrix was made of it before."""
    first = sampler.matrix(QUERY)
    assert first.history is not None
    sampler.matrix(replace(QUERY, window=Window(9_000_000)))
    known = Known("n1", first.incarnation, first.history.number, first.history.newest_unix_ms + 1)
    asked = replace(QUERY, known=known)
    assert told(sampler.matrix_at_once(asked)) == told(sampler.matrix(asked))


def test_windows_without_columns_are_one_matrix(sampler: Sampler) -> None:
    """Of each series, whichever window was asked for, until rows change: what is packed of it is found by that."""
    sampler.matrix(QUERY)

    def empty(series: Series, from_unix_ms: int) -> Matrix:
        soon = sampler.matrix_at_once(MatrixQuery(series, Window(from_unix_ms)))
        assert soon is not None
        return soon.matrix

    writes, reads = empty(Series.WRITES, 8_000_000), empty(Series.READS, 8_000_000)
    assert (writes.series, reads.series) == (Series.WRITES, Series.READS)
    assert empty(Series.WRITES, 9_000_000) is writes
    assert empty(Series.READS, 9_000_000) is reads
    sampler.replace_routes(remove=[2], add=[Route(3, b"m", b"", 1)])
    sampler.matrix(QUERY)
    assert empty(Series.WRITES, 9_000_000).catalogue is not writes.catalogue


@pytest.mark.usefixtures("idle")
def test_nothing_is_there_before_it_was_asked(sampler: Sampler) -> None:
    """Not of another series either."""
    assert sampler.matrix_at_once(QUERY) is None
    sampler.matrix(QUERY)
    assert sampler.matrix_at_once(replace(QUERY, series=Series.READS)) is None
    assert sampler.matrix_at_once(QUERY) is not None


def late(sampler: Sampler, clock: Clock) -> None:
    """An operation of the first window, and the close of that and of the open one; the clock is where it was then."""
    sampler.observe_many([1], [b"a"], [1], [5], at_unix_ms=[1_000_500])
    clock.now_s += 1
    sampler.tick()


CHANGES: dict[str, Callable[[Sampler, Clock], object]] = {
    "a window that is due": lambda _, clock: setattr(clock, "now_s", clock.now_s + 1),
    "a clock that went back": lambda _, clock: setattr(clock, "now_s", clock.now_s - 1),
    "another route": lambda sampler, _: sampler.replace_routes(remove=[2], add=[Route(3, b"m", b"", 1)]),
    "a new column": lambda sampler, _: sampler.advance_to(1_004_000),
    "an old column that is counted into": late,
}


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("name", CHANGES)
def test_after_a_change_it_is_made_anew(sampler: Sampler, clock: Clock, name: str) -> None:
    """And then it is there again, as it is now."""
    sampler.matrix(QUERY)
    assert sampler.matrix_at_once(QUERY) is not None
    CHANGES[name](sampler, clock)
    assert sampler.matrix_at_once(QUERY) is None
    assert told(sampler.matrix(QUERY)) == told(sampler.matrix_at_once(QUERY))


@pytest.mark.parametrize("name", CHANGES)
def test_how_it_stands_is_another_number_after_a_change(sampler: Sampler, clock: Clock, name: str) -> None:
    """Or it is not told, while the clock shows another window than the one that is open."""
    sampler.matrix(QUERY)
    before = sampler.standing()
    assert before is not None
    write(sampler)
    clock.now_s += 0.25
    sampler.tick()
    assert sampler.standing() == (before[0], before[1] + 250)
    CHANGES[name](sampler, clock)
    after = sampler.standing()
    assert after is None or after[0] > before[0]
    sampler.tick()
    told_again = sampler.standing()
    assert told_again is not None
    assert told_again[0] >= before[0]


@pytest.mark.parametrize("seed", range(20))
def test_while_it_stands_the_same_so_does_an_answer(sampler: Sampler, clock: Clock, seed: int) -> None:
    """Whatever is done to it, in any order; and no number comes again."""
    dice = random.Random(seed)
    steps: list[Callable[[], object]] = [
        lambda: write(sampler),
        lambda: sampler.observe(1, b"b", Op.READ, 1),
        lambda: setattr(clock, "now_s", clock.now_s + dice.choice((0.25, 1, 1, 3, -1))),
        sampler.tick,
        sampler.tidy,
        lambda: sampler.set_leader(1, dice.randint(1, 5), leader_node_id=dice.choice(("n1", "n2"))),
        lambda: sampler.replace_routes(remove=[2], add=[Route(2, b"m", dice.choice((b"", b"z")), dice.randint(1, 2))]),
        lambda: sampler.observe_many([1], [b"a"], [1], [5], at_unix_ms=[int(clock.now_s * 1000) - 1500]),
    ]
    known: dict[int, bytes] = {}
    last = 0
    for _ in range(200):
        dice.choice(steps)()
        standing = sampler.standing()
        if standing is None:
            continue
        assert standing[0] >= last
        last = standing[0]
        answer = sampler.matrix(QUERY)
        now = told(replace(answer, generated_at_unix_ms=0, outcomes=()))
        assert known.setdefault(last, now) == now
    assert len(known) > 20


@pytest.mark.usefixtures("idle")
def test_what_nobody_keeps_any_more_is_not_there(sampler: Sampler) -> None:
    """Questions keep no matrix alive."""
    sampler.matrix(QUERY)
    assert sampler.matrix_at_once(QUERY) is not None
    sampler._assembled.clear()
    assert sampler.matrix_at_once(QUERY) is None


def close_one(sampler: Sampler, clock: Clock) -> None:
    """One more window, with operations."""
    write(sampler)
    clock.now_s += 1
    sampler.tick()


def test_few_new_columns_are_read_at_once(sampler: Sampler, clock: Clock) -> None:
    """And it is what the other way gives: the ring holds three columns before, and up to eight later."""
    sampler.matrix(QUERY)
    for _ in range(8):
        close_one(sampler, clock)
        soon = told(sampler.matrix_at_once(QUERY))
        sampler._assembled.clear()
        assert soon == told(sampler.matrix(QUERY))


def test_more_than_a_few_columns_are_not(sampler: Sampler, clock: Clock) -> None:
    """Also where there is nothing to go on from."""
    sampler.matrix(QUERY)
    for _ in range(assembled.MADE_AT_ONCE_COLUMNS + 1):
        close_one(sampler, clock)
    assert sampler.matrix_at_once(QUERY) is None
    sampler._assembled.clear()
    assert sampler.matrix_at_once(QUERY) is None
    few = replace(QUERY, window=Window(int(clock.now_s) * 1000 - 1000))
    assert told(sampler.matrix_at_once(few)) == told(sampler.matrix(few))


@pytest.mark.parametrize(
    ("bound", "most", "there"),
    [("CELLS", 8, True), ("CELLS", 7, False), ("IDENTITIES", 3, True), ("IDENTITIES", 2, False)],
)
def test_of_much_nothing_is_made_at_once(
    sampler: Sampler, clock: Clock, bound: str, *, most: int, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows of four columns, of which three are there, under one group in two terms, and what nobody leads."""
    monkeypatch.setattr(assembled, f"MADE_AT_ONCE_{bound}", most)
    sampler.matrix(QUERY)
    sampler.set_leader(1, 4)
    close_one(sampler, clock)
    assert (sampler.matrix_at_once(QUERY) is not None) == there


@pytest.mark.parametrize("shares", [4, 3])
def test_of_many_shares_nothing_is_made_at_once(
    sampler: Sampler, clock: Clock, shares: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two leaders write to each of two routes in a window; in the next one nobody does, and theirs are carried on."""
    monkeypatch.setattr(assembled, "MADE_AT_ONCE_SHARES", shares)
    sampler.matrix(QUERY)
    sampler.set_leader(1, 4)
    close_one(sampler, clock)
    soon = sampler.matrix_at_once(QUERY)
    assert (soon is not None) == (shares == 4)
    assert len(sampler.matrix(QUERY).matrix.shares) == 4
    close_one(sampler, clock)
    assert (sampler.matrix_at_once(QUERY) is not None) == (shares == 4)


def test_packed_columns_are_not_unpacked_for_it(
    sampler: Sampler, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few of them stand in a block of many."""
    for _ in range(4):
        close_one(sampler, clock)
    sampler.matrix(QUERY)
    old = replace(QUERY, window=Window(0, 1_002_001))
    monkeypatch.setattr(ring, "BLOCK_COLUMNS", 2)
    sampler.tidy()
    sampler._assembled.clear()
    assert sampler.matrix_at_once(old) is None
    assert sampler.matrix(old).matrix.shape == (2, 2)


@pytest.mark.parametrize("query", [replace(QUERY, rows=1), replace(QUERY, bucket_ids=("route:1",))])
def test_what_has_to_be_folded_or_chosen_is_not(sampler: Sampler, query: MatrixQuery) -> None:
    """It is work each time."""
    sampler.matrix(query)
    assert sampler.matrix_at_once(query) is None


def test_it_waits_for_nobody(sampler: Sampler) -> None:
    """While another thread holds the sampler there is nothing new to be had, but how it stands is told."""
    sampler.matrix(QUERY)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with sampler._lock:
            held.set()
            done.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)
    assert sampler.matrix_at_once(QUERY) is None
    assert sampler.standing() is not None
    done.set()
    other.join()
    assert sampler.matrix_at_once(QUERY) is not None


def test_asking_counts_nothing_of_the_open_window(sampler: Sampler) -> None:
    """So that it costs the same however much is observed; every operation is there when its window closes."""
    drains = sampler.stats().drains
    for _ in range(100):
        write(sampler)
        sampler.matrix(QUERY)
    assert sampler.stats().drains == drains
    sampler.advance_to(1_004_000)
    assert sampler.matrix(QUERY).matrix.values.tolist() == [[1, 1, 1, 101], [1, 1, 1, 101]]


def test_rows_of_several_slots_are_not_put_together_at_once(sampler: Sampler) -> None:
    """That is done row by row, and takes longer than all cells."""
    snapshot = sampler._snapshot(QUERY)
    layout, made = snapshot.state.layout, assembled.Assembled()
    rows = Catalogue(snapshot.rows.rows[:1])
    state = replace(snapshot.state, layout=Layout(layout.slots, layout.starts[:1]))
    assert made.at_once(QUERY.series, snapshot.held, state, rows) is None
    assert made.matrix(QUERY.series, snapshot.held, state, rows).values.tolist() == [[2, 2, 2]]
    assert made.at_once(QUERY.series, snapshot.held, snapshot.state, snapshot.rows) is not None
