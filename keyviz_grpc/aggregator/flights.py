"""Identical requests in flight share one piece of work."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeVar

from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import Overloaded

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Question = TypeVar("Question", bound=Hashable)


class Flights(Generic[Key, Value]):
    """At most `limit` pieces of work at once; a caller that leaves cancels its work unless another still waits.

    joined: called whenever a caller waits for work that another one started.
    """

    def __init__(self, limit: int, *, joined: Callable[[], None] | None = None) -> None:
        self._limit, self._joined = limit, joined
        self._tasks: dict[Key, asyncio.Task[Value]] = {}
        self._waiting: dict[Key, int] = {}
        self._due_s: dict[Key, float] = {}

    def due_by(self, keys: Iterable[Key], at_s: float) -> Key:
        """The first of the keys under which nothing is under way, or work that is due by then; one must be."""
        return next(key for key in keys if key not in self._tasks or self._due_s[key] <= at_s)

    async def join(self, key: Key, work: Callable[[], Awaitable[Value]], *, due_s: float = math.inf) -> Value:
        """The result of the work under this key, started if nobody has. Overloaded when too many are under way.

        due_s: when the work ends at the latest, if it is started now.
        """
        task = self._tasks.get(key)
        if task is None:
            if len(self._tasks) >= self._limit:
                raise Overloaded(f"{self._limit} requests are under way already, try again")
            task = asyncio.ensure_future(_run(work))
            self._tasks[key], self._due_s[key] = task, due_s
            task.add_done_callback(lambda _: self._forget(key))
        elif self._joined is not None:
            self._joined()
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[key] = self._waiting.get(key, 1) - 1
            if self._waiting[key] == 0:
                del self._waiting[key]
                if not task.done():
                    self._tasks.pop(key, None)
                    task.cancel()

    def __len__(self) -> int:
        return len(self._tasks)

    def _forget(self, key: Key) -> None:
        if (task := self._tasks.get(key)) is not None and task.done():
            del self._tasks[key]


class Questions(Generic[Question, Value]):
    """Flights for callers with deadlines: nobody waits for work that is due later than a fan-out of one's own.

    Nor for work that was begun by somebody in much more of a hurry, who leaves half of the nodes' time at most.
    timeout_s, share: what a fan-out may take, and of the caller's time.
    """

    def __init__(self, limit: int, *, timeout_s: float, share: float, joined: Callable[[], None] | None = None) -> None:
        self._timeout_s, self._share = timeout_s, share
        self._flights: Flights[tuple[Question, int], Value] = Flights(limit, joined=joined)

    async def join(self, question: Question, deadline: Deadline, work: Callable[[], Awaitable[Value]]) -> Value:
        """See `Flights`."""
        due_s = deadline.child(self._timeout_s, self._share).at_s
        hurry = deadline.hurry(self._timeout_s, self._share)
        key = self._flights.due_by(((question, more) for more in itertools.count(hurry)), due_s)
        return await self._flights.join(key, work, due_s=due_s)

    def __len__(self) -> int:
        return len(self._flights)


async def _run(work: Callable[[], Awaitable[Value]]) -> Value:
    return await work()
