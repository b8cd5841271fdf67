"""One log line for a peer that fails, and one when it is back, however often it is asked."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keyviz_grpc.hotkeys import HotKeysAnswer
from keyviz_grpc.outcome import Answer, Outcome

log = logging.getLogger(__name__)

EVERY_S: Final = 30.0
MAX_PEERS: Final = 1024


@dataclass(slots=True)
class _Trouble:
    """told_at: when the last line was written; untold: failures since; shown: whether this failing was logged."""

    told_at: float
    untold: int = 0
    shown: bool = True
    failing: bool = True


class FailureLog:
    """An observer that logs. Of each peer at most one failure in `every_s` seconds; a line counts those between.

    Leaves behind another aggregator are logged by that one, under the same request id. clock: seconds that only go
    forward. Remembers the latest peers only, so it stays small however peers come and go.
    """

    def __init__(self, *, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s, self._clock = every_s, clock
        self._troubles: OrderedDict[str, _Trouble] = OrderedDict()

    def asked(self, peer: str, result: Answer | Outcome, seconds: float) -> None:
        """See Observer."""
        if isinstance(result, Outcome) and not result.ok:
            self._failed(peer, result, seconds)
        elif (trouble := self._troubles.get(peer)) is not None and trouble.failing:
            trouble.failing = False
            if trouble.shown:
                log.info("peer answers again", extra={"peer": peer, "more_failures": trouble.untold})

    def asked_for_hot_keys(self, peer: str, result: HotKeysAnswer | Outcome, seconds: float) -> None:
        """See Observer. Not logged: hot keys are off on many nodes, and a node that is ill fails for matrices too."""

    def merged(self, answer: Answer, seconds: float) -> None:
        """See Observer."""

    def joined(self) -> None:
        """See Observer."""

    def _failed(self, peer: str, outcome: Outcome, seconds: float) -> None:
        now = self._clock()
        trouble = self._troubles.get(peer)
        if trouble is not None and now - trouble.told_at < self._every_s:
            trouble.untold += 1
            trouble.shown = trouble.shown and trouble.failing
            trouble.failing = True
            return
        untold = 0 if trouble is None else trouble.untold
        self._troubles[peer] = _Trouble(now)
        self._troubles.move_to_end(peer)
        while len(self._troubles) > MAX_PEERS:
            self._troubles.popitem(last=False)
        told = {"peer": peer, "kind": str(outcome.kind), "detail": outcome.detail, "ms": round(seconds * 1000, 1)}
        log.warning("peer failed", extra={**told, "failures_before": untold} if untold else told)
