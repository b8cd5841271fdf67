"""A wall clock that goes as it likes: every operation is in the window of its moment, once, and no column is twice."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler

STEP_MS = 1000
HOUR_MS = 3_600_000

moves = st.sampled_from([0, 1, 300, 999, 1000, 2500, -1, -300, -1000, -2500, HOUR_MS, HOUR_MS, -HOUR_MS, -HOUR_MS])
acts = st.sampled_from(["write", "batch", "late", "tick", "flip", "ask"])


@settings(max_examples=300, deadline=None)
@given(history=st.lists(st.tuples(moves, acts), min_size=1, max_size=40))
def test_a_clock_that_jumps_loses_and_doubles_nothing(history: list[tuple[int, str]]) -> None:
    """Hours forward and back, steps within a window, late batches and elections between them."""
    now_ms = 500_000_500
    truth: Counter[int] = Counter()
    with Sampler(
        node_id="n1", step_ms=STEP_MS, columns=5000, clock=lambda: now_ms / 1000, drain_interval_s=3600
    ) as sampler:
        sampler.register_routes([Route(1, b"", b"", 1)])
        for number, (move, act) in enumerate(history):
            now_ms += move
            at_ms = now_ms
            if act == "write":
                sampler.observe(1, b"k", Op.WRITE, 1)
            elif act == "batch":
                sampler.observe_many([1], [b"k"], [1], [1])
            elif act == "late":
                at_ms -= 7000
                sampler.observe_many([1], [b"k"], [1], [1], at_unix_ms=[at_ms])
            elif act == "tick":
                sampler.tick()
            elif act == "flip":
                sampler.set_leader(1, number + 1)
            else:
                stamps = sampler.matrix(MatrixQuery()).matrix.columns.tolist()
                assert all(left < right for left, right in pairwise(stamps))
            if act in {"write", "batch", "late"}:
                truth[(at_ms // STEP_MS + 1) * STEP_MS] += 1
        now_ms += 100 * HOUR_MS
        matrix = sampler.matrix(MatrixQuery(Series.WRITES)).matrix
        stamps = matrix.columns.tolist()
        assert all(left < right for left, right in pairwise(stamps))
        found = dict(zip(stamps, matrix.values.sum(axis=0).tolist(), strict=True))
        assert {stamp: value for stamp, value in found.items() if value} == truth
