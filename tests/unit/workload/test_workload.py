"""The synthetic traffic: the same everywhere for a seed, split without loss, and with something of everything in it."""

from __future__ import annotations

import itertools
from bisect import bisect_right

import numpy as np
import pytest

from keyviz_grpc.errors import SettingError
from keyviz_grpc.merge import merge
from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Sampler
from keyviz_grpc.workload import TICK_MS, Keyspace, Traffic, WorkloadFeed
from keyviz_grpc.workload.keyspace import GROUPS, SPLIT_PERIOD_MS

START_MS = 1_767_225_600_000
NODES = ["n1", "n2", "n3"]


def test_the_same_seed_gives_the_same_traffic() -> None:
    """Two nodes that never talk agree on every operation; another seed gives other traffic."""
    tick = START_MS // TICK_MS
    one, two, other = (Traffic(seed, nodes=3, rate=4000).operations(tick) for seed in (7, 7, 8))
    for name in ("route_ids", "key_numbers", "writes", "value_bytes", "labelled", "at_unix_ms", "owners"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.key_numbers[:100], other.key_numbers[:100])


def test_operations_lie_in_their_tick() -> None:
    """Moments, owners and sizes are within bounds, and the rate is about what was asked for."""
    traffic = Traffic(1, nodes=3, rate=4000)
    ticks = [traffic.operations(START_MS // TICK_MS + n) for n in range(600)]
    for number, tick in enumerate(ticks):
        start_ms = START_MS + number * TICK_MS
        assert np.all((start_ms <= tick.at_unix_ms) & (tick.at_unix_ms < start_ms + TICK_MS))
        assert set(tick.owners.tolist()) <= {0, 1, 2}
        assert np.all(tick.value_bytes >= 0)
    assert sum(len(tick.writes) for tick in ticks) / 300 == pytest.approx(4000, rel=0.05)


def test_keys_are_unique_ascending_and_on_their_routes() -> None:
    """Routes cover the key space without gap or overlap at every moment, and every key counts on its own route."""
    keyspace = Keyspace(3, nodes=3)
    assert keyspace.keys == sorted(set(keyspace.keys))
    numbers = np.arange(len(keyspace.keys))
    for moment in (START_MS, START_MS + SPLIT_PERIOD_MS // 2):
        routes = keyspace.routes_at(moment)
        assert routes[0].start == routes[-1].end == b""
        assert all(left.end == right.start for left, right in itertools.pairwise(routes))
        starts = [route.start for route in routes]
        expected = [routes[bisect_right(starts, key) - 1].route_id for key in keyspace.keys]
        assert keyspace.route_ids(numbers, moment).tolist() == expected


@pytest.mark.parametrize("slices", [4, 16])
def test_slices_hold_as_many_keys_each(slices: int) -> None:
    """Whole routes and halves, text or binary: with every key observed once, slices differ by one at most."""
    keyspace = Keyspace(3, nodes=3, slices=slices)
    moment = START_MS + SPLIT_PERIOD_MS // 2
    assert keyspace.split_at(moment) is not None
    ids = keyspace.route_ids(np.arange(len(keyspace.keys)), moment)
    ones = np.ones(len(ids), np.int64)
    with Sampler(node_id="n1", clock=lambda: START_MS / 1000, slices=slices) as sampler:
        sampler.register_routes(keyspace.routes_at(moment))
        sampler.observe_many(ids, keyspace.keys, ones, ones)
        sampler.advance_to(START_MS + 60_000)
        matrix = sampler.matrix(MatrixQuery()).matrix
    counts: dict[str, list[int]] = {}
    for row, values in zip(matrix.catalogue.rows, matrix.values, strict=True):
        counts.setdefault(row.bucket_id.split("#")[0], []).append(int(values.sum()))
    assert len(counts) == 45
    for route, found in counts.items():
        assert len(found) == slices, route
        assert max(found) - min(found) <= 1, (route, found)
    assert sum(map(sum, counts.values())) == len(keyspace.keys)


def test_a_route_is_split_and_merged_again() -> None:
    """Half of the time one route is two."""
    keyspace = Keyspace(3, nodes=3)
    period = START_MS // SPLIT_PERIOD_MS * SPLIT_PERIOD_MS
    assert len(keyspace.routes_at(period)) == 44
    assert len(keyspace.routes_at(period + SPLIT_PERIOD_MS // 2)) == 45
    assert len(keyspace.routes_at(period + SPLIT_PERIOD_MS)) == 44


def test_terms_rise_and_leaders_change() -> None:
    """Every group flips within five minutes, its terms never fall, and a term has one leader."""
    keyspace = Keyspace(3, nodes=3)
    for group in range(1, GROUPS + 1):
        seen = [keyspace.leader_at(group, START_MS + second * 1000) for second in range(0, 600, 5)]
        terms = [term for term, _ in seen]
        assert terms == sorted(terms)
        assert len(set(terms)) >= 2
        assert len(set(seen)) == len(set(terms))
    assert len({keyspace.leader_at(group, START_MS)[1] for group in range(1, GROUPS + 1)}) == 3


def fed(nodes: list[str], minutes: int) -> list[Sampler]:
    """One sampler a node after some minutes."""
    traffic = Traffic(7, nodes=len(nodes), rate=300)
    samplers = []
    for index, node_id in enumerate(nodes):
        feed = WorkloadFeed(traffic, node_index=index, node_ids=nodes, start_unix_ms=START_MS)
        sampler = Sampler(node_id=node_id, step_ms=1000, clock=feed.clock)
        feed.start(sampler)
        feed.advance(sampler, START_MS + minutes * 60_000)
        samplers.append(sampler)
    return samplers


def test_three_nodes_count_everything_once() -> None:
    """Every operation is on exactly one node, no cell conflicts, and some windows hold several shares."""
    traffic = Traffic(7, nodes=3, rate=300)
    ticks = [traffic.operations(START_MS // TICK_MS + n) for n in range(5 * 120)]
    samplers = fed(NODES, 5)
    for series, is_write in ((Series.READS, 0), (Series.WRITES, 1)):
        query = MatrixQuery(series=series)
        merged = merge([sampler.matrix(query) for sampler in samplers], query=query, now_unix_ms=START_MS)
        truth = [sum(int((ticks[2 * n + half].writes == is_write).sum()) for half in (0, 1)) for n in range(300)]
        assert merged.matrix.values.sum(axis=0).tolist() == truth
        assert merged.matrix.conflicts is None or not merged.matrix.conflicts.any()
        assert (len(merged.matrix.shares) > 0) is series.is_write
    labels = {row.label for row in merged.matrix.catalogue.rows}
    assert {"", "checkout", "login"} <= labels
    for sampler in samplers:
        sampler.close()


def test_a_suspended_process_leaves_a_gap() -> None:
    """Windows that were skipped are absent, not zero."""
    feed = WorkloadFeed(Traffic(7, nodes=1, rate=50), node_index=0, node_ids=["n1"], start_unix_ms=START_MS)
    with Sampler(node_id="n1", step_ms=1000, clock=feed.clock) as sampler:
        feed.start(sampler)
        feed.advance(sampler, START_MS + 2000)
        feed.skip_to(START_MS + 60_000)
        feed.advance(sampler, START_MS + 62_000)
        columns = sampler.matrix(MatrixQuery()).matrix.columns
        assert (columns - START_MS).tolist() == [1000, 2000, 3000, 61_000, 62_000]


@pytest.mark.parametrize(("index", "node_ids"), [(3, NODES), (-1, NODES), (0, ["n1"])])
def test_a_feed_refuses_an_index_that_is_no_node(index: int, node_ids: list[str]) -> None:
    """The index must be one of the nodes that the traffic is made for."""
    with pytest.raises(SettingError, match="node index"):
        WorkloadFeed(Traffic(7, nodes=3, rate=50), node_index=index, node_ids=node_ids, start_unix_ms=START_MS)
