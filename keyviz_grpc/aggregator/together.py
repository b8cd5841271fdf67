"""Several pieces of work at once, for one who waits for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TypeVar

_Result = TypeVar("_Result")


async def together(works: Sequence[Coroutine[object, object, _Result]]) -> list[_Result]:
    """What each of them comes to, in their order; a failure is told, or this is cancelled, when all have ended.

    Each must come to its end by itself in any case: one that fails is seen when those that are waited for before it
    are done.
    The first one is done in this very task, for one of its own takes turns of the loop to begin and to tell that it is
    done; so does a callback of each of the others, as `asyncio.gather` has it.
    """
    if not works:
        return []
    first, *others = works
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(work) for work in others]
    cancelled_before = _cancellations()
    try:
        told = [await first]
        _check(cancelled_before)
        # The last one before the others: mostly those are done then, and who waits is woken once.
        told += [await task for task in reversed(tasks)][::-1]
        _check(cancelled_before)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    return told


def _check(cancelled_before: int) -> None:
    """Raises CancelledError where this task was cancelled since, and a piece of work swallowed that.

    `asyncio.wait_for` of Python 3.11 does when what it waits for comes in the very same moment.
    """
    if _cancellations() > cancelled_before:
        raise asyncio.CancelledError


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
