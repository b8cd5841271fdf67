"""Which rows are shown, and that they are looked for only when they may have become others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from keyviz_grpc.model import EVERYTHING, Catalogue, Row, SampleRole, Window
from keyviz_grpc.outcome import Answer
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.sampler.buckets import Buckets
from keyviz_grpc.sampler.slots import SEARCHES, Bucket, Slots
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


def without(sampler: Sampler) -> Answer:
    """What a caller gets that does not read roles."""
    return sampler.matrix(MatrixQuery(without_roles=True))


def test_without_roles_rows_and_cells_are_the_same(sampler: Sampler, clock: Clock) -> None:
    """Apart from those."""
    sampler.observe(1, b"a", Op.READ, 10)
    column(sampler, clock)
    told, plain = sampler.matrix(MatrixQuery()), without(sampler)
    assert [row.sample_roles for row in plain.matrix.catalogue.rows] == [(), ()]
    assert plain.matrix.catalogue.rows == tuple(replace(row, sample_roles=()) for row in told.matrix.catalogue.rows)
    assert plain.matrix.values.tolist() == told.matrix.values.tolist()
    assert plain.history != told.history, "what is known of one does not hold for the other"


def test_another_role_alters_nothing_for_those_who_read_none(sampler: Sampler, clock: Clock) -> None:
    """By first traffic or by a leader: history and rows stay, and nobody looks for them; others are told at once."""
    before, told = without(sampler), sampler.matrix(MatrixQuery()).history
    assert sampler.matrix_at_once(MatrixQuery(without_roles=True)) is not None
    sampler.observe(1, b"a", Op.READ, 10)
    clock.now_s += 1
    sampler.tick()
    sampler.set_leader(1, 3, leader_node_id="n1")
    soon = sampler.matrix_at_once(MatrixQuery(without_roles=True))
    assert soon is not None, "rows need not be looked for"
    assert soon.matrix.catalogue is before.matrix.catalogue
    assert soon.history is not None
    assert before.history is not None
    assert soon.history.number == before.history.number
    assert sampler.matrix_at_once(MatrixQuery()) is None
    now = sampler.matrix(MatrixQuery()).history
    assert told is not None
    assert now is not None
    assert now.number != told.number
    assert roles(sampler)[0] == (SampleRole.LEADER_WRITE, SampleRole.LEADER_READ)


def test_a_route_that_comes_alters_what_those_know_who_read_no_roles(sampler: Sampler, clock: Clock) -> None:
    """As for everybody; and so does one whose last column gives way."""
    before = without(sampler).history
    sampler.replace_routes(remove=[1], add=[Route(3, b"", b"m", 1)])
    after = without(sampler).history
    for _ in range(COLUMNS):
        column(sampler, clock, routes=(2,))
    gone = without(sampler).history
    assert before is not None
    assert after is not None
    assert gone is not None
    assert len({before.number, after.number, gone.number}) == 3


def test_answers_are_not_given_again_once_roles_are_others(sampler: Sampler, clock: Clock) -> None:
    """They are while a node stands as it stood."""
    sampler.observe(1, b"a", Op.READ, 10)
    column(sampler, clock)
    before = sampler.standing()
    sampler.set_leader(1, 3, leader_node_id="n1")
    after = sampler.standing()
    assert before is not None
    assert after is not None
    assert before[0] != after[0]


def test_a_range_whose_id_is_another_route_now_stands_in_key_order(sampler: Sampler, clock: Clock) -> None:
    """It is an aggregate then, after the route that has the same range as a whole."""
    sampler.replace_routes(remove=[1], add=[Route(3, b"", b"m", 1)])
    column(sampler, clock, routes=(3,))
    sampler.register_routes([Route(1, b"n", b"p", 1)])
    rows = sampler.matrix(MatrixQuery(without_roles=True)).matrix.catalogue
    assert [row.aggregate for row in rows.rows].count(True) == 1
    assert rows.in_key_order


def test_first_traffic_alone_is_told_to_those_who_read_roles(sampler: Sampler, clock: Clock) -> None:
    """Of a row that is shown already."""
    before = sampler.matrix(MatrixQuery()).history
    sampler.observe(1, b"a", Op.READ, 10)
    column(sampler, clock)
    after = sampler.matrix(MatrixQuery()).history
    assert before is not None
    assert after is not None
    assert before.number != after.number
    assert roles(sampler)[0] == (SampleRole.LEADER_WRITE, SampleRole.FOLLOWER_READ)


def test_callers_of_both_kinds_do_not_take_each_others_matrices_away(sampler: Sampler) -> None:
    """What is made of a matrix is found by the object, also of one that has no columns left."""
    later = Window(1 << 61)
    asked = [
        MatrixQuery(window=window, without_roles=plain) for window in (EVERYTHING, later) for plain in (True, False)
    ]
    first, second = [[sampler.matrix(query).matrix for query in asked] for _ in range(2)]
    assert len({id(matrix) for matrix in first}) == 4
    assert list(map(id, first)) == list(map(id, second))


@pytest.mark.parametrize("seed", range(4))
def test_slots_are_shown_in_key_order_whatever_changes(seed: int) -> None:
    """Few of many, or many at once; of slots with one key the lower number stands first."""
    chance, slots = random.Random(seed), Slots()
    kept: dict[int, Row] = {}
    for turn in range(60):
        for _ in range(chance.choice((1, 2, 3, 60)) if turn else 40 * SEARCHES):
            row = Row(f"route:{chance.randrange(9)}", b"%d" % chance.randrange(999), b"")
            if kept and chance.random() < 0.3:
                gone = chance.choice(list(kept))
                slots.free([gone])
                del kept[gone]
            elif kept and chance.random() < 0.3:
                other = chance.choice(list(kept))
                kept[other] = row
                slots.describe(other, Bucket(row, None))
            else:
                kept[slots.new(Bucket(row, None), 1)] = row
        visible = slots.visible(0)
        assert visible.slots.tolist() == sorted(kept, key=lambda slot: (kept[slot].key_order, slot))
        assert [bucket.row for bucket in visible.buckets] == [kept[slot] for slot in visible.slots.tolist()]


def test_while_all_routes_have_rows_of_their_own_only_those_that_come_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All are once more routes than the limit are there, and once there are fewer again."""
    looks: list[int] = []
    whole = Buckets._plan_all

    def looking(buckets: Buckets) -> None:
        looks.append(len(buckets.routes))
        whole(buckets)

    monkeypatch.setattr(Buckets, "_plan_all", looking)
    buckets = Buckets(4)

    def count(remove: tuple[int, ...], *add: int) -> int:
        """How many rows of their own routes have now."""
        buckets.change(remove, [Route(number, b"%d" % number, b"%d" % (number + 1), 1) for number in add])
        return sum(not bucket.row.aggregate for bucket in buckets.visible(0).buckets)

    assert (count((), 1, 2, 3), looks) == (3, [])
    assert (count((1,), 1, 4), looks) == (4, [])
    assert (count((), 5, 6), looks) == (4, [6])
    assert (count((1, 2)), looks) == (4, [6, 4])
    assert (count((3,), 7), looks) == (4, [6, 4])
