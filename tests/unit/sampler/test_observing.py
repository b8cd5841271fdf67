"""Operations on their way in: at the very end of a window, of the largest size, before there are routes."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from keyviz_grpc.errors import InvalidRequest, UnknownRoute
from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.sampler.intake import SIZE_LIMIT
from tests.unit.sampler.clocks import Clock

ROUTE = Route(1, b"", b"", 1)


@pytest.fixture
def clock() -> Clock:
    """In the middle of a window."""
    return Clock()


@pytest.fixture
def sampler(clock: Clock) -> Iterator[Sampler]:
    """Without routes, whose thread does nothing meanwhile."""
    with Sampler(
        node_id="n1", step_ms=1000, clock=clock, wall_clock=clock, stall_s=1e9, drain_interval_s=3600.0
    ) as sampler:
        yield sampler


def test_without_routes_a_sampler_stands_and_names_what_is_missing(sampler: Sampler) -> None:
    """It has a window from its first moment on."""
    assert sampler.standing() is not None
    with pytest.raises(UnknownRoute):
        sampler.observe(1, b"a", Op.WRITE, 1)


@pytest.mark.parametrize("many", [False, True])
def test_an_operation_at_the_end_of_a_window_counts_in_the_next_one(sampler: Sampler, clock: Clock, many: bool) -> None:
    """However it comes, and though nobody closed that window before."""
    sampler.register_routes([ROUTE])
    end_s = int(clock.now_s) + 1
    clock.now_s = float(end_s)
    if many:
        sampler.observe_many([1], [b"a"], [1], [1])
    else:
        sampler.observe(1, b"a", Op.WRITE, 1)
    clock.now_s += 3
    sampler.tick()
    matrix = sampler.matrix(MatrixQuery()).matrix
    told = dict(zip(matrix.columns.tolist(), matrix.values[0].tolist(), strict=True))
    assert (told[end_s * 1000], told[(end_s + 1) * 1000]) == (0, 1)


def test_the_largest_operation_counts_and_one_byte_more_is_refused(sampler: Sampler, clock: Clock) -> None:
    """A size beyond what one integer holds would count as another bucket's."""
    sampler.register_routes([ROUTE])
    sampler.observe(1, b"a", Op.WRITE, SIZE_LIMIT - 2)
    with pytest.raises(InvalidRequest, match="value_size"):
        sampler.observe(1, b"a", Op.WRITE, SIZE_LIMIT - 1)
    clock.now_s += 2
    assert sampler.matrix(MatrixQuery(Series.WRITE_BYTES)).matrix.values.max() == SIZE_LIMIT - 1
    assert sampler.matrix(MatrixQuery()).matrix.values.sum() == 1


def test_of_single_operations_one_in_so_many_is_kept(clock: Clock) -> None:
    """And counts for as many: the sum is off by six standard deviations at most."""
    random.seed(7)
    with Sampler(node_id="n1", step_ms=1000, clock=clock, stall_s=1e9, sample_one_in=4) as sampler:
        sampler.register_routes([ROUTE])
        for _ in range(10_000):
            sampler.observe(1, b"a", Op.WRITE, 1)
        clock.now_s += 2
        total = int(sampler.matrix(MatrixQuery()).matrix.values.sum())
    assert total % 4 == 0
    assert abs(total - 10_000) < 6 * (10_000 * 3) ** 0.5


def test_a_route_that_moves_leaves_to_its_group_what_it_counted_there(sampler: Sampler, clock: Clock) -> None:
    """Within one window: both groups have their share."""
    sampler.register_routes([ROUTE])
    sampler.set_leader(1, 5)
    sampler.set_leader(2, 9)
    sampler.observe(1, b"a", Op.WRITE, 1)
    sampler.register_routes([Route(1, b"", b"", 2)])
    sampler.observe(1, b"a", Op.WRITE, 1)
    sampler.observe(1, b"a", Op.WRITE, 1)
    clock.now_s += 1
    matrix = sampler.matrix(MatrixQuery()).matrix
    shares = zip(matrix.identities[matrix.shares.codes].tolist(), matrix.shares.values.tolist(), strict=True)
    assert list(shares) == [([1, 5], 1), ([2, 9], 2)]
