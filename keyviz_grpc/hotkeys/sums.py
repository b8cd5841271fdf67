"""Summaries added up in bounded memory: of different windows, or of one window at different times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, compress, repeat
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.hotkeys.answer import MAX_CANDIDATES, MAX_KEYS_BYTES
from keyviz_grpc.hotkeys.lives import KeyRange
from keyviz_grpc.hotkeys.summary import Summary

MOST_KEYS: Final = 2 * MAX_CANDIDATES
"""How many keys a sum has before its coldest half goes."""

MOST_BYTES: Final = 2 * MAX_KEYS_BYTES
"""How many bytes of keys, likewise."""

_CHUNK: Final = 1024


class Sum:
    """Of each key at least its lower bound of operations was taken, and of any key at most `error` more.

    taken, missed, skipped: as in `Summary`. gone: how often a key was cut off. within: only keys of [start, end), empty
    end = unbounded; None = all.

    When there are too many keys the coldest go. What each may have had is at most `cut`, which a key that comes later
    may have had before it came: it is in the upper bounds of those alone, and in the error. So a key that is never cut
    off has the bounds that it would have if none were. By upper bounds less `cut` this is the algorithm of Misra and
    Gries, as Agarwal, Cormode, Huang, Phillips, Wei and Yi merge it in "Mergeable summaries" (PODS 2012): `cut` is at
    most the operations by the number of keys that stay, however often keys are cut off.
    """

    __slots__ = ("_bytes", "_earlier", "_errors", "_lowers", "_within", "cut", "gone", "missed", "skipped", "taken")

    def __init__(self, within: KeyRange | None = None) -> None:
        self.cut = self.gone = self.taken = self.missed = self.skipped = 0
        self._errors = 0
        self._lowers: dict[bytes, int] = {}
        self._earlier: NDArray[np.int64] = np.empty(0, np.int64)  # of the first keys: `cut` when each came
        self._bytes = 0  # of keys, or more
        self._within = within

    @classmethod
    def of(cls, summaries: Iterable[Summary]) -> Self:
        """Of any number of them, none included."""
        total = cls()
        for summary in summaries:
            total.add(summary)
        return total

    @property
    def error(self) -> int:
        """See the class."""
        return self._errors + self.cut

    def add(self, summary: Summary) -> None:
        """One more."""
        self._errors += summary.error
        self.taken += summary.taken
        self.missed += summary.missed
        self.skipped += summary.skipped
        for keys, counts in summary.parts(_CHUNK):
            lowers = self._lowers
            get = lowers.get
            if self._within is None:
                for key, count in zip(keys, counts, strict=True):
                    lowers[key] = get(key, 0) + count
            else:
                start, end = self._within
                for key, count in zip(keys, counts, strict=True):
                    if start <= key and (not end or key < end):
                        lowers[key] = get(key, 0) + count
            self._bytes += sum(map(len, keys))
            if len(lowers) > MOST_KEYS or self._bytes > MOST_BYTES:
                self._shrink()

    def bounds(self) -> Iterator[tuple[bytes, int, int]]:
        """(key, lower, upper) of each."""
        cuts = chain(self._earlier.tolist(), repeat(self.cut, len(self._lowers) - len(self._earlier)))
        for (key, lower), cut in zip(self._lowers.items(), cuts, strict=True):
            yield key, lower, lower + cut + self._errors

    def summary(self) -> Summary:
        """The sum as one summary, in which every key has the same error."""
        error = self.error
        least = {key: upper - error for key, _, upper in self.bounds() if upper > error}
        own = error - self.missed
        return Summary.of(least, error=own, taken=self.taken, missed=self.missed, skipped=self.skipped)

    def _shrink(self) -> None:
        """Without the coldest keys, if there are too many, or too many bytes of them."""
        size = len(self._lowers)
        lengths = np.fromiter(map(len, self._lowers), np.int64, size)
        self._bytes = int(lengths.sum())
        if size <= MOST_KEYS and self._bytes <= MOST_BYTES:
            return
        cuts = np.concatenate([self._earlier, np.full(size - len(self._earlier), self.cut)])
        uppers = np.fromiter(self._lowers.values(), np.int64, size) + cuts
        order = np.argsort(-uppers, kind="stable")
        fitting = int(np.searchsorted(np.cumsum(lengths[order]), MOST_BYTES // 2, side="right"))
        staying = min(fitting, MOST_KEYS // 2)
        self.cut = int(uppers[order[staying]])
        self.gone += size - staying
        stay = np.zeros(size, np.bool_)
        stay[order[:staying]] = True
        self._lowers = dict(compress(self._lowers.items(), stay.tolist()))
        self._earlier, self._bytes = cuts[stay], int(lengths[stay].sum())
