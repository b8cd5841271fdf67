"""How the C library's allocator treats the large arrays and texts of every request. Only glibc has these switches."""

from __future__ import annotations

import asyncio
import ctypes
import logging
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger(__name__)

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8

KEPT_BYTES: Final = 256 << 20
MAPPED_BYTES: Final = 32 << 20
IDLE_S: Final = 60.0


def _glibc() -> Any | None:
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def keep_freed_memory() -> bool:
    """Freed memory stays with the process for the next request; False where the C library cannot be told so.

    By default every array above 128 KB is mapped anew and given back at once, and the kernel clears its pages each
    time: two thousand page faults, a third of the time of a small request. One arena serves all threads, or else each
    would keep memory of its own. Call it once, before much is allocated; `give_back_when_idle` is its other half.
    """
    library = _glibc()
    if library is None:
        return False
    settings = ((M_MMAP_THRESHOLD, MAPPED_BYTES), (M_TRIM_THRESHOLD, KEPT_BYTES), (M_ARENA_MAX, 1))
    results = [library.mallopt(name, value) for name, value in settings]
    return all(results)


def give_back() -> bool:
    """Returns freed memory to the system now; False where the C library cannot be told so. Takes milliseconds."""
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


async def give_back_when_idle(work_done: Callable[[], int], *, idle_s: float = IDLE_S) -> None:
    """Returns freed memory to the system whenever nothing was done for `idle_s` after something was; never ends.

    work_done: a number that grows with every piece of work.
    """
    if _glibc() is None:
        return
    given_back_at = seen = work_done()
    while True:
        await asyncio.sleep(idle_s)
        now = work_done()
        if now == seen and now != given_back_at:
            await asyncio.to_thread(give_back)
            given_back_at = now
            log.debug("freed memory given back to the system")
        seen = now
