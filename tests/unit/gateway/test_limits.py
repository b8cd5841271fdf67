"""Bounds on what clients may ask for."""

from __future__ import annotations

import contextlib

import pytest

from gateway.limits import InFlight, RateLimit, Unsent
from gateway.streamed import Streamed
from keyviz_grpc.errors import Overloaded


class Clock:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_body_counts_once_and_its_longest_piece_for_each_of_its_readers() -> None:
    """Until the last of them has taken it; one more that has no room beside it is refused, and changes nothing."""
    unsent, shared, other = Unsent(20), [b"123", b"4567"], [b"89a"]
    for _ in range(3):
        unsent.hold(shared)
    for refused, more in ((shared, 4), (other, 6)):
        with pytest.raises(Overloaded, match=rf"19 bytes wait .* {more} more would be over 20"):
            unsent.hold(refused)
    unsent.let_go(shared)
    unsent.let_go(shared)
    assert unsent.held_bytes == 11
    unsent.let_go(shared)
    assert unsent.held_bytes == 0
    unsent.hold(other)
    assert unsent.held_bytes == 6


def test_a_streamed_body_counts_as_what_it_is_written_from() -> None:
    """Where that is more than what it says."""
    unsent = Unsent(100)
    for held_bytes, counted in ((40, 40), (4, 10)):
        streamed = Streamed(10, held_bytes, iter(()))
        unsent.hold(streamed)
        assert unsent.held_bytes == counted
        unsent.let_go(streamed)
        assert unsent.held_bytes == 0


def test_one_more_than_the_limit_is_refused_at_once() -> None:
    """And a place that was given back is free again, whatever happened inside."""
    in_flight = InFlight(1)
    with in_flight.place(), pytest.raises(Overloaded, match="1 requests"), in_flight.place():
        pytest.fail("there is no second place")
    with contextlib.suppress(KeyError), in_flight.place():
        raise KeyError
    with in_flight.place():
        assert in_flight.count == 1


def test_a_place_is_given_back_once() -> None:
    """The end of its block takes nothing from whoever has it since then."""
    in_flight = InFlight(1)
    with in_flight.place() as place:
        place.give_back()
        another = in_flight.place()
    assert in_flight.count == 1
    another.give_back()
    assert in_flight.count == 0


def test_five_attempts_a_minute() -> None:
    """The sixth says how long to wait; a minute after the first there is one again."""
    clock = Clock()
    limit = RateLimit(5, clock=clock)
    for _ in range(5):
        assert limit.take("a") == 0.0
        clock.now += 1
    assert limit.take("a") == 55.0
    assert limit.take("b") == 0.0
    clock.now = 160.0
    assert limit.take("a") == 0.0
    assert limit.take("a") == 1.0


def test_a_refused_attempt_does_not_count() -> None:
    """Who keeps trying is let in again after a minute."""
    clock = Clock()
    limit = RateLimit(1, clock=clock)
    assert limit.take("a") == 0.0
    for _ in range(100):
        assert limit.take("a") > 0
    clock.now += 60
    assert limit.take("a") == 0.0


def test_memory_of_clients_is_bounded() -> None:
    """The latest ones are remembered."""
    limit = RateLimit(1, max_clients=3, clock=Clock())
    for client in "abcd":
        limit.take(client)
    assert list(limit._seen) == ["b", "c", "d"]
