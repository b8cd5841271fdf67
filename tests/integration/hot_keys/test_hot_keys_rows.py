"""Hot keys belong to the rows that operators see: labels past the limit, keys outside of their route's range."""

from __future__ import annotations

import math

import pytest

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.errors import NoSnapshot
from keyviz_grpc.hotkeys import HotKeysQuery
from keyviz_grpc.hotkeys.answer import check_asked
from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from tests.integration.hot_keys.house import ON, STAMP_MS, START_MS


def sampler(route: Route, limit: int, sample_one_in: int = 1) -> tuple[Sampler, SteppedClock]:
    """With one route, and room for so many slices of it and of labels each."""
    clock = SteppedClock(START_MS)
    made = Sampler(
        node_id="n",
        clock=clock,
        wall_clock=clock,
        stall_s=math.inf,
        hot_keys=ON,
        max_tracked_routes=limit,
        sample_one_in=sample_one_in,
    )
    made.register_routes([route])
    return made, clock


def rows_and_keys(made: Sampler, clock: SteppedClock, slices: int = 1) -> tuple[dict[str, int], dict[str, int]]:
    """(operations by bucket id, the sum of its hot keys' counts by bucket id) of rows with traffic."""
    clock.move_to(STAMP_MS)
    made.advance_to(STAMP_MS)
    matrix = made.matrix(MatrixQuery(Series.WRITES)).matrix
    rows = {
        row.bucket_id: int(matrix.values[n].sum())
        for n, row in enumerate(matrix.catalogue.rows)
        if matrix.values[n].any()
    }
    keys: dict[str, int] = {}
    for label in {row.label for row in matrix.catalogue.rows}:
        for number in range(slices):
            part = number if slices > 1 else None
            answer = made.hot_keys(HotKeysQuery(1, label=label, sub_bucket=part))
            name = "route:1" + (f":{label}" if label else "") + ("" if part is None else f"#{part}")
            if answer.keys:
                keys[name] = sum(item.count for item in answer.keys)
    return rows, keys


@pytest.mark.parametrize("slices", [1, 4])
def test_keys_of_a_label_past_the_limit_are_with_its_row_the_plain_one(slices: int) -> None:
    """One by one and in batches; there is no row of the label, and so there are no keys under it."""
    made, clock = sampler(Route(1, b"a", b"e", slices=slices), limit=slices)
    with made:
        for label in ("first", "second", "third"):
            made.observe(1, b"b", Op.WRITE, 1, label=label)
            made.observe_many([1, 1], [b"b", b"d"], [1, 1], [1, 1], labels=[label, label])
        made.observe(1, b"b", Op.WRITE, 1, label="second")
        rows, keys = rows_and_keys(made, clock, slices)
        assert rows == keys
        assert len(rows) == (2 if slices == 1 else 4)
        assert sum(rows.values()) == 10
        query = HotKeysQuery(1, label="second")
        with pytest.raises(NoSnapshot):
            check_asked(made.hot_keys(query), query)


def test_keys_of_a_label_that_sampling_left_out_are_its_own() -> None:
    """Counting and hot keys draw apart: a label has its place whichever of them meets it first."""
    made, clock = sampler(Route(1, b"a", b"e"), limit=5, sample_one_in=1 << 20)
    with made:
        made.observe_many([1, 1], [b"b", b"c"], [1, 1], [1, 1], labels=["seen", ""])
        clock.move_to(STAMP_MS)
        made.advance_to(STAMP_MS)
        keys = [[item.key for item in made.hot_keys(HotKeysQuery(1, label=label)).keys] for label in ("seen", "")]
        assert keys == [[b"b"], [b"c"]]


def test_keys_outside_of_their_routes_range_are_in_the_slice_at_that_end() -> None:
    """As their operations are: every key of the route is in exactly one slice's answer."""
    made, clock = sampler(Route(1, b"ka", b"ke", slices=4), limit=10)
    with made:
        for times, key in enumerate((b"", b"k", b"kZ", b"ka", b"kb", b"kc", b"ke", b"kf", b"z" * 40), 1):
            for _ in range(times):
                made.observe(1, key, Op.WRITE, 1)
        rows, keys = rows_and_keys(made, clock, 4)
        assert rows == keys
        assert sum(rows.values()) == 45
        last = made.hot_keys(HotKeysQuery(1, sub_bucket=3)).keys
        assert [item.key for item in last] == [b"z" * 40, b"kf", b"ke"]
