"""The sampler: exact under threads, across closes and flips; windows by the wall clock; rows that tell history."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from keyviz_grpc.errors import HotKeysDisabled, InvalidRequest, UnknownRoute
from keyviz_grpc.hotkeys import HotKeysQuery
from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler
from keyviz_grpc.sampler.path import SPARE
from tests.unit.sampler.clocks import Clock

LOW, HIGH = Route(1, b"", b"m", 1), Route(2, b"m", b"", 2)


@pytest.fixture
def clock() -> Clock:
    """Half a second into the window of 1001 s."""
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Iterator[Callable[..., Sampler]]:
    """Samplers with a step of one second and two routes, closed afterwards."""
    made: list[Sampler] = []

    def build(**settings: object) -> Sampler:
        sampler = Sampler(node_id="n1", step_ms=1000, clock=clock, **settings)  # type: ignore[arg-type]
        sampler.register_routes([LOW, HIGH])
        made.append(sampler)
        return sampler

    yield build
    for sampler in made:
        sampler.close()


def values(sampler: Sampler, series: Series = Series.WRITES) -> dict[str, list[int]]:
    """Row values by bucket id."""
    matrix = sampler.matrix(MatrixQuery(series)).matrix
    return {row.bucket_id: matrix.values[number].tolist() for number, row in enumerate(matrix.catalogue.rows)}


def stamps(sampler: Sampler) -> list[int]:
    """Column stamps."""
    return [int(stamp) for stamp in sampler.matrix(MatrixQuery()).matrix.columns]


def test_counts_and_bytes_of_reads_and_writes(make: Callable[..., Sampler], clock: Clock) -> None:
    """Bytes are key plus value; a labelled operation counts in its labelled bucket only."""
    sampler = make()
    sampler.observe(1, b"abc", Op.WRITE, 10)
    sampler.observe(1, b"abc", Op.READ, 7)
    sampler.observe(1, b"abc", Op.READ, 7, label="cache")
    clock.now_s = 1001.0
    assert values(sampler) == {"route:1": [1], "route:1:cache": [0], "route:2": [0]}
    assert values(sampler, Series.WRITE_BYTES)["route:1"] == [13]
    assert values(sampler, Series.READS) == {"route:1": [1], "route:1:cache": [1], "route:2": [0]}
    assert values(sampler, Series.READ_BYTES)["route:1:cache"] == [10]


def test_the_open_window_is_not_shown(make: Callable[..., Sampler]) -> None:
    """Only closed windows are served."""
    sampler = make()
    sampler.observe(1, b"a", Op.WRITE, 1)
    assert stamps(sampler) == []


def test_a_flip_keeps_the_old_term_for_what_was_counted_before(make: Callable[..., Sampler], clock: Clock) -> None:
    """One window, two shares; the shown identity is that of the larger."""
    sampler = make()
    sampler.set_leader(1, 7)
    sampler.observe(1, b"a", Op.WRITE, 1)
    sampler.set_leader(1, 8)
    sampler.observe(1, b"a", Op.WRITE, 1)
    sampler.observe(1, b"a", Op.WRITE, 1)
    clock.now_s = 1001.0
    matrix = sampler.matrix(MatrixQuery()).matrix
    assert matrix.identities[matrix.shares.codes].tolist() == [[1, 7], [1, 8]]
    assert matrix.shares.values.tolist() == [1, 2]
    arrays = matrix.identity_arrays()
    assert arrays is not None
    assert (int(arrays[0][0, 0]), int(arrays[1][0, 0])) == (1, 8)


def test_nothing_is_lost_or_doubled_by_threads_closes_and_flips(make: Callable[..., Sampler], clock: Clock) -> None:
    """Eight threads count while windows close and leaders change under them."""
    sampler = make()
    each, threads = 5000, 8
    start = threading.Barrier(threads + 1)

    def work() -> None:
        start.wait()
        for number in range(each):
            sampler.observe(1 + number % 2, b"k", Op.WRITE if number % 3 else Op.READ, 9)

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    start.wait()
    term = 0
    while any(thread.is_alive() for thread in running):
        term += 1
        sampler.set_leader(1 + term % 2, term)
        clock.now_s += 0.3
        sampler.tick()
    clock.now_s += 1.0
    totals = {series: sum(map(sum, values(sampler, series).values())) for series in Series}
    writes = threads * sum(1 for number in range(each) if number % 3)
    assert totals[Series.WRITES] == writes
    assert totals[Series.WRITE_BYTES] == 10 * writes
    assert totals[Series.READS] == threads * each - writes
    assert totals[Series.READ_BYTES] == 10 * (threads * each - writes)


def test_an_idle_window_is_zeros_and_a_slept_one_is_absent(make: Callable[..., Sampler], clock: Clock) -> None:
    """advance_to says that the process ran; a jump of the clock alone says that it did not."""
    sampler = make()
    sampler.advance_to(1_003_200)
    clock.now_s = 1003.2
    assert stamps(sampler) == [1_001_000, 1_002_000, 1_003_000]
    clock.now_s = 1010.5
    assert stamps(sampler) == [1_001_000, 1_002_000, 1_003_000, 1_004_000]


def test_a_clock_that_goes_back_an_hour_loses_and_doubles_nothing(make: Callable[..., Sampler], clock: Clock) -> None:
    """The window of that moment is opened again, and added to the column that is there."""
    sampler = make()
    sampler.observe(1, b"a", Op.WRITE, 1)
    clock.now_s = 4600.5
    sampler.observe(1, b"a", Op.WRITE, 1)
    clock.now_s = 1000.6
    sampler.observe(1, b"a", Op.WRITE, 1)
    clock.now_s = 4601.0
    assert stamps(sampler) == [1_001_000, 4_601_000]
    assert values(sampler)["route:1"] == [2, 1]
    assert sampler.matrix(MatrixQuery()).revision == 1


def test_the_ring_holds_so_many_columns(make: Callable[..., Sampler], clock: Clock) -> None:
    """The oldest give way, and the answer says what is still held."""
    sampler = make(columns=3)
    sampler.advance_to(1_010_000)
    clock.now_s = 1010.0
    assert stamps(sampler) == [1_008_000, 1_009_000, 1_010_000]
    assert sampler.matrix(MatrixQuery()).oldest_unix_ms == 1_008_000


def test_a_split_keeps_history_under_the_old_range(make: Callable[..., Sampler], clock: Clock) -> None:
    """The id goes on with its new range; what was counted before shows as an aggregate of the old one."""
    sampler = make()
    sampler.observe(1, b"a", Op.WRITE, 1)
    sampler.replace_routes(remove=[], add=[Route(1, b"", b"g", 1), Route(3, b"g", b"m", 1)])
    sampler.observe(1, b"a", Op.WRITE, 1)
    sampler.observe(3, b"h", Op.WRITE, 1)
    clock.now_s = 1001.0
    rows = sampler.matrix(MatrixQuery()).matrix.catalogue.rows
    assert [(row.start, row.end, row.aggregate) for row in rows] == [
        (b"", b"g", False),
        (b"", b"m", True),
        (b"g", b"m", False),
        (b"m", b"", False),
    ]
    assert sum(map(sum, values(sampler).values())) == 3


def test_a_removed_route_still_counts_and_shows_its_history(make: Callable[..., Sampler], clock: Clock) -> None:
    """An operation that races the removal is not lost."""
    sampler = make()
    sampler.remove_routes([2])
    sampler.observe(2, b"z", Op.WRITE, 1)
    clock.now_s = 1001.0
    assert values(sampler)["route:2"] == [1]


def test_routes_past_the_limit_fold_into_aggregates_of_one_group(make: Callable[..., Sampler], clock: Clock) -> None:
    """Neighbours of the same group share a bucket, whose id other nodes derive alike."""
    cut = [b"", *[b"%03d" % number for number in range(1, 10)], b""]
    routes = [Route(number + 10, cut[number], cut[number + 1], 1 + number // 5) for number in range(10)]
    samplers = [Sampler(node_id=name, step_ms=1000, clock=clock, max_tracked_routes=2) for name in ("a", "b")]
    for sampler in samplers:
        sampler.register_routes(routes)
        for route in routes:
            sampler.observe(route.route_id, b"k", Op.WRITE, 1)
    clock.now_s = 1001.0
    found = [sampler.matrix(MatrixQuery()).matrix for sampler in samplers]
    assert found[0].catalogue == found[1].catalogue
    assert [row.route_ids for row in found[0].catalogue.rows] == [(), (), (12, 13, 14), (15, 16, 17, 18, 19)]
    assert found[0].values.tolist() == [[1], [1], [3], [5]]
    for sampler in samplers:
        sampler.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("route_ids", 1),
        ("route_ids", [-1, 1]),
        ("keys", None),
        ("ops", Op.READ),
        ("ops", [None, 0]),
        ("value_sizes", [[1, 2]]),
        ("at_unix_ms", ["x", 1]),
        ("labels", 5),
    ],
)
def test_what_is_no_batch_is_refused_by_name(make: Callable[..., Sampler], name: str, value: Any) -> None:
    """One value where many are due, or one that is no number, as much as a wrong number."""
    batch: dict[str, Any] = {"route_ids": [1, 1], "keys": [b"a", b"b"], "ops": [0, 1], "value_sizes": [1, 2]}
    with pytest.raises(InvalidRequest) as refused:
        make().observe_many(**batch | {name: value})
    assert refused.value.field == name


def test_a_batch_counts_as_its_operations_would(make: Callable[..., Sampler], clock: Clock) -> None:
    """Arrays and packed keys, with moments of their own."""
    sampler = make()
    keys = PackedKeys(np.zeros(6, np.uint8), np.array([0, 1, 3, 6]))
    at = np.array([1_000_100, 1_001_100, 1_001_200])
    sampler.observe_many([1, 2, 2], keys, np.array([1, 1, 0]), [10, 20, 30], at_unix_ms=at)
    sampler.advance_to(1_002_000)
    clock.now_s = 1002.0
    assert values(sampler) == {"route:1": [1, 0], "route:2": [0, 1]}
    assert values(sampler, Series.WRITE_BYTES) == {"route:1": [11, 0], "route:2": [0, 22]}
    assert values(sampler, Series.READ_BYTES)["route:2"] == [0, 33]


@pytest.mark.parametrize("seed", range(5))
def test_estimates_that_are_not_soft_keep_their_promise(seed: int, clock: Clock) -> None:
    """Of cells that claim +-5 % at 95 %, no more than about 5 % are further off."""
    rng = np.random.default_rng(seed)
    count, wrong, hard = 400, 0, 0
    clock.now_s = 1000.5
    sampler = Sampler(node_id="n1", step_ms=1000, clock=clock, sample_one_in=4)
    sampler.register_routes([Route(number, b"%04d" % number, b"%04d" % (number + 1), 1) for number in range(1, count)])
    truth = rng.integers(1, 12_000, count - 1)
    ids = np.repeat(np.arange(1, count), truth)
    keys = PackedKeys(np.zeros(0, np.uint8), np.zeros(len(ids) + 1, np.int64))
    sampler.observe_many(ids, keys, np.ones(len(ids), np.uint8), np.ones(len(ids), np.int64))
    clock.now_s = 1001.0
    matrix = sampler.matrix(MatrixQuery()).matrix
    assert matrix.soft is not None
    for number, true in enumerate(truth.tolist()):
        if not matrix.soft[number, 0]:
            hard += 1
            wrong += abs(int(matrix.values[number, 0]) - true) > 0.05 * true
    sampler.close()
    assert hard > 50
    assert wrong <= 0.08 * hard


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, "text", Op.READ, 1), ["key", "text"]),
        ((1, b"k", "read", 1), ["op", "read"]),
        ((1, b"k", Op.READ, -1), ["value_size", "-1"]),
    ],
)
def test_bad_operations_name_the_argument(
    make: Callable[..., Sampler], arguments: tuple[int, bytes, Op, int], words: list[str]
) -> None:
    """And nothing is counted."""
    with pytest.raises(InvalidRequest) as refused:
        make().observe(*arguments)
    assert all(word in str(refused.value) for word in words)


def test_unknown_routes_and_bad_labels_are_refused(make: Callable[..., Sampler]) -> None:
    """By name."""
    sampler = make()
    with pytest.raises(UnknownRoute, match="route_id=9"):
        sampler.observe(9, b"k", Op.READ, 1)
    with pytest.raises(InvalidRequest, match="label='a b'"):
        sampler.observe(1, b"k", Op.READ, 1, label="a b")


def test_labels_past_the_limit_are_counted_and_not_remembered_for_ever(
    make: Callable[..., Sampler], clock: Clock
) -> None:
    """Any number of them takes no memory that grows, reads and writes alike."""
    sampler = make(max_tracked_routes=2)
    for number in range(5000):
        for op in Op:
            sampler.observe(1, b"k", op, 1, label=f"l{number}")
    path = sampler._hot_path
    assert max(len(path._reads), len(path._writes)) <= SPARE + 8
    clock.now_s += 1
    assert sum(sum(row) for row in values(sampler).values()) == 5000


def test_a_sampler_records_no_keys_unless_told_to(make: Callable[..., Sampler]) -> None:
    """They are user keys: whoever does not ask for them has none, wherever the sampler runs."""
    sampler = make()
    assert sampler.stats().hot_keys is None
    with pytest.raises(HotKeysDisabled, match="off by default"):
        sampler.hot_keys(HotKeysQuery(1))
