"""Several pieces of work at once, for one who waits for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

_Result = TypeVar("_Result")


async def together(works: Iterable[Coroutine[object, object, _Result]]) -> list[_Result]:
    """What each of them comes to, in their order; where one fails, or this is cancelled, all are ended first.

    By a callback of each of them, as `asyncio.gather` has it, the last one would be heard of a turn of the loop later.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(work) for work in works]
    try:
        # The last one first: mostly the others are done then, and who waits is woken once.
        return [await task for task in reversed(tasks)][::-1]
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
