"""What a closed window knows of one bucket's keys, packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

OWN_BYTES: Final = 768
"""What a summary takes besides its keys; half of it where it has none."""

_NO_LENGTHS: Final = np.empty(0, np.uint32)
_NO_LOWERS: Final = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Of key i at least lowers[i] operations were taken, of any key at most `error` more.

    data: the keys, one after the other; lengths: uint32[n], of each; lowers: uint64[n], all positive. error covers what
    the sketch may have missed and `missed`. taken: operations in the sketch; missed: those of which no key is known;
    skipped: those with too long a key.
    """

    data: bytes
    lengths: NDArray[np.uint32]
    lowers: NDArray[np.uint64]
    error: int
    taken: int
    missed: int = 0
    skipped: int = 0

    @classmethod
    def of(cls, counts: Mapping[bytes, int], *, error: int, taken: int, missed: int = 0, skipped: int = 0) -> Self:
        """counts: lower bound by key; error without what was missed."""
        return cls(
            b"".join(counts),
            np.fromiter(map(len, counts), np.uint32, len(counts)) if counts else _NO_LENGTHS,
            np.fromiter(counts.values(), np.uint64, len(counts)) if counts else _NO_LOWERS,
            error + missed,
            taken,
            missed,
            skipped,
        )

    @property
    def own_bytes(self) -> int:
        """What it takes in memory, about."""
        return (OWN_BYTES if self.data else OWN_BYTES // 2) + len(self.data) + 12 * len(self.lengths)

    @property
    def operations(self) -> int:
        """All that it is about."""
        return self.taken + self.missed + self.skipped

    def trimmed(self, most: int) -> Self:
        """With so many keys at most, the hottest; what the hottest of the others has becomes part of the error.

        It is taken off from the keys that stay, as sketches are merged by Agarwal, Cormode, Huang, Phillips, Wei and
        Yi, "Mergeable summaries" (PODS 2012): the error stays in proportion however often this is done.
        """
        if len(self.lowers) <= most:
            return self
        ordered = sorted(self.items(), key=lambda item: -item[1])
        off = ordered[most][1]
        kept = {key: lower - off for key, lower in ordered[:most] if lower > off}
        own = self.error - self.missed + off
        return type(self).of(kept, error=own, taken=self.taken, missed=self.missed, skipped=self.skipped)

    def items(self) -> Iterator[tuple[bytes, int]]:
        """(key, lower)."""
        return chain.from_iterable(zip(*part, strict=True) for part in self.parts(max(1, len(self.lowers))))

    def parts(self, most: int) -> Iterator[tuple[list[bytes], list[int]]]:
        """(keys, their lowers), so many at once."""
        data, ends = self.data, np.cumsum(self.lengths, dtype=np.int64)
        for first in range(0, len(ends), most):
            bounds = [int(ends[first - 1]) if first else 0, *ends[first : first + most].tolist()]
            yield [data[start:end] for start, end in pairwise(bounds)], self.lowers[first : first + most].tolist()
