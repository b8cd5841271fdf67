"""One timer for all calls that must be done at the same moment, as those of a fan-out must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from keyviz_grpc.deadline import Deadline


class Curfew:
    """What `asyncio.timeout` is to one block, for the blocks of many tasks; each of them enters once.

    Who is inside goes by a number: an error that knows a frame that knows its task, which knows the error, would keep
    all that was asked for until the garbage collector comes across them. over: told when nobody can enter any more.
    """

    def __init__(self, left_s: float, over: Callable[[], object]) -> None:
        self._inside: dict[int, tuple[asyncio.Task[object], int]] = {}
        self._entered = 0
        self._rang = False
        self._over = over
        self._timer = asyncio.get_running_loop().call_later(left_s, self._ring)

    def _ring(self) -> None:
        self._rang = True
        self._over()
        for task, _ in self._inside.values():
            task.cancel()

    def enter(self) -> int:
        """The number under which the current task is inside: it is cancelled when the time comes."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be cancelled")
        self._entered += 1
        self._inside[self._entered] = task, task.cancelling()
        return self._entered

    def is_why(self, number: int) -> bool:
        """Whether nothing else cancelled that task."""
        task, cancelled_before = self._inside[number]
        return self._rang and task.cancelling() - 1 <= cancelled_before

    def leave(self, number: int) -> None:
        """Its cancellation, if there was one, is over."""
        task, _ = self._inside.pop(number)
        if self._rang:
            task.uncancel()
        elif not self._inside:
            self._timer.cancel()
            self._over()


class Curfews:
    """The curfews of one event loop by when they are: so many seconds after a deadline."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._by_moment: dict[float, Curfew] = {}

    def of(self, deadline: Deadline) -> Curfew:
        """The one to enter at once."""
        moment = deadline.at_s
        curfew = self._by_moment.get(moment)
        if curfew is None:
            curfew = Curfew(deadline.left_s() + self._grace_s, lambda: self._by_moment.pop(moment))
            self._by_moment[moment] = curfew
        return curfew
