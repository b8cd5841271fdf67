"""The plan of a replay, on traces small enough to work out by hand, and what a sampler holds after it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from keyviz_grpc.errors import SettingError
from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.replay import (
    Feed,
    LeaderChange,
    Leadership,
    LeadershipRow,
    RouteMove,
    Trace,
    plan_replay,
    read_leadership,
    read_trace,
)
from keyviz_grpc.replay.plan import quantile_cuts
from keyviz_grpc.sampler import Route, Sampler

STEP_MS = 10_000
START_MS = 1_700_000_000_000


def trace_of(*operations: tuple[float, str, bytes]) -> Trace:
    """A trace of (time_s, op, key), every value 100 bytes."""
    return Trace(
        Path("trace.csv"),
        np.array([round(time_s * 1000) for time_s, _, _ in operations], np.int64),
        np.array([op == "write" for _, op, _ in operations], np.uint8),
        [key for _, _, key in operations],
        np.full(len(operations), 100, np.int64),
    )


def leadership_of(*rows: tuple[float, int, int, int]) -> Leadership:
    """Leadership of (time_s, group, leader, term)."""
    return Leadership(Path("l.csv"), tuple(LeadershipRow(round(at * 1000), *rest) for at, *rest in rows))


@pytest.mark.parametrize(
    ("keys", "parts", "cuts"),
    [
        (b"abcdef", 3, b"ce"),
        (b"fedcba", 3, b"ce"),
        (b"abcde", 2, b"c"),
        (b"aaaaaabc", 3, b"bc"),
        (b"abcccccc", 3, b"bc"),
        (b"abc", 1, b""),
    ],
)
def test_cuts_are_quantiles_and_distinct(keys: bytes, parts: int, cuts: bytes) -> None:
    """Cut i is the key at index i * n // parts, moved on where a hot key would be cut twice."""
    assert quantile_cuts([bytes([key]) for key in keys], parts) == [bytes([cut]) for cut in cuts]


def test_too_few_keys_still_give_every_route_a_range() -> None:
    """Cuts that the trace has no keys for lie above its largest key."""
    assert quantile_cuts([b"a", b"a"], 4) == [b"a\x00", b"a\x00\x00", b"a\x00\x00\x00"]


def test_routes_cover_the_key_space_and_take_groups_in_order() -> None:
    """Ids from 1 in key order; groups by first row, those before the first end only."""
    leadership = leadership_of((0, 7, 0, 1), (0, 5, 1, 1), (4, 7, -1, 1), (5, 9, 0, 1))
    plan = plan_replay(trace_of((0, "write", b"a"), (10, "write", b"b")), leadership, nodes=2)
    assert plan.routes == (Route(1, b"", b"b", 7), Route(2, b"b", b"", 5))


def test_a_route_moves_when_its_group_is_gone() -> None:
    """It goes to the next new group at that moment of the scaled clock; without one left it stays."""
    leadership = leadership_of((0, 7, 0, 1), (0, 5, 1, 1), (2, 5, -1, 1), (3, 7, -1, 1), (4, 9, 2, 6), (5, 9, 0, 7))
    trace = trace_of((0, "write", b"a"), (3.9, "write", b"b"), (4, "write", b"b"), (10, "write", b"b"))
    plan = plan_replay(trace, leadership, nodes=3)
    moves = [change for change in plan.changes if isinstance(change, RouteMove)]
    assert moves == [RouteMove(4000, Route(2, b"b", b"", 9))]
    assert [change.at_ms for change in plan.changes] == [0, 0, 0, 4000, 10_000]
    assert plan.owners.tolist() == [0, 1, 2, 0]


def test_writes_go_to_the_leader_of_the_moment() -> None:
    """From the moment of a change on, the new leader counts, as an index modulo the nodes."""
    leadership = leadership_of((0.001, 1, 4, 1), (5, 1, 0, 2), (10, 1, 2, 3))
    trace = trace_of((0, "write", b"a"), (4.9, "write", b"a"), (5, "write", b"a"), (10, "write", b"a"))
    assert plan_replay(trace, leadership, nodes=3).owners.tolist() == [1, 1, 0, 2]
    assert plan_replay(trace, leadership, nodes=2).owners.tolist() == [0, 0, 0, 0]


