"""Which slice each of many keys is in: by arithmetic on 8 bytes of the key, and in full where these leave it open."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from math import gcd
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.sampler.batch import WORD_BYTES, KeyBytes

_MOST_CELLS: Final = 4
"""Cells a cut, at most."""


class Sliced(Protocol):
    """Where keys of a range count: slots[i] from cut i - 1 on, below cut i.

    All keys share the first `skip` bytes, and all that are longer than that the first `common`.
    """

    @property
    def slots(self) -> tuple[int, ...]: ...
    @property
    def cuts(self) -> tuple[bytes, ...]: ...
    @property
    def skip(self) -> int: ...
    @property
    def common(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """P sliced places, found by number. A key's word is its 8 bytes behind the shared ones as one big-endian number.

    skips: how many bytes, of each place or of all. reach: how many first bytes of a key tell its slice.

    The words from a place's first cut to its last are divided into cells of a power of two each, with one cut at most
    where the cuts lie at all evenly. table[p] = (the first word, the power, the first cell, how many more).
    alike: (the first words, the power of all, the first cells, how many more of all) where these are the same.
    exact: slots by cell, where no cell has a cut but at its beginning.
    Cell c: cuts[c] is the word of its cut, slots[2 * c] the slot below it, slots[2 * c + 1] the slot from it on;
    firsts[c] to firsts[c + 1] are its cuts among `every`, the words of all cuts, owners[c] is its place.
    open_cells[c]: whether a key of the very word of its cut may be below it; open_cuts: the same for `every`.
    crowded[c]: whether it has several cuts; None where no cell has.
    """

    places: Sequence[Sliced]
    skips: NDArray[np.int64] | int
    reach: int
    table: NDArray[np.uint64]
    alike: tuple[NDArray[np.uint64], np.uint64, NDArray[np.uint64], np.uint64] | None
    exact: NDArray[np.int64] | None
    cuts: NDArray[np.uint64]
    slots: NDArray[np.int64]
    firsts: NDArray[np.int64]
    owners: NDArray[np.int64]
    every: NDArray[np.uint64]
    every_slot: NDArray[np.int64]
    open_cells: NDArray[np.bool_] | None
    open_cuts: NDArray[np.bool_]
    crowded: NDArray[np.bool_] | None

    @classmethod
    def of(cls, places: Sequence[Sliced]) -> Cells:
        """places: all have cuts."""
        skips = _skips(places)
        words = [[_word(cut, skip) for cut in place.cuts] for place, skip in zip(places, skips, strict=True)]
        powers = [_power(own) for own in words]
        is_exact = all(_is_exact(own, power) for own, power in zip(words, powers, strict=True))
        # A cell more below the first cut: then keys below it are in one whose slot is theirs.
        lows = [own[0] - (is_exact << power) for own, power in zip(words, powers, strict=True)]
        last = [own[-1] - low >> power for own, low, power in zip(words, lows, powers, strict=True)]
        sizes = np.array(last, np.int64) + 1
        starts = np.cumsum(sizes) - sizes
        cut_sizes = [len(own) for own in words]
        every = np.fromiter(chain.from_iterable(words), np.uint64, sum(cut_sizes))
        table = np.array([lows, powers, starts, last], np.uint64).T.copy()
        low, power, start, _ = np.repeat(table, cut_sizes, axis=0).T
        cell_of = (start + (every - low >> power)).astype(np.int64)
        inside = np.bincount(cell_of, minlength=int(sizes.sum()))
        firsts = np.concatenate([[0], np.cumsum(inside)]).astype(np.int64)
        owners = np.repeat(np.arange(len(places)), sizes)
        # A place has one slot more than it has cuts, so slots run ahead of cuts by one a place.
        every_slot = np.array([slot for place in places for slot in place.slots], np.int64)
        below, above = every_slot[firsts[:-1] + owners], every_slot[firsts[1:] + owners]
        open_cuts = np.array([_is_open(c, s) for p, s in zip(places, skips, strict=True) for c in p.cuts], np.bool_)
        cuts, open_cells = np.zeros(len(inside), np.uint64), np.zeros(len(inside), np.bool_)
        cuts[cell_of], open_cells[cell_of] = every, open_cuts
        crowded = inside > 1
        return cls(
            places,
            skips[0] if len(set(skips)) == 1 else np.array(skips, np.int64),
            max(max(skips) + WORD_BYTES, *(len(cut) for place in places for cut in place.cuts)),
            table,
            _alike(table),
            above if is_exact and not open_cells.any() and not crowded.any() else None,
            cuts,
            np.stack([below, above], axis=1).ravel(),
            firsts,
            owners,
            every,
            every_slot,
            open_cells if open_cells.any() else None,
            open_cuts,
            crowded if crowded.any() else None,
        )

    def slots_of(
        self, numbers: NDArray[np.int64], keys: KeyBytes, chosen: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """numbers[i]: the place of the key whose number in `keys` is chosen[i], or i where that is None."""
        words = keys.words(chosen, self.skips if isinstance(self.skips, int) else self.skips[numbers])
        at = self._cells_of(words, numbers)
        if self.exact is not None:
            return self.exact.take(at)
        cuts = self.cuts.take(at)
        slots: NDArray[np.int64] = self.slots.take(2 * at + (words >= cuts))
        undecided = np.empty(0, np.int64)
        if self.open_cells is not None:
            undecided = np.flatnonzero((words == cuts) & self.open_cells[at])
        if self.crowded is not None:
            many = np.flatnonzero(self.crowded[at])
            slots[many], still_open = self._searched(at[many], words[many])
            undecided = np.concatenate([undecided, many[still_open]])
        for number in undecided.tolist():
            place = self.places[int(numbers[number])]
            key = keys.key(number if chosen is None else int(chosen[number]))
            slots[number] = place.slots[bisect_right(place.cuts, key)]
        return slots

    def _cells_of(self, words: NDArray[np.uint64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        last: np.uint64 | NDArray[np.uint64]
        power: np.uint64 | NDArray[np.uint64]
        if self.alike is not None:
            lows, power, starts, last = self.alike
            low, start = lows.take(numbers), starts.take(numbers)
        else:
            low, power, start, last = self.table.take(numbers, axis=0).T
        cells = np.maximum(words, low)
        cells -= low
        cells >>= power
        np.minimum(cells, last, out=cells)
        cells += start
        return cells.view(np.int64)

    def _searched(
        self, cells: NDArray[np.int64], words: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(slots, which of them the words alone do not tell) of keys in crowded cells: bisection, all at once."""
        at, end = self.firsts[cells], self.firsts[cells + 1]
        step = 1 << int((end - at).max(initial=0)).bit_length() >> 1
        while step:
            probe = at + (step - 1)
            inside = probe < end
            at += step * (inside & (self.every[np.where(inside, probe, 0)] <= words))
            step >>= 1
        before = np.maximum(at - 1, 0)
        return self.every_slot[at + self.owners[cells]], self.open_cuts[before] & (self.every[before] == words)


