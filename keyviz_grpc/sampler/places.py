"""Where operations count: the slots of a route's slices, for one operation and for arrays of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.sampler.batch import Batch, KeyBytes
from keyviz_grpc.sampler.cells import Cells
from keyviz_grpc.sampler.first_bytes import BYTE_BITS, BYTES, OPEN, FirstBytes
from keyviz_grpc.sampler.slices import Division

DENSE_IDS: Final = 1 << 20
"""Route ids below this are looked up in one array of that many entries at most (8 MiB), others by bisection."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The slots in which a route, or one of its labels, counts: slots[i] is that of slice i of `division`.

    An aggregate's is one slot, without cuts.
    """

    slots: tuple[int, ...]
    division: Division | None = None

    @property
    def cuts(self) -> tuple[bytes, ...]:
        """Where one slice ends and the next begins."""
        return () if self.division is None else self.division.cuts

    @property
    def skip(self) -> int:
        """How many first bytes all keys of its range share."""
        return 0 if self.division is None else self.division.shared_bytes

    @property
    def common(self) -> int:
        """How many first bytes all keys of its range share that are longer than that; may be one more than `skip`."""
        return 0 if self.division is None else self.division.common_bytes


class RouteTable:
    """Numbers by route id, for arrays of ids: dense where ids are small, which takes a tenth of the time."""

    def __init__(self, numbers: dict[int, int]) -> None:
        ids = np.fromiter(numbers, np.uint64, len(numbers))
        order = ids.argsort()
        ids, values = ids[order], np.fromiter(numbers.values(), np.int64, len(numbers))[order]
        self._dense: NDArray[np.int64] | None = None
        if len(ids) and int(ids[-1]) < DENSE_IDS:
            self._dense = np.full(int(ids[-1]) + 1, UNKNOWN, np.int64)
            self._dense[ids.astype(np.int64)] = values
        self._ids, self._values = ids, values

    def look_up(self, route_ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of each id, UNKNOWN where there is none."""
        if len(self._ids) == 0 or len(route_ids) == 0:
            return np.full(len(route_ids), UNKNOWN, np.int64)
        if self._dense is not None and int(route_ids.max()) < len(self._dense):
            return self._dense.take(route_ids.astype(np.int64))
        at = np.minimum(np.searchsorted(self._ids, route_ids), len(self._ids) - 1)
        return np.where(self._ids[at] == route_ids, self._values[at], UNKNOWN)


UNKNOWN: Final = -1
"""In arrays of numbers: not known. A number from 0 is a slot; below UNKNOWN it is a sliced place, see `CutTable`."""

_FIRST: Final = UNKNOWN - 1


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """Both ways to a slot: one byte where that tells, the key's words where it does not."""

    cells: Cells
    first_bytes: FirstBytes | None

    def slots_of(
        self, numbers: NDArray[np.int64], keys: KeyBytes, chosen: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """As `Cells.slots_of`, for numbers as in `CutTable`."""
        if self.first_bytes is None:
            return self.cells.slots_of(_FIRST - numbers >> BYTE_BITS, keys, chosen)
        found, short = keys.bytes_at(chosen, self.first_bytes.at)
        slots = self.first_bytes.slots_of(numbers, found)
        if short is not None:
            slots[short] = OPEN
        if int(slots.min()) == OPEN:
            left = np.flatnonzero(slots == OPEN)
            places = _FIRST - numbers[left] >> BYTE_BITS
            slots[left] = self.cells.slots_of(places, keys, left if chosen is None else chosen[left])
        return slots


@dataclass(slots=True)
class CutTable:
    """Sliced places by number, which is UNKNOWN - 1, UNKNOWN - 1 - BYTES, … in arrays; see `FirstBytes`."""

    places: list[Place] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)
    _ready: _Ready | None = None

    def number_of(self, place: Place) -> int:
        """The place's number in arrays: its slot where it has no cuts."""
        if not place.cuts:
            return place.slots[0]
        number = self._numbers.get(id(place))
        if number is None:
            number = self._numbers[id(place)] = _FIRST - BYTES * len(self.places)
            self.places.append(place)
            self._ready = None
        return number

    def resolve(self, numbers: NDArray[np.int64], keys: Callable[[int], KeyBytes]) -> NDArray[np.int64]:
        """Slots of operations from numbers of places; `keys` is asked for only where places are sliced.

        And for that many first bytes of each: whether a key is below a cut, no byte beyond the cut's length says.
        """
        if not self.places or not len(numbers):
            return numbers
        if self._ready is None:
            self._ready = _Ready(Cells.of(self.places), FirstBytes.of(self.places))
        ready = self._ready
        if int(numbers.max()) < UNKNOWN:
            return ready.slots_of(numbers, keys(ready.cells.reach), None)
        sliced = np.flatnonzero(numbers < UNKNOWN)
        if not len(sliced):
            return numbers
        slots = numbers.copy()
        slots[sliced] = ready.slots_of(numbers[sliced], keys(ready.cells.reach), sliced)
        return slots


def slots_of_batch(
    batch: Batch, table: RouteTable, cuts: CutTable, place_of: Callable[[int, str], Place]
) -> NDArray[np.int64]:
    """The slot of every operation of a batch. place_of raises for routes and labels that are not known."""
    if batch.labels is None:
        numbers = table.look_up(batch.route_ids)
        for first in np.flatnonzero(numbers == UNKNOWN)[:1].tolist():
            place_of(int(batch.route_ids[first]), "")
    else:
        pairs = list(zip(batch.route_ids.tolist(), batch.labels, strict=True))
        found = {pair: cuts.number_of(place_of(*pair)) for pair in dict.fromkeys(pairs)}
        numbers = np.fromiter(map(found.__getitem__, pairs), np.int64, len(pairs))
    return cuts.resolve(numbers, batch.key_bytes)


def numbers_of(places: Iterable[tuple[int, Place]], cuts: CutTable) -> RouteTable:
    """The table of routes whose plain places these are."""
    return RouteTable({route_id: cuts.number_of(place) for route_id, place in places})
