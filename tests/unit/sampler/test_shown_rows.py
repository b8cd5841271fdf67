"""Which rows are shown, and that they are looked for only when they may have become others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keyviz_grpc.model import Catalogue, SampleRole
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.sampler.slots import Slots
from tests.unit.sampler.clocks import Clock

COLUMNS = 4


@pytest.fixture
def clock() -> Clock:
    """In the middle of a window."""
    return Clock()


@pytest.fixture
def sampler(clock: Clock) -> Iterator[Sampler]:
    """Two routes of one group, and a ring that is full of columns in which both were written to."""
    with Sampler(
        node_id="n1",
        step_ms=1000,
        columns=COLUMNS,
        clock=clock,
        wall_clock=clock,
        stall_s=60,
        drain_interval_s=3600.0,
    ) as sampler:
        sampler.register_routes([Route(1, b"", b"m", 1), Route(2, b"m", b"", 1)])
        for _ in range(COLUMNS + 1):
            column(sampler, clock)
        yield sampler


def column(sampler: Sampler, clock: Clock, routes: tuple[int, ...] = (1, 2)) -> None:
    """A window more, in which these routes were written to once each."""
    for route in routes:
        sampler.observe(route, b"a" if route == 1 else b"x", Op.WRITE, 10)
    clock.now_s += 1
    sampler.tick()


def catalogue(sampler: Sampler) -> Catalogue:
    """The rows shown now."""
    return sampler.matrix(MatrixQuery()).matrix.catalogue


def shown(sampler: Sampler) -> list[str]:
    """Their ids."""
    return [row.bucket_id for row in catalogue(sampler).rows]


def test_a_full_ring_that_moves_on_shows_the_rows_it_showed(
    sampler: Sampler, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks through all routes for it, a column after the other."""
    before, looks = catalogue(sampler), []
    monkeypatch.setattr(Slots, "visible", lambda *_: looks.append(1))
    for _ in range(3):
        column(sampler, clock)
        assert catalogue(sampler) is before
    assert not looks


def test_a_removed_route_is_shown_until_its_last_column_gives_way(sampler: Sampler, clock: Clock) -> None:
    """Not a column shorter or longer, with a ring that is full."""
    sampler.remove_routes([2])
    for _ in range(COLUMNS - 1):
        column(sampler, clock, routes=(1,))
        assert shown(sampler) == ["route:1", "route:2"]
    column(sampler, clock, routes=(1,))
    assert shown(sampler) == ["route:1"]


def test_a_late_operation_shows_a_removed_route_again(sampler: Sampler, clock: Clock) -> None:
    """It was not shown any more, and what counts there now is not lost."""
    sampler.remove_routes([2])
    for _ in range(COLUMNS):
        column(sampler, clock, routes=(1,))
    assert shown(sampler) == ["route:1"]
    column(sampler, clock, routes=(1, 2))
    assert shown(sampler) == ["route:1", "route:2"]
    assert sampler.matrix(MatrixQuery()).matrix.values[1].tolist() == [0, 0, 0, 1]


def test_a_removed_route_that_counts_on_is_shown_on(sampler: Sampler, clock: Clock) -> None:
    """Its last column is a later one than when it was looked for."""
    sampler.remove_routes([2])
    column(sampler, clock)
    assert shown(sampler) == ["route:1", "route:2"]
    for _ in range(2 * COLUMNS):
        column(sampler, clock)
        assert shown(sampler) == ["route:1", "route:2"]


def roles(sampler: Sampler) -> list[tuple[int, ...]]:
    """Of every row."""
    return [row.sample_roles for row in catalogue(sampler).rows]


def test_a_new_leader_shows_in_the_roles_of_rows_that_were_read(sampler: Sampler, clock: Clock) -> None:
    """Before another column closes; rows that were not read stay what they were."""
    sampler.observe(1, b"a", Op.READ, 10)
    column(sampler, clock)
    write, follower, leader = SampleRole.LEADER_WRITE, SampleRole.FOLLOWER_READ, SampleRole.LEADER_READ
    assert roles(sampler) == [(write, follower), (write,)]
    sampler.set_leader(1, 3, leader_node_id="n1")
    assert roles(sampler) == [(write, leader), (write,)]
    sampler.set_leader(1, 4, leader_node_id="n2")
    assert roles(sampler) == [(write, follower), (write,)]


def test_a_row_of_two_routes_that_had_one_range_is_in_the_roles_of_both(sampler: Sampler, clock: Clock) -> None:
    """One after the other; both are shown as an aggregate of that range."""
    sampler.register_routes([Route(1, b"y", b"z", 1), Route(3, b"", b"m", 1)])
    sampler.observe(3, b"a", Op.READ, 10)
    sampler.register_routes([Route(3, b"z", b"", 1)])
    column(sampler, clock, routes=())
    aggregate = catalogue(sampler).rows[0]
    assert (aggregate.start, aggregate.end, aggregate.aggregate) == (b"", b"m", True)
    assert aggregate.sample_roles == (SampleRole.LEADER_WRITE, SampleRole.FOLLOWER_READ)


def test_a_leader_that_changes_no_role_changes_no_row(sampler: Sampler) -> None:
    """A term more, or another node instead of another one: the rows are the same objects."""
    before = catalogue(sampler)
    sampler.set_leader(1, 3, leader_node_id="n2")
    sampler.set_leader(1, 4, leader_node_id="n3")
    sampler.set_leader(1, 5, leader_node_id="n1")
    assert catalogue(sampler) is before
