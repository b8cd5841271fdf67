"""Nothing is lost, doubled or mixed up: every change at once under threads, aggregates, estimates over many seeds."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.model import Row, Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler
from tests.unit.sampler.clocks import Clock

THREADS, EACH = 6, 3000
WHOLE = Route(1, b"", b"m", 1)
HALVES = (Route(1, b"", b"g", 1), Route(3, b"g", b"m", 1))
OTHER = Route(2, b"m", b"", 2)
HOUR_S = 3600.0
START_S = 100_000.5


def changes(sampler: Sampler, clock: Clock) -> list[Callable[[], None]]:
    """All that can happen around an operation, in turn."""

    def move_clock(by_s: float) -> None:
        clock.now_s += by_s
        sampler.tick()

    return [
        lambda: sampler.replace_routes(remove=[], add=HALVES),
        lambda: move_clock(0.4),
        lambda: sampler.replace_routes(remove=[3], add=[WHOLE]),
        lambda: sampler.set_leader(1, int(clock.now_s) + 1, leader_node_id="n1"),
        lambda: sampler.remove_routes([2]),
        lambda: move_clock(HOUR_S),
        lambda: sampler.register_routes([OTHER]),
        lambda: sampler.register_routes([Route(2, b"m", b"", 3, slices=4)]),
        lambda: move_clock(-HOUR_S - 2),
        lambda: sampler.register_routes([OTHER]),
        lambda: move_clock(1.3),
    ]


def counted() -> Counter[Series]:
    """What the threads count in all."""
    truth: Counter[Series] = Counter()
    for index in range(THREADS):
        for number in range(EACH):
            if number % 50 == index:
                truth.update({Series.WRITES: 2, Series.READS: 1, Series.WRITE_BYTES: 12, Series.READ_BYTES: 6})
            elif number % 3:
                truth.update({Series.WRITES: 1, Series.WRITE_BYTES: 10})
            else:
                truth.update({Series.READS: 1, Series.READ_BYTES: 10})
    return truth


@pytest.fixture
def often() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual, so that changes fall between any two operations."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 1000)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("often")
def test_every_change_at_once_under_threads_loses_and_doubles_nothing() -> None:
    """Splits, merges, removals, elections, moves, slices and a clock an hour to and fro, while six threads count."""
    clock = Clock(START_S)
    start = threading.Barrier(THREADS + 1)

    def work(sampler: Sampler, index: int) -> None:
        start.wait()
        for number in range(EACH):
            route_id, key = ((1, b"h"), (2, b"t"))[number % 2]
            if number % 50 == index:
                sampler.observe_many([route_id] * 3, [key] * 3, [1, 0, 1], [4, 5, 6])
            else:
                sampler.observe(route_id, key, Op.WRITE if number % 3 else Op.READ, 9)

    with Sampler(node_id="n1", step_ms=1000, clock=clock, columns=5000) as sampler:
        sampler.register_routes([WHOLE, OTHER])
        sampler.replace_routes(remove=[], add=HALVES)
        running = [threading.Thread(target=work, args=(sampler, index)) for index in range(THREADS)]
        for thread in running:
            thread.start()
        start.wait()
        around = changes(sampler, clock)
        turns = 0
        while turns < 3 * len(around) or any(thread.is_alive() for thread in running):
            around[turns % len(around)]()
            turns += 1
        clock.now_s += 2 * HOUR_S
        truth = counted()
        for series in Series:
            matrix = sampler.matrix(MatrixQuery(series)).matrix
            assert all(left < right for left, right in pairwise(matrix.columns.tolist()))
            assert int(matrix.values.sum()) == truth[series], series


def catalogue(sampler: Sampler) -> tuple[Row, ...]:
    """The rows that a node shows."""
    return sampler.matrix(MatrixQuery()).matrix.catalogue.rows


@pytest.mark.parametrize("seed", range(20))
def test_aggregates_hold_one_group_and_are_named_by_their_range(seed: int) -> None:
    """Whatever the groups: each aggregate is of one, its id follows from its range, and no route is in two."""
    rng = np.random.default_rng(seed)
    cuts = [b"", *[b"%03d" % number for number in range(1, 40)], b""]
    groups = np.sort(rng.integers(1, 6, 40)) if seed % 2 else rng.integers(1, 6, 40)
    routes = [Route(n + 1, cuts[n], cuts[n + 1], int(groups[n])) for n in range(40)]
    order = rng.permutation(40).tolist()
    limit = int(rng.integers(1, 30))
    at_once, one_by_one = (
        Sampler(node_id=name, step_ms=1000, clock=Clock(START_S), max_tracked_routes=limit) for name in ("a", "b")
    )
    with at_once, one_by_one:
        at_once.register_routes([routes[n] for n in order])
        for number in order:
            one_by_one.register_routes([routes[number]])
            catalogue(one_by_one)
        rows = catalogue(at_once)
        assert catalogue(one_by_one) == rows
    held: list[int] = []
    for row in rows:
        if not row.aggregate:
            held.append(int(row.bucket_id.removeprefix("route:")))
            continue
        held += row.route_ids
        of = {routes[route_id - 1].raft_group_id for route_id in row.route_ids}
        assert len(of) == 1
        assert row.bucket_id == aggregate_id(row.start, row.end, of.pop())
        assert row.start == min(routes[route_id - 1].start for route_id in row.route_ids)
    assert sorted(held) == list(range(1, 41))


def estimates(seed: int, one_in: int) -> tuple[int, int, int]:
    """Of cells of all sizes around the limit: how many are not soft, how many of those are over 5 % off, how many."""
    rng = np.random.default_rng([seed, one_in])
    truth = rng.integers(200, 3000 * (one_in - 1), 60)
    ids = np.repeat(np.arange(1, 61), truth)
    sizes = rng.integers(1, 100, len(ids))
    keys = PackedKeys(np.zeros(0, np.uint8), np.zeros(len(ids) + 1, np.int64))
    clock = Clock(START_S)
    hard = wrong = 0
    with Sampler(node_id="n1", step_ms=1000, clock=clock, sample_one_in=one_in) as sampler:
        sampler.register_routes([Route(n, b"%03d" % n, b"%03d" % (n + 1), 1) for n in range(1, 61)])
        sampler.observe_many(ids, keys, np.zeros(len(ids), np.uint8), sizes)
        clock.now_s += 0.5
        for series, exact in ((Series.READS, truth), (Series.READ_BYTES, np.bincount(ids, weights=sizes)[1:])):
            matrix = sampler.matrix(MatrixQuery(series)).matrix
            assert matrix.soft is not None
            firm = ~matrix.soft[:, 0]
            off = np.abs(matrix.values[:, 0].astype(np.float64) - exact) > 0.05 * exact
            hard += int(firm.sum())
            wrong += int((firm & off).sum())
    return hard, wrong, 120


@pytest.mark.parametrize("one_in", [2, 4, 10])
def test_over_many_seeds_estimates_that_are_not_soft_are_within_5_percent_at_95(one_in: int) -> None:
    """Of counts and bytes that claim it, at most one in twenty is further off; and a good part does claim it."""
    found = np.array([estimates(seed, one_in) for seed in range(25)]).sum(axis=0)
    hard, wrong, cells = found.tolist()
    assert 0.2 * cells < hard < 0.95 * cells
    assert wrong <= 0.05 * hard


def test_sums_beyond_what_a_float_holds_are_exact() -> None:
    """Bytes of one window up to 64 bits, in one batch and in single operations; every one of them is there."""
    clock, odd, times = Clock(START_S), (1 << 33) - 2, (1 << 21) + 1
    with Sampler(node_id="n1", step_ms=1000, clock=clock, slices=2) as sampler:
        sampler.register_routes([Route(1, b"", b"")])
        keys = PackedKeys(np.frombuffer(b"\x01" * times, np.uint8), np.arange(times + 1))
        sampler.observe_many(np.ones(times), keys, np.ones(times, np.uint8), np.full(times, odd))
        for _ in range(3):
            sampler.observe(1, b"\x01", Op.WRITE, odd)
        clock.now_s += 1
        matrix = sampler.matrix(MatrixQuery(Series.WRITE_BYTES)).matrix
    assert matrix.values[:, 0].tolist() == [(times + 3) * (odd + 1), 0]
    assert (times + 3) * (odd + 1) > 1 << 53


def test_an_operation_that_comes_while_a_window_ends_counts_in_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded after the rest was counted and before its window closes, as another thread may do at any moment."""
    clock = Clock(1000.5)
    with Sampler(node_id="n1", step_ms=1000, clock=clock, stall_s=60, drain_interval_s=HOUR_S) as sampler:
        sampler.register_routes([WHOLE])
        sampler.observe(1, b"a", Op.READ, 1)
        intake = sampler._counting.intake
        drain = type(intake).drain

        def interrupted(*args: object, **more: object) -> None:
            drain(intake, *args[1:], **more)  # type: ignore[arg-type]
            monkeypatch.undo()
            sampler.observe(1, b"b", Op.READ, 1)
            clock.now_s += 1

        monkeypatch.setattr(type(intake), "drain", interrupted)
        sampler.tick()
        clock.now_s += 1
        answer = sampler.matrix(MatrixQuery(Series.READS)).matrix
    assert (answer.columns.tolist(), answer.values.tolist()) == ([1_001_000, 1_002_000], [[2, 0]])
