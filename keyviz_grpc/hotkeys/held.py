"""The closed windows of which hot keys are held, oldest first, as many as fit into a number of bytes, one at least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyviz_grpc.hotkeys.summary import Sum, Summary
from keyviz_grpc.hotkeys.window import Bucket
from keyviz_grpc.timeline import Timeline

_WINDOW_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """buckets: what is known of each that had operations. lost: operations of buckets past those told apart."""

    buckets: dict[Bucket, Summary]
    lost: int

    @property
    def own_bytes(self) -> int:
        """What it takes in memory, about."""
        return _WINDOW_BYTES + sum(summary.own_bytes for summary in self.buckets.values())


class HeldWindows(Timeline[ClosedWindow]):
    """Closed windows by stamp; they are immutable."""

    def __init__(self, *, limit: int, limit_bytes: int) -> None:
        super().__init__()
        self._limit, self._limit_bytes = limit, limit_bytes
        self.taken_bytes = 0

    def put(self, stamp: int, window: ClosedWindow) -> None:
        """Keeps a window; one of a stamp that is there already is added to it. The oldest give way."""
        held = self.get(stamp)
        if held is not None:
            self.taken_bytes -= held.own_bytes
            window = _added(held, window)
        self.set(stamp, window)
        self.taken_bytes += window.own_bytes
        while len(self) > self._limit or (self.taken_bytes > self._limit_bytes and len(self) > 1):
            self.taken_bytes -= self.pop_oldest().own_bytes


def _added(left: ClosedWindow, right: ClosedWindow) -> ClosedWindow:
    buckets = dict(left.buckets)
    for bucket, summary in right.buckets.items():
        own = buckets.get(bucket)
        buckets[bucket] = summary if own is None else Sum.of([own, summary]).summary()
    return ClosedWindow(buckets, left.lost + right.lost)
