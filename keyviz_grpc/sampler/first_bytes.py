"""Which slice a key is in by one byte of it, where cuts are one byte behind what all keys share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.sampler.cells import Sliced

BYTE_BITS: Final = 8
BYTES: Final = 1 << BYTE_BITS
OPEN: Final = -1
"""In arrays of slots: the byte does not tell."""

_ENOUGH: Final = 0.75
"""The part of all cuts that must be a byte: else too many keys are looked up in vain."""


@dataclass(frozen=True, slots=True, eq=False)
class FirstBytes:
    """Of P places. table[-2 - BYTES * p - b]: the slot of keys of place p whose byte number `at` is b, or OPEN."""

    at: int
    table: NDArray[np.int64]

    @classmethod
    def of(cls, places: Sequence[Sliced]) -> FirstBytes | None:
        """None where it would be of little use."""
        at = Counter(place.common for place in places).most_common(1)[0][0]
        rows, told = np.full((len(places), BYTES), OPEN, np.int64), 0
        for row, place in zip(rows, places, strict=True):
            if place.common == at:
                told += _fill(row, place)
        if told < _ENOUGH * sum(len(place.cuts) for place in places):
            return None
        return cls(at, np.append(rows.ravel()[::-1], OPEN))

    def slots_of(self, numbers: NDArray[np.int64], bytes_: NDArray[np.uint8]) -> NDArray[np.int64]:
        """numbers[i]: -2 - BYTES * p for the place p of key i; bytes_[i]: its byte number `at`."""
        return self.table.take(numbers - bytes_)


def _fill(row: NDArray[np.int64], place: Sliced) -> int:
    """Puts the slots of a place's keys into its row; returns how many of its cuts a byte tells."""
    rests = [cut[place.common :] for cut in place.cuts]
    bounds = [0, *(rest[0] if rest else 0 for rest in rests), BYTES]
    row[:] = np.repeat(place.slots, np.diff(bounds))
    deep = [rest[0] for rest in rests if len(rest) > 1]
    row[deep] = OPEN
    return len(rests) - len(deep)
