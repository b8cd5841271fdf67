"""Identical requests in flight share one piece of work."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import Overloaded

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Question = TypeVar("Question", bound=Hashable)


@dataclass(slots=True, eq=False)
class _Flight(Generic[Value]):
    """One piece of work, when it is due, and how many wait for it."""

    task: asyncio.Task[Value]
    due_s: float
    waiting: int = 0


@dataclass(slots=True)
class Room:
    """How much work may be under way at once, in one `Flights` or in several. taken: now. begun: so far."""

    limit: int
    taken: int = 0
    begun: int = 0


class Flights(Generic[Key, Value]):
    """Work by key within a room; a caller that leaves cancels its work unless another still waits.

    joined: called whenever a caller waits for work that another one started. lasting: work goes on without callers,
    and the next one joins it.
    """

    def __init__(self, room: Room, *, joined: Callable[[], None] | None = None, lasting: bool = False) -> None:
        self._room, self._joined, self._lasting = room, joined, lasting
        self._flying: dict[Key, _Flight[Value]] = {}

    def due_by(self, keys: Iterable[Key], at_s: float) -> Key:
        """The first of the keys under which nothing is under way, or work that is due by then; one must be."""
        return next(key for key in keys if key not in self._flying or self._flying[key].due_s <= at_s)

    async def join(self, key: Key, work: Callable[[], Awaitable[Value]], *, due_s: float = math.inf) -> Value:
        """The result of the work under this key, started if nobody has. Overloaded when too many are under way.

        due_s: when the work ends at the latest, if it is started now.
        """
        flight = self._flying.get(key)
        if flight is None:
            flight = self._start(key, work, due_s)
        elif self._joined is not None:
            self._joined()
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not self._lasting and not flight.waiting and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()

    def _start(self, key: Key, work: Callable[[], Awaitable[Value]], due_s: float) -> _Flight[Value]:
        if self._room.taken >= self._room.limit:
            raise Overloaded(f"{self._room.limit} requests are under way already, try again")
        self._room.taken += 1
        self._room.begun += 1
        flight = self._flying[key] = _Flight(asyncio.ensure_future(_run(work)), due_s)
        flight.task.add_done_callback(lambda _: self._ended(key, flight))
        return flight

    def _ended(self, key: Key, flight: _Flight[Value]) -> None:
        self._room.taken -= 1
        self._forget(key, flight)

    def _forget(self, key: Key, flight: _Flight[Value]) -> None:
        if self._flying.get(key) is flight:
            del self._flying[key]


class Questions(Generic[Question, Value]):
    """Flights for callers with deadlines: nobody waits for work that is due later than a fan-out of one's own.

    Nor for work that was begun by somebody in much more of a hurry, who leaves half of the nodes' time at most.
    timeout_s, share: what a fan-out may take, and of the caller's time.
    """

    def __init__(self, room: Room, *, timeout_s: float, share: float, joined: Callable[[], None] | None = None) -> None:
        self._timeout_s, self._share = timeout_s, share
        self._flights: Flights[tuple[Question, int], Value] = Flights(room, joined=joined)

    async def join(self, question: Question, deadline: Deadline, work: Callable[[], Awaitable[Value]]) -> Value:
        """See `Flights`."""
        due_s = deadline.child(self._timeout_s, self._share).at_s
        hurry = deadline.hurry(self._timeout_s, self._share)
        key = self._flights.due_by(((question, more) for more in itertools.count(hurry)), due_s)
        return await self._flights.join(key, work, due_s=due_s)


async def _run(work: Callable[[], Awaitable[Value]]) -> Value:
    return await work()
