"""The book of slots: which bucket each stands for, its group, and since when it is idle."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Row, SampleRole

RESTING: Final = 64
"""A slot that nobody uses any more is freed when so many others were given away, or a window closed, since it was left.

A thread in the middle of an operation knows the number of its slot, and may count there some changes of routes later.
"""

FOREVER_MS: Final = (1 << 63) - 1

READ: Final = 16
"""More than any role."""

SEARCHES: Final = 16
"""Of so many slots one at most may have changed, or all are sorted anew rather than searched for its place."""

ReadRole: TypeAlias = Callable[[int], SampleRole]
"""In which role this node serves the reads of a group now."""

Home = tuple[int, str, bytes, bytes]
"""(route id, bucket id, start, end)"""


@dataclass(slots=True)
class Bucket:
    """What a slot counts: its row, without roles, and where it is at home (None = an aggregate).

    in_roles: the row as it was told with roles last; the same object, while it says the same.
    """

    row: Row
    home: Home | None
    key: tuple[bytes, bool, bytes, bytes] = field(init=False)
    in_roles: Row = field(init=False)

    def __post_init__(self) -> None:
        self.key, self.in_roles = self.row.key_order, self.row


@dataclass(frozen=True, slots=True, eq=False)
class Visible:
    """Slots that a matrix shows, and their buckets, in key order; neighbours may have one bucket id.

    Counts of such neighbours belong to one row. from_unix_ms, until_unix_ms: both included; while no new version is
    made, this is what matrices show whose oldest column is between them.
    """

    slots: NDArray[np.int64]
    buckets: list[Bucket]
    from_unix_ms: int
    until_unix_ms: int


class Slots:
    """Buckets by slot. Not thread-safe.

    groups: uint64[capacity], the Raft group of each slot; last_active_unix_ms: int64[capacity], the newest column with
    traffic; seen: bool[2, capacity], whether a slot ever had reads, writes; live: bool[capacity], whether its bucket is
    in use now. `version` grows whenever the rows that a matrix shows may have changed for another reason than that a
    column gave way, `roles_version` when their roles may.
    """

    def __init__(self) -> None:
        self.groups: NDArray[np.uint64] = np.zeros(64, np.uint64)
        self.last_active_unix_ms: NDArray[np.int64] = np.zeros(64, np.int64)
        self.seen: NDArray[np.bool_] = np.zeros((2, 64), np.bool_)
        self.live: NDArray[np.bool_] = np.zeros(64, np.bool_)
        self.version = self.roles_version = 0
        # When a bucket last ceased to be in use, as `_age` counts.
        self._left_at: NDArray[np.int64] = np.zeros(64, np.int64)
        # Which were shown when somebody last looked; one that was not then may be shown as soon as it has traffic.
        self._shown: NDArray[np.bool_] = np.zeros(64, np.bool_)
        # In which roles each row was told last, see `_roles`.
        self._told: NDArray[np.uint8] = np.zeros(64, np.uint8)
        self._buckets: list[Bucket | None] = []
        self._free: list[int] = []
        self._fresh: list[int] = []
        self._age = RESTING
        # Slots that have a bucket, in key order; but for those whose bucket became another one since.
        self._ordered: NDArray[np.int64] = np.zeros(0, np.int64)
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._buckets)

    def __getitem__(self, slot: int) -> Bucket | None:
        return self._buckets[slot]

    def new(self, bucket: Bucket, group: int) -> int:
        """A slot for a bucket that has none."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._buckets)
            self._buckets.append(None)
            if slot >= len(self.groups):
                self._double()
        self._age += 1
        self.last_active_unix_ms[slot] = 0
        self.seen[:, slot] = self._shown[slot] = False
        self.renew(slot, bucket, group)
        return slot

    def _double(self) -> None:
        for name in ("groups", "last_active_unix_ms", "seen", "live", "_left_at", "_shown", "_told"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros_like(array)], axis=-1))

    def renew(self, slot: int, bucket: Bucket, group: int) -> None:
        """A bucket that comes back to its slot, of this group now; history stays."""
        self.groups[slot] = group
        self._fresh.append(slot)
        self.describe(slot, bucket)
        self.live[slot] = True

    def describe(self, slot: int, bucket: Bucket) -> None:
        """A slot is shown like this from now on, its group being what it was."""
        self._buckets[slot] = bucket
        self._told[slot] = 0
        self._changed.add(slot)

    def leave(self, slot: int) -> None:
        """Its bucket is not in use any more, if it still was; late operations may still come."""
        if self.live[slot]:
            self.live[slot] = False
            self._left_at[slot] = self._age

    def window_over(self) -> None:
        """A window closed: who looked up a slot before has counted there by now."""
        self._age += RESTING

    def take_fresh(self) -> NDArray[np.int64]:
        """Slots that were given to a bucket since the last call."""
        fresh, self._fresh = self._fresh, []
        return np.array(fresh, np.int64)

    def mark_active(self, slots: NDArray[np.int64], kind: int, stamp_unix_ms: int) -> None:
        """Notes that these slots have traffic of a kind (0 reads, 1 writes) in the column of that stamp."""
        self.last_active_unix_ms[slots] = np.maximum(self.last_active_unix_ms[slots], stamp_unix_ms)
        if not self._shown[slots].all():
            self.version += 1
        if not self.seen[kind, slots].all():
            self.seen[kind, slots] = True
            self.roles_version += 1

    def read_role_changed(self, group: int) -> None:
        """This node serves the reads of a group in another role now."""
        count = len(self)
        if (self.seen[0, :count] & (self.groups[:count] == np.uint64(group))).any():
            self.roles_version += 1

    def visible(self, oldest_unix_ms: int) -> Visible:
        """Those that a matrix shows: live ones, and those with traffic in a column still held.

        oldest_unix_ms: the oldest of these columns, 0 = there is none.
        """
        ordered = self._in_key_order()
        live, active = self.live[ordered], self.last_active_unix_ms[ordered]
        stays = ~live & (active >= oldest_unix_ms)
        slots = ordered[live | stays] if oldest_unix_ms else ordered[live]
        self._shown[:] = False
        self._shown[slots] = True
        buckets = [bucket for slot in slots.tolist() if (bucket := self._buckets[slot]) is not None]
        return Visible(slots, buckets, oldest_unix_ms, int(active[stays].min(initial=FOREVER_MS)))

    def _in_key_order(self) -> NDArray[np.int64]:
        """Those that have a bucket; of one key the lower number first."""
        if self._changed:
            there = np.ones(len(self._buckets), np.bool_)
            there[list(self._changed)] = False
            kept = self._ordered[there[self._ordered]]
            come = [slot for slot in self._changed if self._buckets[slot] is not None]
            self._changed = set()
            if len(come) * SEARCHES > len(kept):
                self._ordered = np.array(sorted([*kept.tolist(), *come], key=self._place), np.int64)
            else:
                come.sort(key=self._place)
                self._ordered = np.insert(
                    kept, [bisect_left(kept, self._place(n), key=self._place) for n in come], come
                )
        return self._ordered

    def _place(self, slot: int) -> tuple[tuple[bytes, bool, bytes, bytes] | None, int]:
        bucket = self._buckets[slot]
        return (None if bucket is None else bucket.key), slot

    def in_roles(self, visible: Visible, read_role: ReadRole) -> list[Row]:
        """The rows of these slots, in the roles that they have now."""
        roles = self._roles(visible.slots, read_role)
        for number in np.flatnonzero(roles != self._told[visible.slots]).tolist():
            bucket, own = visible.buckets[number], divmod(int(roles[number]), READ)
            told = tuple(role for role in (own[1], own[0]) if role)
            bucket.in_roles = replace(bucket.row, sample_roles=told) if told else bucket.row
        self._told[visible.slots] = roles
        return [bucket.in_roles for bucket in visible.buckets]

    def _roles(self, slots: NDArray[np.int64], read_role: ReadRole) -> NDArray[np.uint8]:
        """Of each the role of its writes plus READ times that of its reads, 0 = it has none of them."""
        reads, writes = self.seen[:, slots]
        groups, numbers = np.unique(self.groups[slots][reads], return_inverse=True)
        roles: NDArray[np.uint8] = np.where(writes, np.uint8(SampleRole.LEADER_WRITE), np.uint8(0))
        roles[reads] += np.array([READ * int(read_role(group)) for group in groups.tolist()], np.uint8)[numbers]
        return roles

    def gone(self, oldest_unix_ms: int, busy: NDArray[np.bool_]) -> set[int]:
        """Slots that are neither live nor busy, rested, and of which no column from `oldest_unix_ms` on has traffic.

        busy: bool[S] of all slots.
        """
        count = len(self)
        idle = self.last_active_unix_ms[:count] < oldest_unix_ms
        rested = self._left_at[:count] <= self._age - RESTING
        found = np.flatnonzero(idle & rested & ~self.live[:count] & ~busy)
        return {slot for slot in found.tolist() if self._buckets[slot] is not None}

    def free(self, slots: Iterable[int]) -> None:
        """Slots for other buckets."""
        for slot in slots:
            self._buckets[slot] = None
            self._free.append(slot)
            self._changed.add(slot)
