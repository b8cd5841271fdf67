"""One timer for the blocks of many tasks, each of which ends when its own time comes."""

from __future__ import annotations

import asyncio
import sys


class Curfew:
    """What `asyncio.timeout` is to one block, for many; for one event loop.

    Its timer runs on while nobody is inside, so that whoever is back in time causes none. Who is inside goes by a
    number: an error that knows a frame that knows its task, which knows the error, would keep all that was asked for
    until the garbage collector comes across them.
    most: so many have time left; one more ends the time of the one that has been inside for longest.
    """

    def __init__(self, most: int = sys.maxsize) -> None:
        self._most = most
        self._inside: dict[int, tuple[asyncio.Task[object], int, float]] = {}
        self._rung: dict[int, tuple[asyncio.Task[object], int]] = {}
        self._entered = 0
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, after_s: float) -> int:
        """The number under which the current task is inside: it is cancelled so many seconds from now."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be cancelled")
        while len(self._inside) >= self._most:
            self._end(next(iter(self._inside)))
        self._entered += 1
        due_s = loop.time() + after_s
        self._inside[self._entered] = task, task.cancelling(), due_s
        if self._timer is None or due_s < self._timer.when():
            self._set(loop, due_s)
        return self._entered

    def is_why(self, number: int) -> bool:
        """Whether nothing else cancelled that task."""
        if number not in self._rung:
            return False
        task, cancelled_before = self._rung[number]
        return task.cancelling() - 1 <= cancelled_before

    def leave(self, number: int) -> None:
        """Its cancellation, if there was one, is over."""
        if self._inside.pop(number, None) is None:
            task, _ = self._rung.pop(number)
            task.uncancel()

    def _end(self, number: int) -> None:
        task, cancelled_before, _ = self._inside.pop(number)
        self._rung[number] = task, cancelled_before
        task.cancel()

    def _set(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(due_s, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, now_s = None, loop.time()
        for number in [number for number, (_, _, due_s) in self._inside.items() if due_s <= now_s]:
            self._end(number)
        if self._inside:
            self._set(loop, min(due_s for _, _, due_s in self._inside.values()))
