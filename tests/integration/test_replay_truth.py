"""The real trace through samplers and the merge in one process: every cell is the truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from keyviz_grpc.merge import merge
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.replay import Feed, plan_replay, read_leadership, read_trace
from keyviz_grpc.sampler import Sampler
from tests.e2e.truth import SERIES, Truth, truth_of

START_MS = 1_767_225_600_000
NODE_IDS = ["n1", "n2", "n3"]


@pytest.fixture(scope="module", params=[1, 16], ids=["whole", "slices"])
def slices(request: pytest.FixtureRequest) -> int:
    """In how many a route is counted."""
    return int(request.param)


@pytest.fixture(scope="module")
def truth(shared_trace: tuple[Path, Path], slices: int) -> Truth:
    """Counted by code of its own."""
    return truth_of(shared_trace[0], routes=57, step_s=60, slices=slices)


@pytest.fixture(scope="module")
def samplers(shared_trace: tuple[Path, Path], slices: int) -> Iterator[list[Sampler]]:
    """Three nodes after the whole trace."""
    trace = read_trace(shared_trace[0])
    plan = plan_replay(trace, read_leadership(shared_trace[1]), nodes=3)
    replayed = []
    for index, node_id in enumerate(NODE_IDS):
        feed = Feed(trace, plan, node_index=index, node_ids=NODE_IDS, trace_start_unix_ms=START_MS, step_ms=60_000)
        sampler = Sampler(node_id=node_id, clock=feed.clock, stall_s=math.inf, slices=slices)
        feed.start(sampler)
        feed.advance(sampler, feed.end_unix_ms)
        replayed.append(sampler)
    yield replayed
    for sampler in replayed:
        sampler.close()


def merged(samplers: list[Sampler], series: str, order: tuple[int, ...]) -> Answer:
    """What an aggregator makes of the nodes in this order."""
    query = MatrixQuery(series=Series(series))
    return merge([samplers[number].matrix(query) for number in order], query=query, now_unix_ms=START_MS)


@pytest.mark.parametrize("series", SERIES)
def test_every_cell_is_the_truth_in_any_order(samplers: list[Sampler], truth: Truth, series: str) -> None:
    """Exact to the last count, without a conflict, however the nodes are ordered."""
    expected = np.array([truth.row(series, route) for route in range(len(truth.starts))], np.uint64)
    for order in itertools.permutations(range(3)):
        matrix = merged(samplers, series, order).matrix
        assert [row.start for row in matrix.catalogue.rows] == truth.starts
        assert (matrix.columns - START_MS).tolist() == [60_000 * (n + 1) for n in range(truth.windows)]
        assert np.array_equal(matrix.values, expected)
        assert matrix.conflicts is None or not matrix.conflicts.any()


def test_some_windows_hold_several_shares(samplers: list[Sampler]) -> None:
    """Leaders change while writes come in, so one identity a cell would get these cells wrong."""
    shares = merged(samplers, "writes", (0, 1, 2)).matrix.shares
    assert len(set(zip(shares.rows.tolist(), shares.columns.tolist(), strict=True))) >= 10
