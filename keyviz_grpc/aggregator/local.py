"""The node in this very process: asked in threads of its own, and its failures are outcomes like any peer's."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from keyviz_grpc.deadline import NOT_IN_TIME, Deadline
from keyviz_grpc.errors import FAILURE_OF_STATUS, ON_THE_WIRE, FailureKind, HotKeysDisabled, KeyVizError, TooLarge
from keyviz_grpc.outcome import Outcome

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

SELF: Final = "self"
THREADS: Final = 2
HANGS_S: Final = 10.0
FAILED: Final = "the source in this process failed: see the log"


class LocalCalls:
    """Calls into the local source. A source that hangs holds these threads alone, never those that merge.

    When all of them have been inside for HANGS_S no call waits for one, so that nothing piles up behind them. clock:
    seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="keyviz-local")
        self._clock = clock
        self._inside: dict[object, float] = {}

    async def ask(self, work: Callable[[], _Result], deadline: Deadline) -> _Result | Outcome:
        """What the work gives, or the outcome of `self` where it fails or is not there by the deadline."""
        began = sorted(self._inside.values())
        if len(began) >= THREADS and self._clock() - began[-1] >= HANGS_S:
            detail = f"the source in this process hangs: {len(began)} calls have not come back for {HANGS_S:g} s"
            return Outcome(SELF, kind=FailureKind.DEADLINE_EXCEEDED, detail=detail)
        call = asyncio.get_running_loop().run_in_executor(self._threads, self._watched, work)
        try:
            return await asyncio.wait_for(call, deadline.left_s())
        except TimeoutError:
            if not call.cancelled():  # the source's own, not the deadline's
                log.exception("the local source failed")
                return Outcome(SELF, kind=FailureKind.INTERNAL, detail=FAILED)
            return Outcome(SELF, kind=FailureKind.DEADLINE_EXCEEDED, detail=NOT_IN_TIME)
        except KeyVizError as error:
            return Outcome(SELF, kind=_kind_of(error), detail=_words_of(error))
        except Exception:
            log.exception("the local source failed")
            return Outcome(SELF, kind=FailureKind.INTERNAL, detail=FAILED)

    def _watched(self, work: Callable[[], _Result]) -> _Result:
        mark = object()
        self._inside[mark] = self._clock()
        try:
            return work()
        finally:
            del self._inside[mark]

    def close(self) -> None:
        """Takes no further calls; nobody waits for one that hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _kind_of(error: KeyVizError) -> FailureKind:
    if isinstance(error, TooLarge):
        return FailureKind.MESSAGE_TOO_LARGE
    known = next((ON_THE_WIRE[kind] for kind in type(error).__mro__ if kind in ON_THE_WIRE), None)
    if known is None:
        return FailureKind.INTERNAL
    return FailureKind.DISABLED if known.grpc_code == "UNAVAILABLE" else FAILURE_OF_STATUS[known.grpc_code]


def _words_of(error: KeyVizError) -> str:
    return f"hotkeys_disabled: {error}" if isinstance(error, HotKeysDisabled) else str(error)
