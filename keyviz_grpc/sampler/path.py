"""What a single operation finds on its way: the open window's bounds, and where to append what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from keyviz_grpc.sampler.intake import SIZE_BITS
from keyviz_grpc.sampler.places import Place
from keyviz_grpc.sampler.types import Op

SPARE: Final = 1024
"""How many labels that have no place of their own are remembered, about."""

Where: TypeAlias = int | tuple[tuple[bytes, ...], list[int], str]
"""What an operation's size is added to, a bucket and a kind.

Or the cuts of slices, that of each slice, and the label under which the operation counts: the empty one instead of its
own where that has no place.
"""

Wheres: TypeAlias = dict[int | tuple[int, str], Where]
"""By route id, and by route id and label where there is one."""

Note: TypeAlias = Callable[[int, str, bool, bytes], None]

Path: TypeAlias = tuple[
    Callable[[], float], float, float, Wheres, Wheres, Callable[[int], None], Note | None, float, int
]
"""The clock, the open window's start and end, reads and writes, where to append; who notes keys, and of what share of
operations; one in how many is counted."""


class HotPath:
    """Makes what `Sampler.observe` reads in one go, and the places that it finds there. Not thread-safe.

    clock: unix seconds. append: takes one operation. note: who takes its key from now on, until places change, None =
    nobody does; noted_in, one_in: of one in how many operations keys are noted, and one in how many is counted.

    Places and who notes keys are in one path, and another path has others: an operation in whose middle places change
    counts, and its key is noted, as if it had been over before.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        append: Callable[[int], None],
        *,
        note: Callable[[], Note | None],
        noted_in: int,
        one_in: int,
    ) -> None:
        self._clock, self._append, self._note_now = clock, append, note
        self._rates = (1.0 / noted_in, one_in)
        self.forget()

    def within(self, from_s: float, until_s: float) -> Path:
        """For the window of [from_s, until_s), until places change."""
        return self._clock, from_s, until_s, self._reads, self._writes, self._append, self.note, *self._rates

    def learn(self, route_id: int, op: Op, label: str, place: Place, *, counts_as: str, places: int) -> Where:
        """Remembers where these operations count, until `forget`; `note` takes their keys.

        counts_as: their label, or none where it has no place. places: how many routes and labels have a place of their
        own. Any number of labels past the limit may come besides: when there are too many all is forgotten, and what
        still comes is learnt again.
        """
        bases = [(2 * slot + op.value) << SIZE_BITS for slot in place.slots]
        where: Where = (place.cuts, bases, counts_as) if place.cuts or counts_as != label else bases[0]
        wheres = self._writes if op is Op.WRITE else self._reads
        if len(wheres) >= places + SPARE:
            wheres.clear()
        wheres[(route_id, label) if label else route_id] = where
        return where

    def forget(self) -> None:
        """Places have changed; paths from before are those of the old ones."""
        self.note = self._note_now()
        self._reads: Wheres = {}
        self._writes: Wheres = {}
