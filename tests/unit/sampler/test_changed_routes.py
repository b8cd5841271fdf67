"""Routes and leaders that change while nothing is counted, and routes that go into an aggregate and come back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.errors import UnknownRoute
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from tests.unit.sampler.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    """Half a second into the window of 1001 s."""
    return Clock()


@pytest.fixture
def sampler(clock: Clock) -> Iterator[Sampler]:
    """Of a hundred routes of group 1, more than there is room for at first."""
    with Sampler(node_id="n1", step_ms=1000, clock=clock) as sampler:
        sampler.register_routes([Route(n, b"%04d" % n, b"%04d" % (n + 1), 1) for n in range(1, 101)])
        yield sampler


def test_a_route_that_moves_while_it_is_in_an_aggregate_takes_its_id_along(clock: Clock) -> None:
    """What it counted by itself before shows as an aggregate of that range, which another route's row parts from it."""
    with Sampler(node_id="n1", step_ms=1000, clock=clock, max_tracked_routes=2) as sampler:
        sampler.register_routes([Route(1, b"a", b"c"), Route(2, b"m", b"p")])
        sampler.observe(1, b"a", Op.WRITE, 1)
        sampler.replace_routes(remove=[1], add=[Route(3, b"f", b"g"), Route(1, b"a", b"c")])
        sampler.observe(1, b"a", Op.WRITE, 1)
        sampler.replace_routes(remove=[2], add=[Route(1, b"x", b"z")])
        sampler.observe(1, b"x", Op.WRITE, 1)
        clock.now_s = 1001.0
        matrix = sampler.matrix(MatrixQuery()).matrix
        rows = [(row.start, row.aggregate, row.bucket_id) for row in matrix.catalogue.rows]
        assert rows == [
            (b"a", True, aggregate_id(b"a", b"c", 0)),
            (b"f", False, "route:3"),
            (b"x", False, "route:1"),
        ]
        assert matrix.values.tolist() == [[2], [0], [1]]


@pytest.mark.parametrize("look", [lambda s: s.matrix(MatrixQuery()), lambda s: s.observe(999, b"", Op.READ, 1)])
def test_a_leader_may_change_before_anything_was_counted(
    sampler: Sampler, clock: Clock, look: Callable[[Sampler], object]
) -> None:
    """Routes have their slots by then, for somebody asked for the matrix, or recorded for a route that is not known."""
    with contextlib.suppress(UnknownRoute):
        look(sampler)
    sampler.set_leader(1, 5)
    sampler.observe(100, b"0100", Op.WRITE, 1)
    clock.now_s = 1001.0
    matrix = sampler.matrix(MatrixQuery()).matrix
    assert (matrix.values.sum(), matrix.identities.tolist()) == (1, [[0, 0], [1, 5]])


def test_a_route_may_change_its_group_before_anything_was_counted(sampler: Sampler, clock: Clock) -> None:
    """In a call that removes another one, too."""
    sampler.set_leader(2, 7)
    sampler.replace_routes(remove=[1], add=[Route(100, b"0100", b"0101", 2)])
    sampler.observe(100, b"0100", Op.WRITE, 1)
    clock.now_s = 1001.0
    assert sampler.matrix(MatrixQuery()).matrix.identities.tolist() == [[0, 0], [2, 7]]
