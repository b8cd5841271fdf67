"""Which bucket an operation counts in: routes, labels, aggregates past the tracked limit, and what became of old ones.

Every bucket has a slot, its index in all counter arrays. A slot outlives its bucket's route while history shows it
and is used again afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.errors import InvalidRequest, UnknownRoute
from keyviz_grpc.model import MAX_ROUTE_IDS, Row, SampleRole
from keyviz_grpc.sampler.types import Route

LABEL = re.compile(r"[A-Za-z0-9_-]{1,128}")

_Home = tuple[int, str, bytes, bytes]


@dataclass(slots=True)
class _Bucket:
    row: Row
    home: _Home | None
    live: bool


class Buckets:
    """The book of slots. Not thread-safe: the sampler calls it under its lock.

    groups: uint64[capacity], the Raft group of each slot; last_active_unix_ms: int64[capacity], the newest column with
    traffic; seen: bool[2, capacity], whether a slot ever had reads, writes. `version` grows whenever the rows that a
    matrix shows may have changed.
    """

    def __init__(self, max_tracked_routes: int) -> None:
        self.max_tracked_routes = max_tracked_routes
        self.routes: dict[int, Route] = {}
        self.groups: NDArray[np.uint64] = np.zeros(64, np.uint64)
        self.last_active_unix_ms: NDArray[np.int64] = np.zeros(64, np.int64)
        self.seen: NDArray[np.bool_] = np.zeros((2, 64), np.bool_)
        self.version = 0
        self._buckets: list[_Bucket | None] = []
        self._free: list[int] = []
        self._by_home: dict[_Home, int] = {}
        self._by_aggregate: dict[str, int] = {}
        self._slot_of: dict[tuple[int, str], int] = {}
        self._labelled = 0
        self._planned = True

    @property
    def size(self) -> int:
        """How many slots there are, used or not; arrays of counters are this long."""
        return len(self._buckets)

    def change(self, remove: Iterable[int], add: Iterable[Route]) -> list[int]:
        """Removes and registers routes; returns the slots whose group changed. All or nothing.

        Raises UnknownRoute for a removal of a route that is not registered, InvalidRequest for one added twice.
        """
        removed, added = list(dict.fromkeys(remove)), list(add)
        for route_id in removed:
            if route_id not in self.routes:
                raise UnknownRoute(route_id)
        ids = [route.route_id for route in added]
        if len(set(ids)) != len(ids):
            twice = next(route_id for route_id in ids if ids.count(route_id) > 1)
            raise InvalidRequest("route_id", twice, "is added twice in one call")
        moved: list[int] = []
        if removed:
            self._plan()  # a route that goes needs a slot to which late operations can still come
        for route_id in removed:
            self._retire_route(route_id)
        for route in added:
            moved += self._register(route)
        self._planned = False
        self.version += 1
        return moved

    def _retire_route(self, route_id: int) -> None:
        del self.routes[route_id]
        for bucket in self._of_route(route_id):
            bucket.live = False

    def _of_route(self, route_id: int) -> list[_Bucket]:
        slots = {slot for (owner, _), slot in self._slot_of.items() if owner == route_id} if self._labelled else set()
        plain = self._slot_of.get((route_id, ""))
        slots |= {plain} if plain is not None else set()
        buckets = [self._buckets[slot] for slot in slots]
        return [bucket for bucket in buckets if bucket is not None and bucket.home is not None]

    def _register(self, route: Route) -> list[int]:
        before = self.routes.get(route.route_id)
        self.routes[route.route_id] = route
        moved: list[int] = []
        labels = [label for (owner, label) in self._slot_of if owner == route.route_id] if self._labelled else [""]
        for label in labels:
            slot = self._slot_of.get((route.route_id, label))
            bucket = None if slot is None else self._buckets[slot]
            if slot is None or bucket is None or bucket.home is None:
                continue
            if (bucket.row.start, bucket.row.end) != (route.start, route.end):
                self._show_as_old_range(slot, bucket)
                del self._slot_of[route.route_id, label]
                if label:
                    self._labelled -= 1
                continue
            bucket.live = True
            if int(self.groups[slot]) != route.raft_group_id:
                moved.append(slot)
        if before is not None and before.raft_group_id != route.raft_group_id:
            self._planned = False
        return moved

    def _show_as_old_range(self, slot: int, bucket: _Bucket) -> None:
        # The id now means another range; what was counted before stays under the range that it was counted in.
        row, home = bucket.row, bucket.home
        bucket.row = replace(
            row,
            bucket_id=aggregate_id(row.start, row.end, int(self.groups[slot])),
            label="",
            aggregate=True,
            route_ids=(home[0],) if home else row.route_ids,
        )
        bucket.live = False

    def slot_of(self, route_id: int, label: str) -> int:
        """The slot in which an operation counts now.

        Raises UnknownRoute for an id that was never registered, InvalidRequest for a label that is not a label.
        A route that was removed counts on in its bucket. A label past the limit counts in the plain bucket.
        """
        if label and not LABEL.fullmatch(label):
            raise InvalidRequest("label", label, "must be 1 to 128 of the characters A-Z, a-z, 0-9, _ and -")
        self._plan()
        found = self._slot_of.get((route_id, label))
        if found is not None:
            return found
        plain = self._slot_of.get((route_id, ""))
        route = self.routes.get(route_id)
        if plain is None and route is None:
            raise UnknownRoute(route_id)
        owner = None if plain is None else self._buckets[plain]
        if (
            not label
            or route is None
            or owner is None
            or owner.row.aggregate
            or self._labelled >= self.max_tracked_routes
        ):
            if plain is None:
                raise UnknownRoute(route_id)
            return plain
        self._labelled += 1
        return self._own_slot(route, label)

    def _own_slot(self, route: Route, label: str) -> int:
        home = (route.route_id, label, route.start, route.end)
        bucket_id = f"route:{route.route_id}" + (f":{label}" if label else "")
        row = Row(bucket_id, route.start, route.end, label=label)
        slot = self._by_home.get(home)
        if slot is None:
            slot = self._new_slot(_Bucket(row, home, live=True), route.raft_group_id)
            self._by_home[home] = slot
        else:
            self._buckets[slot] = _Bucket(row, home, live=True)
            self.groups[slot] = route.raft_group_id
        self._slot_of[route.route_id, label] = slot
        self.version += 1
        return slot

    def _new_slot(self, bucket: _Bucket, group: int) -> int:
        if self._free:
            slot = self._free.pop()
            self._buckets[slot] = bucket
        else:
            slot = len(self._buckets)
            self._buckets.append(bucket)
            if slot >= len(self.groups):
                self.groups = np.concatenate([self.groups, np.zeros_like(self.groups)])
                self.seen = np.concatenate([self.seen, np.zeros_like(self.seen)], axis=1)
                self.last_active_unix_ms = np.concatenate(
                    [self.last_active_unix_ms, np.zeros_like(self.last_active_unix_ms)]
                )
        self.groups[slot] = group
        self.last_active_unix_ms[slot] = 0
        self.seen[:, slot] = False
        return slot

    def mark_active(self, slots: NDArray[np.int64], kind: int, stamp_unix_ms: int) -> None:
        """Notes that these slots have traffic of a kind (0 reads, 1 writes) in the column of that stamp."""
        self.last_active_unix_ms[slots] = np.maximum(self.last_active_unix_ms[slots], stamp_unix_ms)
        if not self.seen[kind, slots].all():
            self.seen[kind, slots] = True
            self.version += 1

    def _plan(self) -> None:
        """Gives every registered route its slot: of its own within the limit, else one of an aggregate."""
        if self._planned:
            return
        self._planned = True
        ids = list(self.routes)
        tracked = ids[: self.max_tracked_routes]
        for route_id in tracked:
            slot = self._slot_of.get((route_id, ""))
            bucket = None if slot is None else self._buckets[slot]
            if bucket is None or bucket.home is None:
                self._own_slot(self.routes[route_id], "")
        for slot in self._by_aggregate.values():
            bucket = self._buckets[slot]
            if bucket is not None:
                bucket.live = False
        for run in _runs(list(self.routes.values()), set(tracked), self.max_tracked_routes):
            slot = self._aggregate_slot(run)
            for route in run:
                self._slot_of[route.route_id, ""] = slot
        self.version += 1

    def _aggregate_slot(self, run: list[Route]) -> int:
        start = min(route.start for route in run)
        end = b"" if any(not route.end for route in run) else max(route.end for route in run)
        group = run[0].raft_group_id
        ids = sorted(route.route_id for route in run)
        row = Row(
            aggregate_id(start, end, group),
            start,
            end,
            aggregate=True,
            route_ids=tuple(ids[:MAX_ROUTE_IDS]),
            route_ids_truncated=len(ids) > MAX_ROUTE_IDS,
            route_count=len(ids),
        )
        slot = self._by_aggregate.get(row.bucket_id)
        if slot is None:
            slot = self._new_slot(_Bucket(row, None, live=True), group)
            self._by_aggregate[row.bucket_id] = slot
        else:
            self._buckets[slot] = _Bucket(row, None, live=True)
        return slot

    def regroup(self, slot: int) -> int:
        """Moves a slot to its route's present group, which is returned."""
        bucket = self._buckets[slot]
        if bucket is not None and bucket.home is not None:
            self.groups[slot] = self.routes[bucket.home[0]].raft_group_id
        return int(self.groups[slot])

    def visible(
        self, oldest_unix_ms: int, read_role: Callable[[int], SampleRole]
    ) -> tuple[NDArray[np.int64], list[Row]]:
        """Slots that a matrix shows and their rows: live ones, and those with traffic in a column still held.

        In key order; neighbours may have one bucket id, their counts then belong to one row. read_role(group): the
        role in which this node serves reads of a group now.
        """
        self._plan()

        def shown_as(row: Row, slot: int) -> Row:
            roles = [SampleRole.LEADER_WRITE] if self.seen[1, slot] else []
            if self.seen[0, slot]:
                roles.append(read_role(int(self.groups[slot])))
            return replace(row, sample_roles=tuple(int(role) for role in roles)) if roles else row

        shown = [
            (shown_as(bucket.row, slot), slot)
            for slot, bucket in enumerate(self._buckets)
            if bucket is not None and (bucket.live or self.last_active_unix_ms[slot] >= oldest_unix_ms > 0)
        ]
        shown.sort(key=lambda item: item[0].key_order)
        return np.array([slot for _, slot in shown], np.int64), [row for row, _ in shown]

    def recycle(self, oldest_unix_ms: int, busy: NDArray[np.bool_]) -> None:
        """Frees slots of buckets that are gone and of which no held column or open window shows traffic."""
        for slot, bucket in enumerate(self._buckets):
            if bucket is None or bucket.live or busy[slot] or self.last_active_unix_ms[slot] >= oldest_unix_ms:
                continue
            self._buckets[slot] = None
            self._free.append(slot)
            self._by_home = {name: owner for name, owner in self._by_home.items() if owner != slot}
            self._by_aggregate = {name: owner for name, owner in self._by_aggregate.items() if owner != slot}
            self._slot_of = {name: owner for name, owner in self._slot_of.items() if owner != slot}


def _runs(routes: list[Route], tracked: set[int], limit: int) -> list[list[Route]]:
    """Untracked routes in runs of neighbours of one group; at most `limit` runs, or one a group."""
    if len(routes) <= len(tracked):
        return []
    ordered = sorted(routes, key=lambda route: (route.start, not route.end, route.end, route.route_id))
    marked = [(route.raft_group_id if route.route_id not in tracked else -1, route) for route in ordered]
    runs = [[route for _, route in run] for group, run in groupby(marked, key=lambda item: item[0]) if group >= 0]
    if len(runs) <= limit:
        return runs
    by_group: dict[int, list[Route]] = {}
    for run in runs:
        by_group.setdefault(run[0].raft_group_id, []).extend(run)
    return list(by_group.values())
