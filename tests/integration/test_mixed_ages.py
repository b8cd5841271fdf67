"""The real trace with nodes of mixed ages, flat and in trees: the merge says what the oracle says."""

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
from tests.e2e.truth import Truth, truth_of
from tests.reference import oracle
from tests.reference.ages import as_old, newest, node_of
from tests.reference.convert import told_by

START_MS = 1_767_225_600_000
END_MS = START_MS + 7_260_000
NODE_IDS = ["n1", "n2", "n3"]
AGES = list(itertools.product(["new", "old", "anonymous"], repeat=3))


@pytest.fixture(scope="module")
def truth(shared_trace: tuple[Path, Path]) -> Truth:
    """Counted by code of its own."""
    return truth_of(shared_trace[0], routes=57, step_s=60)


@pytest.fixture(scope="module")
def answers(shared_trace: tuple[Path, Path]) -> dict[Series, list[Answer]]:
    """What three new nodes say after the whole trace."""
    trace = read_trace(shared_trace[0])
    plan = plan_replay(trace, read_leadership(shared_trace[1]), nodes=3)

    def said() -> Iterator[dict[Series, Answer]]:
        for index, node_id in enumerate(NODE_IDS):
            feed = Feed(trace, plan, node_index=index, node_ids=NODE_IDS, trace_start_unix_ms=START_MS, step_ms=60_000)
            with Sampler(node_id=node_id, clock=feed.clock, stall_s=math.inf) as sampler:
                feed.start(sampler)
                feed.advance(sampler, feed.end_unix_ms)
                yield {series: sampler.matrix(MatrixQuery(series)) for series in Series}

    nodes = list(said())
    return {series: [node[series] for node in nodes] for series in Series}


def aged(answers: list[Answer], ages: tuple[str, ...], *, phase_ms: int = 0) -> list[Answer]:
    """Each node at its age; an anonymous one is an old one that knows no leaders."""
    at_close = newest(answers)
    return [
        answer
        if age == "new"
        else as_old(answer, f"{age}-{n}", at_close if age == "old" else {}, phase_ms=phase_ms * n)
        for n, (answer, age) in enumerate(zip(answers, ages, strict=True), start=1)
    ]


def merged(parts: list[Answer], series: Series) -> Answer:
    """At the end of the trace."""
    return merge(parts, query=MatrixQuery(series), now_unix_ms=END_MS)


@pytest.mark.parametrize("ages", AGES, ids="-".join)
def test_every_mix_of_ages_is_what_the_oracle_says(answers: dict[Series, list[Answer]], ages: tuple[str, ...]) -> None:
    """Values, shares, conflicts, identities, rows; however deep the tree; wherever the old nodes' stamps are."""
    series = Series.WRITES
    expected = oracle.merge([node_of(answer) for answer in aged(answers[series], ages)], writes=True)
    for phase_ms in (0, 7_013):
        a, b, c = aged(answers[series], ages, phase_ms=phase_ms)
        flat = merged([a, b, c], series)
        assert told_by(flat, writes=True) == expected
        for tree in (
            [merged([a, b], series), c],
            [a, merged([b, c], series)],
            [merged([merged([a], series), merged([merged([b, c], series)], series)], series)],
        ):
            assert told_by(merged(tree, series), writes=True) == expected


@pytest.mark.parametrize("ages", AGES, ids="-".join)
def test_reads_are_the_truth_and_writes_never_above_it(
    answers: dict[Series, list[Answer]], truth: Truth, ages: tuple[str, ...]
) -> None:
    """In every mix; and no cell is below the largest observation of one node."""
    for series in Series:
        parts = aged(answers[series], ages)
        values = merged(parts, series).matrix.values
        true = np.array([truth.row(series.value, route) for route in range(57)], np.uint64)
        if not series.is_write or set(ages) == {"new"}:
            assert np.array_equal(values, true)
            continue
        assert (values <= true).all()
        assert (values >= np.maximum.reduce([part.matrix.values for part in parts])).all()


def test_existing_nodes_undercount_across_a_flip(answers: dict[Series, list[Answer]], truth: Truth) -> None:
    """With one identity a window, a flip looks like a stale copy: a conflict, or nothing where counts are equal."""
    series = Series.WRITES
    parts = aged(answers[series], ("old", "old", "old"))
    matrix = merged(parts, series).matrix
    true = np.array([truth.row(series.value, route) for route in range(57)], np.uint64)
    below = matrix.values < true
    assert below.sum() >= 10
    assert matrix.conflicts is not None
    for row, column in zip(*np.nonzero(below), strict=True):
        reported = {int(part.matrix.values[row, column]) for part in parts} - {0}
        assert matrix.conflicts[row, column] == (len(reported) > 1)
