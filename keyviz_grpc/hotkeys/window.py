"""The sketches of one window that is still open: of every bucket while memory lasts, then of the hottest ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from keyviz_grpc.hotkeys.sketch import KeySketch
from keyviz_grpc.hotkeys.stats import Totals
from keyviz_grpc.hotkeys.summary import Summary

HOTTER: Final = 2
"""How many times as many operations as another a bucket must have had to take its sketch's memory."""

MARGIN: Final = 16
"""How many operations more than that, so that chance alone moves no memory."""

MAX_BUCKETS: Final = 1 << 15


class Bucket(NamedTuple):
    """What one sketch is about. life: grows when the route's id comes to mean another range."""

    route_id: int
    label: str
    write: bool
    life: int = 0


class SketchMemory:
    """What all open windows have together: bytes of sketches, which are limited, buckets, and sketches."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.taken_bytes = 0
        self.buckets = 0
        self.sketches = 0

    def take(self, size: int) -> bool:
        """Whether so many bytes more fit; if so they are taken."""
        if self.taken_bytes + size > self.limit_bytes:
            return False
        self.taken_bytes += size
        return True


class _Entry:
    __slots__ = ("missed", "seen", "sketch", "skipped", "taken")

    def __init__(self) -> None:
        self.sketch: KeySketch | None = None
        self.seen = 0
        self.taken = 0
        self.missed = 0
        self.skipped = 0

    @property
    def reserved_bytes(self) -> int:
        """Memory that its sketch has taken."""
        return 0 if self.sketch is None else self.sketch.reserved_bytes

    def lose(self, memory: SketchMemory) -> None:
        """Its sketch is gone, and with it what is known of the operations in it."""
        memory.taken_bytes -= self.reserved_bytes
        memory.sketches -= 1
        self.sketch = None
        self.missed += self.taken
        self.taken = 0


class OpenSketches:
    """Sketches by bucket. Not thread-safe: the recorder calls it under its lock.

    A bucket without a sketch only counts its operations as missed. It gets a sketch as soon as there is memory, or when
    it has had HOTTER times as many operations (and MARGIN) as buckets that have one: the coldest of those lose theirs,
    and what they had counts as missed.
    """

    def __init__(self, counters: int, memory: SketchMemory, totals: Totals) -> None:
        self._counters, self._memory, self._totals = counters, memory, totals
        self._entries: dict[Bucket, _Entry] = {}
        self.lost = 0

    def take(self, groups: Mapping[Bucket, Sequence[bytes]]) -> None:
        """Takes in the keys of operations; the hottest buckets first, since memory may not suffice for all."""
        batches: list[tuple[int, int, _Entry, Sequence[bytes]]] = []
        for bucket, keys in groups.items():
            entry = self._entry(bucket)
            if entry is None:
                self.lost += len(keys)
                self._totals.no_memory += len(keys)
            else:
                entry.seen += len(keys)
                batches.append((-entry.seen, len(batches), entry, keys))
        cold = _Cold(self._entries.values(), self._memory, self._totals)
        for _, _, entry, keys in sorted(batches):
            sketch = self._with_room(entry, keys, cold)
            if sketch is not None:
                sketch.add(keys)
                entry.taken += len(keys)
                self._totals.taken += len(keys)
            else:
                entry.missed += len(keys)
                self._totals.no_memory += len(keys)

    def miss(self, bucket: Bucket, times: int) -> None:
        """Counts operations whose keys were dropped."""
        self._totals.dropped += times
        entry = self._entry(bucket)
        if entry is None:
            self.lost += times
        else:
            entry.seen += times
            entry.missed += times

    def skip(self, bucket: Bucket, times: int) -> None:
        """Counts operations whose keys are too long."""
        self._totals.skipped += times
        entry = self._entry(bucket)
        if entry is None:
            self.lost += times
        else:
            entry.skipped += times

    def close(self) -> dict[Bucket, Summary]:
        """What it knows of each bucket; the memory of its sketches is free afterwards."""
        closed = {bucket: _summary(entry) for bucket, entry in self._entries.items()}
        for entry in self._entries.values():
            if entry.sketch is not None:
                entry.lose(self._memory)
        self._memory.buckets -= len(self._entries)
        self._entries = {}
        return closed

    def _entry(self, bucket: Bucket) -> _Entry | None:
        entry = self._entries.get(bucket)
        if entry is None and len(self._entries) < MAX_BUCKETS:
            entry = self._entries[bucket] = _Entry()
            self._memory.buckets += 1
        return entry

    def _with_room(self, entry: _Entry, keys: Sequence[bytes], cold: _Cold) -> KeySketch | None:
        """The entry's sketch, new if need be, with room for these keys; None when there is no memory."""
        sketch = entry.sketch or KeySketch(self._counters)
        more, most, longest = sketch.reserve(keys)
        if more > 0 and not self._memory.take(more) and not (cold.give_way(entry, more) and self._memory.take(more)):
            return None
        sketch.granted(max(0, more), most, longest)
        self._memory.sketches += entry.sketch is None
        entry.sketch = sketch
        return sketch


class _Cold:
    """The sketches that may lose their memory during one batch, coldest first; made when first needed.

    `seen` of no entry changes meanwhile, and whoever asks comes in descending order of it.
    """

    def __init__(self, entries: Iterable[_Entry], memory: SketchMemory, totals: Totals) -> None:
        self._entries, self._memory, self._totals = entries, memory, totals
        self._ordered: list[_Entry] | None = None
        self._given = 0
        self._refused = False

    def give_way(self, hotter: _Entry, needed: int) -> bool:
        """Frees `needed` bytes from sketches that are much colder than this entry; all or nothing."""
        if self._refused:
            return False  # for one that was hotter already
        if self._ordered is None:
            self._ordered = sorted((e for e in self._entries if e.sketch is not None), key=lambda e: e.seen)
        missing = needed - (self._memory.limit_bytes - self._memory.taken_bytes)
        until = self._given
        while missing > 0 and until < len(self._ordered) and _gives_way(self._ordered[until], hotter):
            missing -= self._ordered[until].reserved_bytes
            until += 1
        if missing > 0:
            self._refused = True
            return False
        for entry in self._ordered[self._given : until]:
            entry.lose(self._memory)
        self._totals.evicted += until - self._given
        self._given = until
        return True


def _gives_way(entry: _Entry, hotter: _Entry) -> bool:
    return entry.seen * HOTTER + MARGIN <= hotter.seen


def _summary(entry: _Entry) -> Summary:
    if entry.sketch is None:
        return Summary.of({}, error=0, taken=0, missed=entry.missed, skipped=entry.skipped)
    own = entry.sketch.summary()
    return Summary(own.data, own.lengths, own.lowers, own.error + entry.missed, own.taken, entry.missed, entry.skipped)
