"""Which bucket an operation counts in: routes, labels, aggregates past the tracked limit, and what became of old ones.

Every bucket has a slot, its index in all counter arrays; a route counted in slices has a bucket and a slot for each.
A slot outlives its bucket's route while history shows it and is used again afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.errors import InvalidRequest, UnknownRoute
from keyviz_grpc.labels import check_label
from keyviz_grpc.sampler.places import CutTable, Place, RouteTable, numbers_of
from keyviz_grpc.sampler.rows import aggregate_row, rows_of, runs_of, tracked_of
from keyviz_grpc.sampler.slices import Division, division_of
from keyviz_grpc.sampler.slots import Bucket, Home, Slots, Visible
from keyviz_grpc.sampler.types import Route


class Buckets:
    """Where routes and labels are at home in `slots`. Not thread-safe: the sampler calls it under its lock.

    slices: in how many a route is counted that does not say so itself. The limit
    counts slices: every one has counters of its own in every column.
    """

    def __init__(self, max_tracked_routes: int, slices: int = 1) -> None:
        self.max_tracked_routes = max_tracked_routes
        self.default_slices = slices
        self.routes: dict[int, Route] = {}
        self._divisions: dict[int, Division] = {}  # of the same routes, in the same order
        self.slots = Slots()
        self._by_home: dict[Home, int] = {}
        self._home_of: dict[str, Home] = {}  # where the bucket is at home that had this id last
        self._by_aggregate: dict[str, int] = {}
        self._place_of: dict[tuple[int, str], Place] = {}
        self._tables: tuple[RouteTable, CutTable] | None = None
        self._labelled = 0
        self._planned = True
        # What was registered since the last plan, whether that one folded any route, and how many slices all have.
        self._come: list[int] = []
        self._folds = False
        self._size = 0

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
        self.slots.version += 1
        return moved

    def _retire_route(self, route_id: int) -> None:
        del self.routes[route_id]
        self._size -= len(self._divisions.pop(route_id))
        for slot in self._of_route(route_id):
            self.slots.leave(slot)

    def _of_route(self, route_id: int) -> list[int]:
        """The slots of its own, those of labels included."""
        labels = [label for (owner, label) in self._place_of if owner == route_id] if self._labelled else [""]
        places = [self._place_of[route_id, label] for label in labels if (route_id, label) in self._place_of]
        slots = [(slot, self.slots[slot]) for place in places for slot in place.slots]
        return [slot for slot, bucket in slots if bucket is not None and bucket.home is not None]

    def _register(self, route: Route) -> list[int]:
        before = self.routes.get(route.route_id)
        self.routes[route.route_id] = route
        division = division_of(route, self.default_slices)
        if before is not None:
            self._size -= len(self._divisions[route.route_id])
        self._divisions[route.route_id] = division
        self._size += len(division)
        self._come.append(route.route_id)
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
                self.slots.live[slot] = True
                if int(self.slots.groups[slot]) != route.raft_group_id:
                    moved.append(slot)
        if before is not None and before.raft_group_id != route.raft_group_id:
            self._planned = False
        return moved

    def _leave(self, route: Route, label: str, place: Place, division: Division) -> None:
        """The route is divided anew: rows whose id now means another range show their old one from now on."""
        stay = {(row.bucket_id, row.start, row.end) for row in rows_of(route, label, division)}
        for slot in place.slots:
            bucket = self.slots[slot]
            if bucket is not None and (bucket.row.bucket_id, bucket.row.start, bucket.row.end) not in stay:
                self._show_as_old_range(slot, bucket)
        del self._place_of[route.route_id, label]
        if label:
            self._labelled -= len(place.slots)

    def _take_id_over(self, home: Home) -> None:
        # Who had it is still there where the route was in an aggregate when it was divided anew.
        before = self._home_of.get(home[1], home)
        self._home_of[home[1]] = home
        slot = self._by_home.get(before)
        bucket = None if before == home or slot is None else self.slots[slot]
        if slot is not None and bucket is not None:
            self._show_as_old_range(slot, bucket)

    def _show_as_old_range(self, slot: int, bucket: Bucket) -> None:
        # The id now means another range; what was counted before stays under the range that it was counted in.
        row, home = bucket.row, bucket.home
        old = replace(
            row,
            bucket_id=aggregate_id(row.start, row.end, int(self.slots.groups[slot])),
            label="",
            aggregate=True,
            route_ids=(home[0],) if home else row.route_ids,
        )
        self.slots.describe(slot, Bucket(old, home))
        self.slots.leave(slot)

    def place_of(self, route_id: int, label: str) -> Place:
        """The slots in which an operation counts now.

        Raises UnknownRoute for an id that was never registered, InvalidRequest for a label that is not a label.
        A route that was removed counts on in its buckets. A label past the limit counts in the plain ones.
        """
        check_label(label)
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

    def counts_as(self, route_id: int, label: str) -> str:
        """The label under which such operations count now: its own, or none where it has no place. As `place_of`."""
        self.place_of(route_id, label)
        return label if (route_id, label) in self._place_of else ""

    @property
    def places(self) -> int:
        """How many routes and labels have a place that `place_of` does not have to find anew."""
        return len(self._place_of)

    def tables(self) -> tuple[RouteTable, CutTable]:
        """For arrays: the numbers of all routes' plain places, and what the numbers of sliced ones stand for."""
        self._plan()
        if self._tables is None:
            cuts = CutTable()
            plain = ((route_id, place) for (route_id, label), place in self._place_of.items() if not label)
            self._tables = numbers_of(plain, cuts), cuts
        return self._tables

    def ranges_of(self, route_id: int) -> tuple[tuple[bytes, bytes], ...]:
        """[start, end) of a route's slices in key order; () for one that is not known.

        A removed route has those that it had, as long as the rows of its slices may be shown.
        """
        division = self._divisions.get(route_id)
        if division is not None:
            return division.ranges
        place = self._place_of.get((route_id, ""))
        return () if place is None or place.division is None else place.division.ranges

    def _own_place(self, route: Route, label: str, division: Division) -> Place:
        slots = []
        for row in rows_of(route, label, division):
            home = (route.route_id, row.bucket_id, row.start, row.end)
            self._take_id_over(home)
            slot = self._by_home.get(home)
            if slot is None:
                slot = self._by_home[home] = self.slots.new(Bucket(row, home), route.raft_group_id)
            else:
                self.slots.renew(slot, Bucket(row, home), route.raft_group_id)
            slots.append(slot)
        place = self._place_of[route.route_id, label] = Place(tuple(slots), division)
        if not label:
            self._tables = None
        self.slots.version += 1
        return place

    def _plan(self) -> None:
        """Gives every registered route its slot: of its own within the limit, else one of an aggregate."""
        if self._planned:
            return
        self._planned = True
        come, self._come = self._come, []
        if self._folds or self._size > self.max_tracked_routes:
            self._plan_all()
        else:
            self._track(route_id for route_id in come if route_id in self.routes)
        self._tables = None
        self.slots.version += 1

    def _track(self, route_ids: Iterable[int]) -> None:
        """Gives these routes slots of their own where they have none."""
        for route_id in route_ids:
            place = self._place_of.get((route_id, ""))
            if place is None or place.division is None:
                self._own_place(self.routes[route_id], "", self._divisions[route_id])

    def _plan_all(self) -> None:
        tracked = tracked_of(self._divisions, self.max_tracked_routes)
        self._track(tracked)
        for slot in self._by_aggregate.values():
            self.slots.leave(slot)
        runs = runs_of(list(self.routes.values()), tracked, self.max_tracked_routes)
        for run in runs:
            folded = Place((self._aggregate_slot(run),))
            for route in run:
                for slot in self._of_route(route.route_id):
                    self.slots.leave(slot)
                self._place_of[route.route_id, ""] = folded
        self._folds = bool(runs)

    def _aggregate_slot(self, run: list[Route]) -> int:
        row = aggregate_row(run)
        slot = self._by_aggregate.get(row.bucket_id)
        if slot is None:
            slot = self._by_aggregate[row.bucket_id] = self.slots.new(Bucket(row, None), run[0].raft_group_id)
        else:
            self.slots.describe(slot, Bucket(row, None))
            self.slots.live[slot] = True
        return slot

    def regroup(self, slot: int) -> int:
        """Moves a slot to its route's present group, which is returned."""
        bucket = self.slots[slot]
        if bucket is not None and bucket.home is not None:
            self.slots.groups[slot] = self.routes[bucket.home[0]].raft_group_id
        return int(self.slots.groups[slot])

    def visible(self, oldest_unix_ms: int) -> Visible:
        """See `Slots.visible`."""
        self._plan()
        return self.slots.visible(oldest_unix_ms)

    def recycle(self, oldest_unix_ms: int, busy: NDArray[np.bool_]) -> None:
        """Frees slots of buckets that are gone and of which no held column or open window shows traffic.

        Slices of one place go together or not at all: a late operation may still come to any of them.
        """
        gone = self.slots.gone(oldest_unix_ms, busy)
        for place in self._place_of.values():
            if not gone.issuperset(place.slots):
                gone.difference_update(place.slots)
        if not gone:
            return
        self.slots.free(gone)
        self._by_home = {name: slot for name, slot in self._by_home.items() if slot not in gone}
        self._home_of = {name: home for name, home in self._home_of.items() if home in self._by_home}
        self._by_aggregate = {name: slot for name, slot in self._by_aggregate.items() if slot not in gone}
        dropped = [name for name, place in self._place_of.items() if place.slots[0] in gone]
        for name in dropped:
            place = self._place_of.pop(name)
            self._labelled -= len(place.slots) if name[1] else 0
        self._tables = None
