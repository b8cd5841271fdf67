"""Which bucket an operation counts in: routes, labels, aggregates past the tracked limit, and what became of old ones.

Every bucket has a slot, its index in all counter arrays; a route counted in slices has a bucket and a slot for each.
A slot outlives its bucket's route while history shows it and is used again afterwards.
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
from keyviz_grpc.sampler.places import CutTable, Place, RouteTable, numbers_of
from keyviz_grpc.sampler.slices import Division, division_of
from keyviz_grpc.sampler.types import Route

LABEL = re.compile(r"[A-Za-z0-9_-]{1,128}")

_Home = tuple[int, str, bytes, bytes]
"""(route id, bucket id, start, end)"""


@dataclass(slots=True)
class _Bucket:
    row: Row
    home: _Home | None
    live: bool


class Buckets:
    """The book of slots. Not thread-safe: the sampler calls it under its lock.

    groups: uint64[capacity], the Raft group of each slot; last_active_unix_ms: int64[capacity], the newest column with
    traffic; seen: bool[2, capacity], whether a slot ever had reads, writes. `version` grows whenever the rows that a
    matrix shows may have changed. slices: in how many a route is counted that does not say so itself. The limit
    counts slices: every one has counters of its own in every column.
    """

    def __init__(self, max_tracked_routes: int, slices: int = 1) -> None:
        self.max_tracked_routes = max_tracked_routes
        self.default_slices = slices
        self.routes: dict[int, Route] = {}
        self.groups: NDArray[np.uint64] = np.zeros(64, np.uint64)
        self.last_active_unix_ms: NDArray[np.int64] = np.zeros(64, np.int64)
        self.seen: NDArray[np.bool_] = np.zeros((2, 64), np.bool_)
        self.version = 0
        self._buckets: list[_Bucket | None] = []
        self._free: list[int] = []
        self._by_home: dict[_Home, int] = {}
        self._by_aggregate: dict[str, int] = {}
        self._place_of: dict[tuple[int, str], Place] = {}
        self._fresh: list[int] = []
        self._tables: tuple[RouteTable, CutTable] | None = None
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
        self._tables = None
        self.version += 1
        return moved

    def _retire_route(self, route_id: int) -> None:
        del self.routes[route_id]
        for bucket in self._of_route(route_id):
            bucket.live = False

    def _of_route(self, route_id: int) -> list[_Bucket]:
        labels = [label for (owner, label) in self._place_of if owner == route_id] if self._labelled else [""]
        places = [self._place_of[route_id, label] for label in labels if (route_id, label) in self._place_of]
        buckets = [self._buckets[slot] for place in places for slot in place.slots]
        return [bucket for bucket in buckets if bucket is not None and bucket.home is not None]

    def _register(self, route: Route) -> list[int]:
        before = self.routes.get(route.route_id)
        self.routes[route.route_id] = route
        division = division_of(route, self.default_slices)
        moved: list[int] = []
        labels = [label for (owner, label) in self._place_of if owner == route.route_id] if self._labelled else [""]
        for label in labels:
            place = self._place_of.get((route.route_id, label))
            if place is None or place.division is None:
                continue
            if place.division != division:
                self._leave(route, label, place, division)
                continue
            for slot in place.slots:
                bucket = self._buckets[slot]
                if bucket is not None:
                    bucket.live = True
                if int(self.groups[slot]) != route.raft_group_id:
                    moved.append(slot)
        if before is not None and before.raft_group_id != route.raft_group_id:
            self._planned = False
        return moved

    def _leave(self, route: Route, label: str, place: Place, division: Division) -> None:
        """The route is divided anew: rows whose id now means another range show their old one from now on."""
        stay = {(row.bucket_id, row.start, row.end) for row in _rows_of(route, label, division)}
        for slot in place.slots:
            bucket = self._buckets[slot]
            if bucket is not None and (bucket.row.bucket_id, bucket.row.start, bucket.row.end) not in stay:
                self._show_as_old_range(slot, bucket)
        del self._place_of[route.route_id, label]
        if label:
            self._labelled -= len(place.slots)

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

    def place_of(self, route_id: int, label: str) -> Place:
        """The slots in which an operation counts now.

        Raises UnknownRoute for an id that was never registered, InvalidRequest for a label that is not a label.
        A route that was removed counts on in its buckets. A label past the limit counts in the plain ones.
        """
        if label and not LABEL.fullmatch(label):
            raise InvalidRequest("label", label, "must be 1 to 128 of the characters A-Z, a-z, 0-9, _ and -")
        self._plan()
        found = self._place_of.get((route_id, label))
        if found is not None:
            return found
        plain = self._place_of.get((route_id, ""))
        if plain is None:
            raise UnknownRoute(route_id)
        route = self.routes.get(route_id)
        size = len(plain.slots)
        if route is None or plain.division is None or self._labelled + size > self.max_tracked_routes:
            return plain
        self._labelled += size
        return self._own_place(route, label, plain.division)

    def tables(self) -> tuple[RouteTable, CutTable]:
        """For arrays: the numbers of all routes' plain places, and what the numbers of sliced ones stand for."""
        self._plan()
        if self._tables is None:
            cuts = CutTable()
            plain = ((route_id, place) for (route_id, label), place in self._place_of.items() if not label)
            self._tables = numbers_of(plain, cuts), cuts
        return self._tables

    def ranges_of(self, route_id: int) -> tuple[tuple[bytes, bytes], ...]:
        """[start, end) of the slices in which a route is counted now, in key order; () for one that is not known."""
        route = self.routes.get(route_id)
        return () if route is None else division_of(route, self.default_slices).ranges

    def take_fresh(self) -> NDArray[np.int64]:
        """Slots that were given to a bucket since the last call."""
        fresh, self._fresh = self._fresh, []
        return np.array(fresh, np.int64)

    def _own_place(self, route: Route, label: str, division: Division) -> Place:
        slots = []
        for row in _rows_of(route, label, division):
            home = (route.route_id, row.bucket_id, row.start, row.end)
            slot = self._by_home.get(home)
            if slot is None:
                slot = self._by_home[home] = self._new_slot(_Bucket(row, home, live=True), route.raft_group_id)
            else:
                self._buckets[slot] = _Bucket(row, home, live=True)
                self.groups[slot] = route.raft_group_id
                self._fresh.append(slot)
            slots.append(slot)
        place = self._place_of[route.route_id, label] = Place(tuple(slots), division)
        if not label:
            self._tables = None
        self.version += 1
        return place

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
        self._fresh.append(slot)
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
        tracked = self._tracked()
        for route_id, division in tracked.items():
            place = self._place_of.get((route_id, ""))
            if place is None or place.division is None:
                self._own_place(self.routes[route_id], "", division)
        for slot in self._by_aggregate.values():
            bucket = self._buckets[slot]
            if bucket is not None:
                bucket.live = False
        for run in _runs(list(self.routes.values()), set(tracked), self.max_tracked_routes):
            folded = Place((self._aggregate_slot(run),))
            for route in run:
                for bucket in self._of_route(route.route_id):
                    bucket.live = False
                self._place_of[route.route_id, ""] = folded
        self._tables = None
        self.version += 1

    def _tracked(self) -> dict[int, Division]:
        """Routes counted by themselves: in order of registration those whose slices fit into what is left."""
        found: dict[int, Division] = {}
        left = self.max_tracked_routes
        for route_id, route in self.routes.items():
            if left <= 0:
                break
            division = division_of(route, self.default_slices)
            if len(division) <= left:
                found[route_id] = division
                left -= len(division)
        return found

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
        """Frees slots of buckets that are gone and of which no held column or open window shows traffic.

        Slices of one place go together or not at all: a late operation may still come to any of them.
        """
        gone = {
            slot
            for slot, bucket in enumerate(self._buckets)
            if bucket is not None
            and not (bucket.live or busy[slot] or self.last_active_unix_ms[slot] >= oldest_unix_ms)
        }
        for place in self._place_of.values():
            if not gone.issuperset(place.slots):
                gone.difference_update(place.slots)
        if not gone:
            return
        for slot in gone:
            self._buckets[slot] = None
            self._free.append(slot)
        self._by_home = {name: slot for name, slot in self._by_home.items() if slot not in gone}
        self._by_aggregate = {name: slot for name, slot in self._by_aggregate.items() if slot not in gone}
        dropped = [name for name, place in self._place_of.items() if place.slots[0] in gone]
        for name in dropped:
            place = self._place_of.pop(name)
            self._labelled -= len(place.slots) if name[1] else 0
        self._tables = None


def _rows_of(route: Route, label: str, division: Division) -> list[Row]:
    """The rows of a route, or of one of its labels, in key order: one, or one a slice."""
    name = f"route:{route.route_id}" + (f":{label}" if label else "")
    if not division.cuts:
        return [Row(name, route.start, route.end, label=label)]
    return [Row(f"{name}#{n}", start, end, label=label) for n, (start, end) in enumerate(division.ranges)]


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
