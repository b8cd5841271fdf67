"""Where operations count: the slots of a route's slices, for one operation and for arrays of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.sampler.batch import Batch, KeyBytes
from keyviz_grpc.sampler.slices import Division

_WORD: Final = 8
_LAST_WORD: Final = np.uint64(2**64 - 1)
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


class RouteTable:
    """Numbers by route id, for arrays of ids: dense where ids are small, which takes a tenth of the time."""

    def __init__(self, numbers: dict[int, int]) -> None:
        ids = np.array(sorted(numbers), np.uint64)
        values = np.array([numbers[route_id] for route_id in ids.tolist()], np.int64)
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
            return self._dense[route_ids]
        at = np.minimum(np.searchsorted(self._ids, route_ids), len(self._ids) - 1)
        return np.where(self._ids[at] == route_ids, self._values[at], UNKNOWN)


UNKNOWN: Final = -1
"""In arrays of numbers: not known. A number from 0 is a slot; below UNKNOWN it is a sliced place, see `CutTable`."""


@dataclass(slots=True)
class CutTable:
    """Sliced places by number, and their cuts in arrays. A place's number is UNKNOWN - 1, UNKNOWN - 2, …

    A cut is kept as the 8 bytes that follow its range's shared bytes, as one big-endian number: most cuts differ from
    all keys there already, and the few that do not are compared in full.
    """

    places: list[Place] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)
    _ready: _Cuts | None = None

    def number_of(self, place: Place) -> int:
        """The place's number in arrays: its slot where it has no cuts."""
        if not place.cuts:
            return place.slots[0]
        number = self._numbers.get(id(place))
        if number is None:
            self.places.append(place)
            number = self._numbers[id(place)] = UNKNOWN - len(self.places)
            self._ready = None
        return number

    def resolve(self, numbers: NDArray[np.int64], keys: Callable[[], KeyBytes]) -> NDArray[np.int64]:
        """Slots of operations from numbers of places; `keys` is asked for only where places are sliced."""
        if not self.places or not len(numbers) or int(numbers.min()) >= 0:
            return numbers
        sliced = np.flatnonzero(numbers < UNKNOWN)
        if self._ready is None:
            self._ready = _Cuts.of(self.places)
        slots = numbers.copy() if len(sliced) < len(numbers) else np.empty_like(numbers)
        slots[sliced] = self._ready.slots_of(UNKNOWN - 1 - numbers[sliced], keys(), sliced, self.places)
        return slots


@dataclass(frozen=True, slots=True, eq=False)
class _Cuts:
    """Place p has its cuts' words at words[firsts[p]] on, filled up to widths[p] (a power of two, less one).

    slots is parallel to words with one more entry a place. skips[p]: the range's shared bytes. counts[p]: its cuts.
    inexact[p]: whether equal words leave open whether a key is below a cut.
    """

    words: NDArray[np.uint64]
    slots: NDArray[np.int64]
    firsts: NDArray[np.int64]
    widths: NDArray[np.int64]
    counts: NDArray[np.int64]
    skips: NDArray[np.int64]
    inexact: NDArray[np.bool_]

    @classmethod
    def of(cls, places: Sequence[Place]) -> _Cuts:
        words: list[NDArray[np.uint64]] = []
        slots: list[int] = []
        widths = [1 << len(place.cuts).bit_length() for place in places]
        skips = [0 if place.division is None else place.division.shared_bytes for place in places]
        for place, width, skip in zip(places, widths, skips, strict=True):
            padded = np.full(width, _LAST_WORD, np.uint64)
            padded[: len(place.cuts)] = [_word(cut, skip) for cut in place.cuts]
            words.append(padded)
            slots += [*place.slots, *[place.slots[-1]] * (width - len(place.slots))]
        firsts = np.concatenate([[0], np.cumsum(widths)])[:-1]
        # A cut that is its first bytes and one word, and does not end in zero, is not above any key of the same word.
        exact = [
            all(len(cut) <= skip + _WORD and not cut.endswith(b"\x00") for cut in place.cuts)
            for place, skip in zip(places, skips, strict=True)
        ]
        return cls(
            np.concatenate(words),
            np.array(slots, np.int64),
            firsts.astype(np.int64),
            np.array(widths, np.int64),
            np.array([len(place.cuts) for place in places], np.int64),
            np.array(skips, np.int64),
            ~np.array(exact, np.bool_),
        )

    def slots_of(
        self, numbers: NDArray[np.int64], keys: KeyBytes, chosen: NDArray[np.int64], places: Sequence[Place]
    ) -> NDArray[np.int64]:
        """numbers[i]: the place of operation chosen[i], whose key is keys' number chosen[i]."""
        words = keys.words(chosen, self.skips[numbers])
        firsts = self.firsts[numbers]
        at = np.zeros(len(numbers), np.int64)
        own_widths = self.widths[numbers]
        widest = int(own_widths.max())
        even = bool((own_widths == widest).all())
        step = widest // 2
        while step:
            probe = self.words[firsts + at + (step - 1)] if even else self._probe(firsts, at, step, own_widths)
            at += step * (probe <= words)
            step //= 2
        np.minimum(at, self.counts[numbers], out=at)
        for number in np.flatnonzero(self._open(at, numbers, firsts, words)).tolist():
            at[number] = bisect_right(places[int(numbers[number])].cuts, keys.key(int(chosen[number])))
        slots: NDArray[np.int64] = self.slots[firsts + at]
        return slots

    def _probe(
        self, firsts: NDArray[np.int64], at: NDArray[np.int64], step: int, widths: NDArray[np.int64]
    ) -> NDArray[np.uint64]:
        # A narrower place joins in once the step is one of its own.
        inside = step < widths
        found = self.words[np.where(inside, firsts + at + (step - 1), 0)]
        return np.where(inside, found, _LAST_WORD)

    def _open(
        self,
        at: NDArray[np.int64],
        numbers: NDArray[np.int64],
        firsts: NDArray[np.int64],
        words: NDArray[np.uint64],
    ) -> NDArray[np.bool_]:
        """Of which keys the words alone do not tell the slice: they have to be compared in full."""
        undecided: NDArray[np.bool_] = words == _LAST_WORD
        if self.inexact.any():
            before = self.words[firsts + np.maximum(at - 1, 0)]
            undecided = undecided | (self.inexact[numbers] & (at > 0) & (before == words))
        return undecided


def _word(key: bytes, skip: int) -> int:
    return int.from_bytes(key[skip : skip + _WORD].ljust(_WORD, b"\x00"), "big")


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
    return cuts.resolve(numbers, lambda: batch.key_bytes)


def numbers_of(places: Iterable[tuple[int, Place]], cuts: CutTable) -> RouteTable:
    """The table of routes whose plain places these are."""
    return RouteTable({route_id: cuts.number_of(place) for route_id, place in places})
