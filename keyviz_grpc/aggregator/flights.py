"""Identical requests in flight share one piece of work."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import Overloaded
from keyviz_grpc.unchanging import unchanging

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Question = TypeVar("Question", bound=Hashable)


class Waiting(Generic[Value]):
    """Those who wait for one piece of work. over: whether it has come to its end.

    It knows no task: one that was cancelled knows the frames of its work, which know this.
    """

    def __init__(self) -> None:
        self.futures: set[asyncio.Future[Value]] = set()
        self.over = False

    def tell(self, value: Value) -> None:
        """The work has come to this."""
        for future in self.futures:
            if not future.done():
                future.set_result(value)

    def fail(self, error: Exception) -> bool:
        """It has failed. Whether anybody is told."""
        told = [future for future in self.futures if not future.done()]
        for future in told:
            future.set_exception(error)
        return bool(told)

    def leave(self) -> None:
        """It was cancelled."""
        for future in self.futures:
            future.cancel()


@unchanging(frozen=True, slots=True, eq=False)
class _Flight(Generic[Value]):
    """One piece of work, and when it is due."""

    task: asyncio.Task[None]
    waiting: Waiting[Value]
    due_s: float


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

    def is_due_by(self, key: Key, at_s: float) -> bool:
        """Whether the work under that key is due by then; what would be started now is."""
        flight = self._flying.get(key)
        return flight is None or flight.due_s <= at_s

    async def join(self, key: Key, work: Callable[[], Awaitable[Value]], *, due_s: float = math.inf) -> Value:
        """The result of the work under this key, started if nobody has. Overloaded when too many are under way.

        due_s: when the work ends at the latest, if it is started now.
        """
        flight = self._flying.get(key)
        if flight is None:
            flight = self._start(key, work, due_s)
        elif self._joined is not None:
            self._joined()
        told: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        waiting = flight.waiting
        waiting.futures.add(told)
        try:
            return await told
        finally:
            waiting.futures.discard(told)
            del told  # it knows the error that knows this frame
            if not (waiting.futures or waiting.over or self._lasting):
                self._forget(key, waiting)
                flight.task.cancel()

    def _start(self, key: Key, work: Callable[[], Awaitable[Value]], due_s: float) -> _Flight[Value]:
        if self._room.taken >= self._room.limit:
            raise Overloaded(f"{self._room.limit} requests are under way already, try again")
        self._room.taken += 1
        self._room.begun += 1
        waiting: Waiting[Value] = Waiting()
        task = asyncio.get_running_loop().create_task(self._run(key, waiting, work))
        task.add_done_callback(lambda _: self._landed(key, waiting))
        flight = self._flying[key] = _Flight(task, waiting, due_s)
        return flight

    async def _run(self, key: Key, waiting: Waiting[Value], work: Callable[[], Awaitable[Value]]) -> None:
        # Whoever waits is told here: by a callback of this task it would take a turn of the loop more.
        try:
            value = await work()
        except Exception as error:
            self._end(key, waiting)
            if not waiting.fail(error):
                raise  # for the log: asyncio tells what nobody has asked a task for
        else:
            self._end(key, waiting)
            waiting.tell(value)

    def _landed(self, key: Key, waiting: Waiting[Value]) -> None:
        if not waiting.over:  # cancelled, maybe before its first step
            self._end(key, waiting)
            waiting.leave()

    def _end(self, key: Key, waiting: Waiting[Value]) -> None:
        waiting.over = True
        self._room.taken -= 1
        self._forget(key, waiting)

    def _forget(self, key: Key, waiting: Waiting[Value]) -> None:
        flight = self._flying.get(key)
        if flight is not None and flight.waiting is waiting:
            del self._flying[key]


class Questions(Generic[Question, Value]):
    """Flights for callers with deadlines: nobody waits for work that is due later than a fan-out of one's own.

    Nor for work that was begun by somebody in much more of a hurry, who leaves half of the nodes' time at most.
    timeout_s, share: what a fan-out may take, and of the caller's time.
    """

    def __init__(self, room: Room, *, timeout_s: float, share: float, joined: Callable[[], None] | None = None) -> None:
        self._timeout_s, self._share = timeout_s, share
        self._flights: Flights[tuple[Question, int], Value] = Flights(room, joined=joined)

    def join(
        self, question: Question, deadline: Deadline, work: Callable[[], Awaitable[Value]]
    ) -> Coroutine[object, object, Value]:
        """See `Flights`."""
        due_s = deadline.child(self._timeout_s, self._share).at_s
        hurry = deadline.hurry(self._timeout_s, self._share)
        while not self._flights.is_due_by((question, hurry), due_s):
            hurry += 1
        return self._flights.join((question, hurry), work, due_s=due_s)
