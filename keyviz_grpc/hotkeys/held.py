"""The closed windows of which hot keys are held, oldest first, as many as fit into a number of bytes, one at least."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Final

from keyviz_grpc.hotkeys.summary import Sum, Summary
from keyviz_grpc.hotkeys.window import Bucket

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


class HeldWindows:
    """Closed windows by stamp. Windows are immutable, so a list of them can be read without a lock."""

    def __init__(self, *, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._stamps: list[int] = []
        self._windows: dict[int, ClosedWindow] = {}
        self.taken_bytes = 0

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def oldest_unix_ms(self) -> int:
        """Stamp of the oldest window, 0 when there is none."""
        return self._stamps[0] if self._stamps else 0

    @property
    def newest_unix_ms(self) -> int:
        """Stamp of the newest window, 0 when there is none."""
        return self._stamps[-1] if self._stamps else 0

    def put(self, stamp: int, window: ClosedWindow) -> None:
        """Keeps a window; one of a stamp that is there already is added to it. The oldest give way."""
        held = self._windows.get(stamp)
        if held is not None:
            self.taken_bytes -= held.own_bytes
            window = _added(held, window)
        else:
            insort(self._stamps, stamp)
        self._windows[stamp] = window
        self.taken_bytes += window.own_bytes
        while len(self._stamps) > self._limit or (self.taken_bytes > self._limit_bytes and len(self._stamps) > 1):
            self.taken_bytes -= self._windows.pop(self._stamps.pop(0)).own_bytes

    def between(self, from_unix_ms: int, to_unix_ms: int) -> list[tuple[int, ClosedWindow]]:
        """(stamp, window), ascending, with from <= stamp < to; 0 = unbounded."""
        first = bisect_left(self._stamps, from_unix_ms)
        last = bisect_left(self._stamps, to_unix_ms) if to_unix_ms else len(self._stamps)
        return [(stamp, self._windows[stamp]) for stamp in self._stamps[first:last]]


def _added(left: ClosedWindow, right: ClosedWindow) -> ClosedWindow:
    buckets = dict(left.buckets)
    for bucket, summary in right.buckets.items():
        own = buckets.get(bucket)
        buckets[bucket] = summary if own is None else Sum.of([own, summary]).summary()
    return ClosedWindow(buckets, left.lost + right.lost)
