"""Identical requests in flight share one piece of work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from keyviz_grpc.errors import Overloaded

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Flights(Generic[Key, Value]):
    """At most `limit` pieces of work at once; a caller that leaves cancels its work unless another still waits.

    joined: called whenever a caller waits for work that another one started.
    """

    def __init__(self, limit: int, *, joined: Callable[[], None] | None = None) -> None:
        self._limit, self._joined = limit, joined
        self._tasks: dict[Key, asyncio.Task[Value]] = {}
        self._waiting: dict[Key, int] = {}

    async def join(self, key: Key, work: Callable[[], Awaitable[Value]]) -> Value:
        """The result of the work under this key, started if nobody has. Overloaded when too many are under way."""
        task = self._tasks.get(key)
        if task is None:
            if len(self._tasks) >= self._limit:
                raise Overloaded(f"{self._limit} requests are under way already, try again")
            task = asyncio.ensure_future(_run(work))
            self._tasks[key] = task
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


async def _run(work: Callable[[], Awaitable[Value]]) -> Value:
    return await work()
