"""What a recorder of hot keys tells about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Totals:
    """Operations that were looked at, by what became of their keys, and sketches that were taken away; only grow.

    taken: into a sketch. dropped: too many were waiting, or their window gave way to newer ones before it closed.
    skipped: the key is too long. no_memory: the bucket had no sketch. evicted: sketches whose memory a hotter bucket
    got, or a window nearer to the present.
    """

    taken: int = 0
    dropped: int = 0
    skipped: int = 0
    no_memory: int = 0
    evicted: int = 0


@dataclass(frozen=True, slots=True)
class HotKeysStats:
    """One moment of a recorder; taken to evicted as in `Totals`, the rest is how it stands now.

    pending: operations that wait, as `max_pending` counts them, of at most pending_limit. buckets: routes, labels and
    directions told apart in open windows; sketches: those that have one. open_bytes, closed_bytes: memory of open
    windows' sketches and of closed windows, of at most half_bytes each. windows: closed ones that are held, of at most
    windows_limit.
    """

    taken: int
    dropped: int
    skipped: int
    no_memory: int
    evicted: int
    pending: int
    pending_limit: int
    buckets: int
    sketches: int
    open_bytes: int
    closed_bytes: int
    half_bytes: int
    windows: int
    windows_limit: int