def test_reads_go_round_the_nodes() -> None:
    """The k-th read of the trace is counted by node k modulo N, writes between them do not count."""
    trace = trace_of((0, "read", b"a"), (0, "write", b"a"), (1, "read", b"b"), (2, "read", b"a"), (3, "read", b"a"))
    plan = plan_replay(trace, leadership_of((0, 1, 0, 1)), nodes=3)
    assert plan.owners[trace.writes == 0].tolist() == [0, 1, 2, 0]


def test_a_replay_needs_a_node() -> None:
    """Zero nodes are refused by name."""
    with pytest.raises(SettingError, match="nodes=0"):
        plan_replay(trace_of((0, "read", b"a")), leadership_of((0, 1, 0, 1)), nodes=0)


FLIP = leadership_of((0, 1, 0, 1), (5, 1, 0, 2), (25, 1, 0, 3))
TRACE = trace_of((0, "write", b"a"), (4, "write", b"a"), (5, "write", b"a"), (6, "read", b"a"), (25, "write", b"a"))


def fed(steps_ms: list[int]) -> Sampler:
    """A sampler after a replay on one node in the given steps."""
    feed = Feed(
        TRACE,
        plan_replay(TRACE, FLIP, nodes=1),
        node_index=0,
        node_ids=["n1"],
        trace_start_unix_ms=START_MS,
        step_ms=STEP_MS,
    )
    sampler = Sampler(node_id="n1", step_ms=STEP_MS, clock=feed.clock, stall_s=math.inf)
    feed.start(sampler)
    for step_ms in steps_ms:
        feed.advance(sampler, START_MS + step_ms)
    assert feed.done
    return sampler


@pytest.mark.parametrize("steps_ms", [[10**9], list(range(0, 40_000, 700)), [5_000, 25_000, 30_000]])
def test_a_replay_is_the_same_at_any_speed(steps_ms: list[int]) -> None:
    """Every window is there, idle ones as zeros, a window with a flip holds both shares, whatever the batches."""
    with fed(steps_ms) as sampler:
        writes = sampler.matrix(MatrixQuery(series=Series.WRITES)).matrix
        reads = sampler.matrix(MatrixQuery(series=Series.READ_BYTES)).matrix
        assert (writes.columns - START_MS).tolist() == [10_000, 20_000, 30_000]
        assert writes.values.tolist() == [[3, 0, 1]]
        assert writes.shares.values.tolist() == [2, 1]
        assert [tuple(writes.identities[code]) for code in writes.shares.codes] == [(1, 1), (1, 2)]
        assert reads.values.tolist() == [[101, 0, 0]]
        assert sampler.overview().group_leaders[0].leader_term == 3


def test_a_window_closes_only_when_it_was_fed() -> None:
    """Half way through a window, it is not there yet."""
    plan = plan_replay(TRACE, FLIP, nodes=1)
    feed = Feed(TRACE, plan, node_index=0, node_ids=["n1"], trace_start_unix_ms=START_MS, step_ms=STEP_MS)
    with Sampler(node_id="n1", step_ms=STEP_MS, clock=feed.clock, stall_s=math.inf) as sampler:
        feed.start(sampler)
        feed.advance(sampler, START_MS + 9_999)
        assert sampler.matrix(MatrixQuery()).matrix.columns.tolist() == []
        feed.advance(sampler, START_MS + 10_000)
        assert sampler.matrix(MatrixQuery()).matrix.columns.tolist() == [START_MS + 10_000]


@pytest.mark.parametrize(("start", "index"), [(START_MS + 1, 0), (0, 0), (START_MS, 1), (START_MS, -1)])
def test_a_feed_refuses_what_makes_no_sense(start: int, index: int) -> None:
    """A start off the step's grid and an index that is no node are refused."""
    with pytest.raises(SettingError, match=r"trace start|node index"):
        Feed(
            TRACE,
            plan_replay(TRACE, FLIP, nodes=1),
            node_index=index,
            node_ids=["n1"],
            trace_start_unix_ms=start,
            step_ms=STEP_MS,
        )


def test_the_real_inputs(shared_trace: tuple[Path, Path]) -> None:
    """57 routes, six moves, every operation on exactly one of three nodes."""
    trace = read_trace(shared_trace[0])
    plan = plan_replay(trace, read_leadership(shared_trace[1]), nodes=3)
    assert len(trace) == 113_872
    assert len(plan.routes) == 57
    assert sum(isinstance(change, RouteMove) for change in plan.changes) == 6
    assert sum(isinstance(change, LeaderChange) and change.at_ms == 0 for change in plan.changes) == 63
    assert sum(int((plan.owners == node).sum()) for node in range(3)) == len(trace)
