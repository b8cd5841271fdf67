"""The sketches of one window that is still open: of every bucket while memory lasts, then of the hottest ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from keyviz_grpc.hotkeys.sketch import KeySketch
from keyviz_grpc.hotkeys.stats import Totals
from keyviz_grpc.hotkeys.summary import Summary

HOTTER: Final = 2
"""How many times as many operations as another a bucket must have had to take its sketch's memory."""

MARGIN: Final = 16
"""How many operations more than that, so that chance alone moves no memory."""

MAX_BUCKETS: Final = 1 << 15
"""How many buckets all open windows tell apart together."""


MUCH: Final = 1 / 256


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

    @property
    def left_bytes(self) -> int:
        """How many bytes more fit."""
        return self.limit_bytes - self.taken_bytes

    def take(self, size: int) -> bool:
        """Whether so many bytes more fit; if so they are taken."""
        if size > self.left_bytes:
            return False
        self.taken_bytes += size
        return True


class _Entry:
    __slots__ = ("before", "missed", "seen", "sketch", "skipped", "taken")

    def __init__(self, before: int) -> None:
        self.sketch: KeySketch | None = None
        self.before = before  # of any bucket, this one perhaps, when it was not told apart yet
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

    def summary(self) -> Summary:
        """What is known of the bucket."""
        missed, skipped = self.missed + self.before, self.skipped
        if self.sketch is None:
            return Summary.of({}, error=0, taken=0, missed=missed, skipped=skipped)
        own = self.sketch.summary()
        return Summary(own.data, own.lengths, own.lowers, own.error + missed, own.taken, missed, skipped)


def _nobody() -> bool:
    return False


class OpenSketches:
    """Sketches by bucket. Not thread-safe: the recorder calls it under its lock.

    A bucket without a sketch only counts its operations as missed. It gets a sketch as soon as there is memory, which
    other windows may give, see `OpenWindows.make_way`, or when it has had HOTTER times as many operations (and MARGIN)
    as buckets that have one: the coldest of those lose theirs, and what they had counts as missed.

    lost: operations of buckets that are not told apart, since there were too many or the window gave way. taken_bytes:
    what its sketches have taken of the memory.
    """

    def __init__(
        self, counters: int, memory: SketchMemory, totals: Totals, make_way: Callable[[], bool] = _nobody
    ) -> None:
        self._counters, self._memory, self._totals, self._make_way = counters, memory, totals, make_way
        self._entries: dict[Bucket, _Entry] = {}
        self.lost = self.taken_bytes = 0

    def __len__(self) -> int:
        """How many buckets it tells apart."""
        return len(self._entries)

    @property
    def has_much(self) -> bool:
        """Whether it has a part of all memory, or of all buckets, that is worth the work of closing it early."""
        return max(self.taken_bytes / self._memory.limit_bytes, len(self) / MAX_BUCKETS) >= MUCH

    def take(self, groups: Mapping[Bucket, Sequence[bytes]]) -> None:
        """Takes in the keys of operations; the hottest buckets first, since memory may not suffice for all."""
        batches: list[tuple[int, int, _Entry, Sequence[bytes]]] = []
        is_full = False
        for bucket, keys in groups.items():
            entry = self._entry(bucket, is_full=is_full)
            if entry is None:
                is_full = True  # no window that refused to give way does so in the middle of a batch
                self.lost += len(keys)
                self._totals.no_memory += len(keys)
            else:
                entry.seen += len(keys)
                batches.append((-entry.seen, len(batches), entry, keys))
        cold = _Cold(self._entries.values(), self, self._memory, self._totals, self._make_way)
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
        closed = {bucket: entry.summary() for bucket, entry in self._entries.items()}
        self._clear()
        return closed

    def give_way(self) -> None:
        """Tells no bucket apart any more: what it had of any may have been of every one."""
        self._totals.evicted += sum(entry.sketch is not None for entry in self._entries.values())
        self.lost += sum(entry.taken + entry.missed + entry.skipped for entry in self._entries.values())
        self._clear()

    def lose(self, entry: _Entry) -> None:
        """One of its buckets has no sketch any more."""
        self.taken_bytes -= entry.reserved_bytes
        entry.lose(self._memory)

    def _clear(self) -> None:
        for entry in self._entries.values():
            if entry.sketch is not None:
                self.lose(entry)
        self._memory.buckets -= len(self._entries)
        self._entries = {}

    def _entry(self, bucket: Bucket, *, is_full: bool = False) -> _Entry | None:
        entry = self._entries.get(bucket)
        if entry is None and (self._memory.buckets < MAX_BUCKETS or (not is_full and self._make_way())):
            entry = self._entries[bucket] = _Entry(self.lost)
            self._memory.buckets += 1
        return entry

    def _with_room(self, entry: _Entry, keys: Sequence[bytes], cold: _Cold) -> KeySketch | None:
        """The entry's sketch, new if need be, with room for these keys; None when there is no memory."""
        sketch = entry.sketch or KeySketch(self._counters)
        more, most, longest = sketch.reserve(keys)
        if more > 0 and not self._memory.take(more) and not (cold.give_way(entry, more) and self._memory.take(more)):
            return None
        sketch.granted(max(0, more), most, longest)
        self.taken_bytes += max(0, more)
        self._memory.sketches += entry.sketch is None
        entry.sketch = sketch
        return sketch


class _Cold:
    """What may lose its memory during one batch: other windows, see `OpenWindows.make_way`, then the coldest sketches
    of this one; looked for when first needed.

    `seen` of no entry changes meanwhile, and whoever asks comes in descending order of it.
    """

    def __init__(
        self,
        entries: Iterable[_Entry],
        window: OpenSketches,
        memory: SketchMemory,
        totals: Totals,
        make_way: Callable[[], bool],
    ) -> None:
        self._entries, self._window, self._memory = entries, window, memory
        self._totals, self._make_way = totals, make_way
        self._ordered: list[_Entry] | None = None
        self._given = 0
        self._refused = self._alone = False

    def give_way(self, hotter: _Entry, needed: int) -> bool:
        """Frees `needed` bytes from other windows, and from sketches that are much colder than this entry."""
        while not self._alone and self._memory.left_bytes < needed:
            self._alone = not self._make_way()
        missing = needed - self._memory.left_bytes
        if missing <= 0:
            return True
        if self._refused:
            return False  # for one that was hotter already
        if self._ordered is None:
            self._ordered = sorted((e for e in self._entries if e.sketch is not None), key=lambda e: e.seen)
        until = self._given
        while missing > 0 and until < len(self._ordered) and _gives_way(self._ordered[until], hotter):
            missing -= self._ordered[until].reserved_bytes
            until += 1
        if missing > 0:
            self._refused = True
            return False
        for entry in self._ordered[self._given : until]:
            self._window.lose(entry)
        self._totals.evicted += until - self._given
        self._given = until
        return True


def _gives_way(entry: _Entry, hotter: _Entry) -> bool:
    return entry.seen * HOTTER + MARGIN <= hotter.seen