def _skips(places: Sequence[Sliced]) -> list[int]:
    """How many first bytes of each place's keys are passed over: for all the same, unless a cut would not fit then."""
    own = [place.skip for place in places]
    least = min(own)
    fits = all(
        len(cut) <= least + WORD_BYTES or _is_open(cut, skip)
        for place, skip in zip(places, own, strict=True)
        for cut in place.cuts
    )
    return [least] * len(own) if fits else own


def _power(words: Sequence[int]) -> int:
    """The largest cells that begin at all cuts, else that part them, unless these would be too many."""
    gaps = [after - before for before, after in pairwise(words)]
    divisor, most, span = gcd(*gaps), _MOST_CELLS * len(words), words[-1] - words[0]
    power = (divisor & -divisor).bit_length() - 1
    if not gaps or (power >= 0 and span >> power < most):
        return max(power, 0)
    power = max(min(gaps), 1).bit_length() - 1
    while span >> power >= most:
        power += 1
    return power


def _is_exact(words: Sequence[int], power: int) -> bool:
    """Whether every cut is where a cell begins, and there is room for a cell below the first."""
    return words[0] >= 1 << power and not any((word - words[0]) % (1 << power) for word in words)


def _alike(
    table: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], np.uint64, NDArray[np.uint64], np.uint64] | None:
    low, power, start, last = (column.copy() for column in table.T)
    if (power != power[0]).any() or (last != last[0]).any():
        return None
    return low, power[0], start, last[0]


def _is_open(cut: bytes, skip: int) -> bool:
    # A cut that is its shared bytes and one word, and does not end in zero, is not above any key of the same word.
    return len(cut) > skip + WORD_BYTES or cut.endswith(b"\x00")


def _word(key: bytes, skip: int) -> int:
    return int.from_bytes(key[skip : skip + WORD_BYTES].ljust(WORD_BYTES, b"\x00"), "big")
