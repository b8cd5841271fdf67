"""The closed windows of which hot keys are held, oldest first, as many as fit into a number of bytes, one at least."""

from __future__ import annotations

from keyviz_grpc.hotkeys.closed import ClosedWindow, fitted
from keyviz_grpc.hotkeys.summary import Summary
from keyviz_grpc.hotkeys.sums import Sum
from keyviz_grpc.hotkeys.window import Bucket
from keyviz_grpc.timeline import Timeline


class HeldWindows(Timeline[ClosedWindow]):
    """Closed windows by stamp; they are immutable."""

    def __init__(self, *, limit: int, limit_bytes: int) -> None:
        super().__init__()
        self._limit, self._limit_bytes = limit, limit_bytes
        self.taken_bytes = 0
        self._gone_unix_ms = 0  # the newest stamp that gave way, 0 = none did

    def is_gone(self, stamp: int) -> bool:
        """Whether that window, or a newer one, gave way already."""
        return stamp <= self._gone_unix_ms

    def put(self, stamp: int, window: ClosedWindow) -> bool:
        """Keeps a window; one of a stamp that is there already is added to it. The oldest give way.

        False, and nothing is kept, at or below a stamp that gave way: what comes for it later would pass for all of it.
        """
        if self.is_gone(stamp):
            return False
        held = self.get(stamp)
        if held is not None:
            self.taken_bytes -= held.own_bytes
            window = _added(held, window)
        window = fitted(window, self._limit_bytes)
        self.set(stamp, window)
        self.taken_bytes += window.own_bytes
        while len(self) > self._limit or (self.taken_bytes > self._limit_bytes and len(self) > 1):
            self._gone_unix_ms = self.oldest_unix_ms
            self.taken_bytes -= self.pop_oldest().own_bytes
        return True


def _added(left: ClosedWindow, right: ClosedWindow) -> ClosedWindow:
    def whole(bucket: Bucket) -> Summary:
        return Sum.of(part for part in (_of(left, bucket), _of(right, bucket)) if part is not None).summary()

    buckets = left.buckets | right.buckets
    if left.lost or right.lost:
        return ClosedWindow({bucket: whole(bucket) for bucket in buckets}, left.lost + right.lost)
    return ClosedWindow(buckets | {bucket: whole(bucket) for bucket in left.buckets.keys() & right.buckets}, 0)


def _of(window: ClosedWindow, bucket: Bucket) -> Summary | None:
    """What a window says of a bucket: operations that it lost may have been of one that it does not have."""
    own = window.buckets.get(bucket)
    if own is None and window.lost:
        return Summary.of({}, error=0, taken=0, missed=window.lost)
    return own
