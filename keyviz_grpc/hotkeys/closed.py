"""A closed window, and how it becomes one that fits into a number of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyviz_grpc.hotkeys.summary import Summary
from keyviz_grpc.hotkeys.window import Bucket

WINDOW_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """buckets: what is known of each that had operations. lost: operations of buckets past those told apart."""

    buckets: dict[Bucket, Summary]
    lost: int

    @property
    def own_bytes(self) -> int:
        """What it takes in memory, about."""
        return WINDOW_BYTES + sum(summary.own_bytes for summary in self.buckets.values())


def fitted(window: ClosedWindow, limit_bytes: int) -> ClosedWindow:
    """The window with fewer keys of each bucket, and if that is not enough with fewer buckets, so that it fits.

    The hottest stay, and the bounds cover what is left out. limit_bytes: WINDOW_BYTES at least.
    """
    found, most = window, max((len(summary.lowers) for summary in window.buckets.values()), default=0)
    while found.own_bytes > limit_bytes and most:
        most //= 2
        found = ClosedWindow({bucket: own.trimmed(most) for bucket, own in window.buckets.items()}, window.lost)
    return found if found.own_bytes <= limit_bytes else _hottest(found, limit_bytes)


def _hottest(window: ClosedWindow, limit_bytes: int) -> ClosedWindow:
    """The window with the buckets of most operations alone."""
    left, lost = limit_bytes - WINDOW_BYTES, window.lost
    kept: dict[Bucket, Summary] = {}
    for bucket, own in sorted(window.buckets.items(), key=lambda item: (-item[1].operations, item[0])):
        if own.own_bytes <= left:
            kept[bucket] = own
            left -= own.own_bytes
        else:
            lost += own.operations
    return ClosedWindow(kept, lost)
