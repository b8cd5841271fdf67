"""The sketches of one window that is still open: of every bucket while memory lasts, then of the hottest ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from keyviz_grpc.hotkeys.sketch import KeySketch
from keyviz_grpc.hotkeys.summary import Summary

HOTTER: Final = 2
"""How many times as many operations as another a bucket must have had to take its sketch's memory."""

MAX_BUCKETS: Final = 1 << 15


class Bucket(NamedTuple):
    """What one sketch is about. life: grows when the route's id comes to mean another range."""

    route_id: int
    label: str
    write: bool
    life: int = 0


class SketchMemory:
    """The bytes that all sketches of open windows may take together."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.taken_bytes = 0

    def take(self, size: int) -> bool:
        """Whether so many bytes more fit; if so they are taken."""
        if self.taken_bytes + size > self.limit_bytes:
            return False
        self.taken_bytes += size
        return True


class _Entry:
    __slots__ = ("missed", "reserved_bytes", "seen", "sketch", "skipped", "taken")

    def __init__(self) -> None:
        self.sketch: KeySketch | None = None
        self.reserved_bytes = 0
        self.seen = 0
        self.taken = 0
        self.missed = 0
        self.skipped = 0


class OpenSketches:
    """Sketches by bucket. Not thread-safe: the recorder calls it under its lock.

    A bucket without a sketch only counts its operations as missed. It gets a sketch as soon as there is memory, or when
    it has had HOTTER times as many operations as buckets that have one: the coldest of those lose theirs, and what
    they had counts as missed.
    """

    def __init__(self, counters: int, memory: SketchMemory) -> None:
        self._counters, self._memory = counters, memory
        self._entries: dict[Bucket, _Entry] = {}
        self.lost = 0

    def take(self, groups: Mapping[Bucket, Iterable[bytes]]) -> None:
        """Takes in the keys of operations; the hottest buckets first, since memory may not suffice for all."""
        batches = [(self._entry(bucket), Counter(keys)) for bucket, keys in groups.items()]
        sized = [(entry, keys, keys.total()) for entry, keys in batches]
        for entry, _, times in sized:
            if entry is not None:
                entry.seen += times
        hopeless = -1  # a bucket with so many operations or fewer found no memory in this batch
        for entry, keys, times in sorted(sized, key=lambda item: -item[0].seen if item[0] is not None else 0):
            if entry is None:
                self.lost += times
            elif entry.seen > hopeless and self._make_room(entry, keys):
                if entry.sketch is not None:
                    entry.sketch.add(keys)
                entry.taken += times
            else:
                entry.missed += times
                hopeless = max(hopeless, entry.seen if entry.sketch is None else -1)

    def miss(self, bucket: Bucket, times: int) -> None:
        """Counts operations whose keys were dropped."""
        entry = self._entry(bucket)
        if entry is None:
            self.lost += times
        else:
            entry.seen += times
            entry.missed += times

    def skip(self, bucket: Bucket, times: int) -> None:
        """Counts operations whose keys are too long."""
        entry = self._entry(bucket)
        if entry is not None:
            entry.skipped += times

    def close(self) -> dict[Bucket, Summary]:
        """What it knows of each bucket; the memory of its sketches is free afterwards."""
        closed = {bucket: _summary(entry) for bucket, entry in self._entries.items()}
        for entry in self._entries.values():
            self._memory.taken_bytes -= entry.reserved_bytes
        self._entries = {}
        return closed

    def _entry(self, bucket: Bucket) -> _Entry | None:
        entry = self._entries.get(bucket)
        if entry is None and len(self._entries) < MAX_BUCKETS:
            entry = self._entries[bucket] = _Entry()
        return entry

    def _make_room(self, entry: _Entry, keys: Mapping[bytes, int]) -> bool:
        sketch = entry.sketch or KeySketch(self._counters)
        more = sketch.bytes_after(keys) - entry.reserved_bytes
        if more > 0:
            if not self._memory.take(more) and not (self._evict(entry, more) and self._memory.take(more)):
                return False
            entry.reserved_bytes += more
        entry.sketch = sketch
        return True

    def _evict(self, hotter: _Entry, needed: int) -> bool:
        """Frees `needed` bytes from the coldest sketches that are much colder than this entry; all or nothing."""
        missing = needed - (self._memory.limit_bytes - self._memory.taken_bytes)
        cold = [e for e in self._entries.values() if e.sketch is not None and e.seen * HOTTER <= hotter.seen]
        if sum(e.reserved_bytes for e in cold) < missing:
            return False
        for entry in sorted(cold, key=lambda e: e.seen):
            self._memory.taken_bytes -= entry.reserved_bytes
            missing -= entry.reserved_bytes
            entry.sketch, entry.reserved_bytes = None, 0
            entry.missed += entry.taken
            entry.taken = 0
            if missing <= 0:
                break
        return True


def _summary(entry: _Entry) -> Summary:
    if entry.sketch is None:
        return Summary.of({}, error=0, taken=0, missed=entry.missed, skipped=entry.skipped)
    own = entry.sketch.summary()
    return Summary(own.data, own.lengths, own.lowers, own.error + entry.missed, own.taken, entry.missed, entry.skipped)
