"""The book of slots: which bucket each stands for, its group, and since when it is idle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Row, SampleRole

RESTING: Final = 64
"""A slot that nobody uses any more is freed when so many others were given away, or a window closed, since it was left.

A thread in the middle of an operation knows the number of its slot, and may count there some changes of routes later.
"""

Home = tuple[int, str, bytes, bytes]
"""(route id, bucket id, start, end)"""


@dataclass(slots=True)
class Bucket:
    """What a slot counts: its row, where it is at home (None = an aggregate), and whether it is in use now.

    left_at: when it last ceased to be, as `Slots` counts.
    """

    row: Row
    home: Home | None
    live: bool
    left_at: int = 0


class Slots:
    """Buckets by slot. Not thread-safe.

    groups: uint64[capacity], the Raft group of each slot; last_active_unix_ms: int64[capacity], the newest column with
    traffic; seen: bool[2, capacity], whether a slot ever had reads, writes. `version` grows whenever the rows that a
    matrix shows may have changed.
    """

    def __init__(self) -> None:
        self.groups: NDArray[np.uint64] = np.zeros(64, np.uint64)
        self.last_active_unix_ms: NDArray[np.int64] = np.zeros(64, np.int64)
        self.seen: NDArray[np.bool_] = np.zeros((2, 64), np.bool_)
        self.version = 0
        self._buckets: list[Bucket | None] = []
        self._free: list[int] = []
        self._fresh: list[int] = []
        self._age = RESTING

    def __len__(self) -> int:
        return len(self._buckets)

    def __getitem__(self, slot: int) -> Bucket | None:
        return self._buckets[slot]

    def _used(self) -> Iterator[tuple[int, Bucket]]:
        return ((slot, bucket) for slot, bucket in enumerate(self._buckets) if bucket is not None)

    def new(self, bucket: Bucket, group: int) -> int:
        """A slot for a bucket that has none."""
        if self._free:
            slot = self._free.pop()
            self._buckets[slot] = bucket
        else:
            slot = len(self._buckets)
            self._buckets.append(bucket)
            if slot >= len(self.groups):
                self._double()
        self._age += 1
        self.groups[slot] = group
        self._fresh.append(slot)
        self.last_active_unix_ms[slot] = 0
        self.seen[:, slot] = False
        return slot

    def _double(self) -> None:
        self.groups = np.concatenate([self.groups, np.zeros_like(self.groups)])
        self.seen = np.concatenate([self.seen, np.zeros_like(self.seen)], axis=1)
        self.last_active_unix_ms = np.concatenate([self.last_active_unix_ms, np.zeros_like(self.last_active_unix_ms)])

    def renew(self, slot: int, bucket: Bucket, group: int) -> None:
        """A bucket that comes back to its slot, of this group now; history stays."""
        self._buckets[slot] = bucket
        self.groups[slot] = group
        self._fresh.append(slot)

    def leave(self, bucket: Bucket) -> None:
        """A bucket is not in use any more, if it still was; late operations may still come to its slot."""
        if bucket.live:
            bucket.live = False
            bucket.left_at = self._age

    def window_over(self) -> None:
        """A window closed: who looked up a slot before has counted there by now."""
        self._age += RESTING

    def describe(self, slot: int, row: Row) -> None:
        """A live bucket is shown like this from now on, its group being what it was."""
        self._buckets[slot] = Bucket(row, None, live=True)

    def take_fresh(self) -> NDArray[np.int64]:
        """Slots that were given to a bucket since the last call."""
        fresh, self._fresh = self._fresh, []
        return np.array(fresh, np.int64)

    def mark_active(self, slots: NDArray[np.int64], kind: int, stamp_unix_ms: int) -> None:
        """Notes that these slots have traffic of a kind (0 reads, 1 writes) in the column of that stamp."""
        self.last_active_unix_ms[slots] = np.maximum(self.last_active_unix_ms[slots], stamp_unix_ms)
        if not self.seen[kind, slots].all():
            self.seen[kind, slots] = True
            self.version += 1

    def visible(
        self, oldest_unix_ms: int, read_role: Callable[[int], SampleRole]
    ) -> tuple[NDArray[np.int64], list[Row]]:
        """Slots that a matrix shows and their rows: live ones, and those with traffic in a column still held.

        In key order; neighbours may have one bucket id, their counts then belong to one row. read_role(group): the
        role in which this node serves reads of a group now.
        """

        def shown_as(row: Row, slot: int) -> Row:
            roles = [SampleRole.LEADER_WRITE] if self.seen[1, slot] else []
            if self.seen[0, slot]:
                roles.append(read_role(int(self.groups[slot])))
            return replace(row, sample_roles=tuple(int(role) for role in roles)) if roles else row

        shown = [
            (shown_as(bucket.row, slot), slot)
            for slot, bucket in self._used()
            if bucket.live or self.last_active_unix_ms[slot] >= oldest_unix_ms > 0
        ]
        shown.sort(key=lambda item: item[0].key_order)
        return np.array([slot for _, slot in shown], np.int64), [row for row, _ in shown]

    def gone(self, oldest_unix_ms: int, busy: NDArray[np.bool_]) -> set[int]:
        """Slots that are neither live nor busy, rested, and of which no column from `oldest_unix_ms` on has traffic."""
        rested = self._age - RESTING
        return {
            slot
            for slot, bucket in self._used()
            if not (bucket.live or busy[slot] or self.last_active_unix_ms[slot] >= oldest_unix_ms)
            and bucket.left_at <= rested
        }

    def free(self, slots: Iterable[int]) -> None:
        """Slots for other buckets."""
        for slot in slots:
            self._buckets[slot] = None
            self._free.append(slot)
