"""Looking for the members of a cluster beside the requests that need them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE_S: Final = 0.25
"""How old a look may get with requests waiting for it that have something to go by: quick news counts at once."""

BETWEEN_S: Final = 1.0
"""The least time between two looks, however many requests find members missing."""


class Looking:
    """One look at a time, begun by a request when it is due. For one event loop.

    look: one look; returns the seconds until the next is due, and sets `some` as soon as there is anybody to ask.
    clock: seconds that only go forward.
    """

    def __init__(self, look: Callable[[], Awaitable[float]], *, clock: Callable[[], float]) -> None:
        self._look, self._clock = look, clock
        self._task: asyncio.Task[None] | None = None
        self._due, self._began, self._ended = -math.inf, -math.inf, -math.inf
        self.some = asyncio.Event()

    async def fresh(self, wait_s: float) -> None:
        """Looks if that is due. Waits until somebody is known, for up to `wait_s`, and then briefly for the rest."""
        if self._task is None and self._clock() >= self._due:
            self._began = self._clock()
            self._task = asyncio.ensure_future(self._run())
        task = self._task
        if task is None:
            return
        if not self.some.is_set():
            first = asyncio.ensure_future(self.some.wait())
            try:
                await asyncio.wait({task, first}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
        if self.some.is_set():
            patience_s = min(wait_s, self._began + PATIENCE_S - self._clock())
            await asyncio.wait({task}, timeout=max(0.0, patience_s))
        if task.done() and not task.cancelled():
            task.result()

    def soon(self) -> None:
        """A member is missing: the next request looks, unless a look has just ended."""
        self._due = min(self._due, self._ended + BETWEEN_S)

    async def close(self) -> None:
        """Gives up a look under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            again_s = await self._look()
        finally:
            self._task, self._ended = None, self._clock()
        self._due = self._ended + again_s
