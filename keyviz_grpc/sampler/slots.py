"""The book of slots: which bucket each stands for, its group, and since when it is idle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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

NO_ROLES: Final[tuple[int, ...]] = ()
WRITTEN: Final = (int(SampleRole.LEADER_WRITE),)

ReadRole: TypeAlias = Callable[[int], SampleRole]
"""In which role this node serves the reads of a group now."""

Home = tuple[int, str, bytes, bytes]
"""(route id, bucket id, start, end)"""


@dataclass(slots=True)
class Bucket:
    """What a slot counts: its row, where it is at home (None = an aggregate), and whether it is in use now.

    The row has no roles. left_at: when it last ceased to be, as `Slots` counts.
    """

    row: Row
    home: Home | None
    live: bool
    left_at: int = 0
    key: tuple[bytes, bool, bytes, bytes] = field(init=False)
    _in_roles: Row | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.becomes(self.row)

    def becomes(self, row: Row) -> None:
        """It is shown like this from now on."""
        self.row, self.key, self._in_roles = row, row.key_order, None

    def shown(self, roles: tuple[int, ...]) -> Row:
        """Its row with these roles; the same object as the last time, while it says the same."""
        if not roles:
            return self.row
        if self._in_roles is None or self._in_roles.sample_roles != roles:
            self._in_roles = replace(self.row, sample_roles=roles)
        return self._in_roles


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
    traffic; seen: bool[2, capacity], whether a slot ever had reads, writes. `version` grows whenever the rows that a
    matrix shows may have changed for another reason than that a column gave way, `roles_version` when their roles may.
    """

    def __init__(self) -> None:
        self.groups: NDArray[np.uint64] = np.zeros(64, np.uint64)
        self.last_active_unix_ms: NDArray[np.int64] = np.zeros(64, np.int64)
        self.seen: NDArray[np.bool_] = np.zeros((2, 64), np.bool_)
        self.version = self.roles_version = 0
        # Which were shown when somebody last looked; one that was not then may be shown as soon as it has traffic.
        self._shown: NDArray[np.bool_] = np.zeros(64, np.bool_)
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
        self.seen[:, slot] = self._shown[slot] = False
        return slot

    def _double(self) -> None:
        self.groups = np.concatenate([self.groups, np.zeros_like(self.groups)])
        self.seen = np.concatenate([self.seen, np.zeros_like(self.seen)], axis=1)
        self.last_active_unix_ms = np.concatenate([self.last_active_unix_ms, np.zeros_like(self.last_active_unix_ms)])
        self._shown = np.concatenate([self._shown, np.zeros_like(self._shown)])

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
        active = self.last_active_unix_ms.tolist()
        shown, left = [], [FOREVER_MS]
        for slot, bucket in self._used():
            if not bucket.live:
                stays = active[slot] >= oldest_unix_ms
                if stays:
                    left.append(active[slot])
                if not (stays and oldest_unix_ms):
                    continue
            shown.append((bucket, slot))
        shown.sort(key=lambda item: item[0].key)
        slots = np.array([slot for _, slot in shown], np.int64)
        self._shown[:] = False
        self._shown[slots] = True
        return Visible(slots, [bucket for bucket, _ in shown], oldest_unix_ms, min(left))

    def in_roles(self, visible: Visible, read_role: ReadRole) -> list[Row]:
        """The rows of these slots, in the roles that they have now."""
        groups, reads, writes = (array.take(visible.slots).tolist() for array in (self.groups, *self.seen))
        rows = []
        for bucket, group, is_read, is_written in zip(visible.buckets, groups, reads, writes, strict=True):
            roles = WRITTEN if is_written else NO_ROLES
            rows.append(bucket.shown((*roles, int(read_role(group))) if is_read else roles))
        return rows

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
