"""Operations on their way into sketches: noted one by one, or in batches, which become objects off the hot path."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Operation: TypeAlias = tuple[int, str, bool, bytes]
"""(route id, label, whether it is a write, key)"""

Kind: TypeAlias = tuple[int, str, bool]
"""As an operation, without its key."""

UNIT_BITS: Final = 8
UNIT_BYTES: Final = 1 << UNIT_BITS
"""An operation that waits is held with its key, which may be long: see `Operations.units`."""


class Operations(Protocol):
    """Operations of one window; they may share memory with whoever made them, see `owned`."""

    @property
    def units(self) -> int:
        """What holding them takes: one each, and one for every full UNIT_BYTES of its key."""
        ...

    def split(self, units: int) -> tuple[Operations, Operations]:
        """The first ones until they are that many units or, with the last one's key, more; and the rest."""
        ...

    def owned(self) -> Operations:
        """The same with memory of their own, and no more of it than they take."""
        ...

    def counts(self) -> Counter[Kind]:
        """How many of each kind."""
        ...

    def groups(self) -> dict[Kind, list[bytes]]:
        """The keys of each kind, one an operation, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Noted:
    """As they came, one by one; each is followed by a None for every full UNIT_BYTES of its key."""

    operations: Sequence[Operation | None]

    @property
    def units(self) -> int:
        """See `Operations`."""
        return len(self.operations)

    def split(self, units: int) -> tuple[Noted, Noted]:
        """See `Operations`."""
        first = max(units, 0)
        while first < len(self.operations) and self.operations[first] is None:
            first += 1
        return Noted(self.operations[:first]), Noted(self.operations[first:])

    def owned(self) -> Noted:
        """See `Operations`."""
        return self

    def counts(self) -> Counter[Kind]:
        """See `Operations`."""
        return Counter(operation[:3] for operation in self.operations if operation is not None)

    def groups(self) -> dict[Kind, list[bytes]]:
        """See `Operations`."""
        grouped: defaultdict[Kind, list[bytes]] = defaultdict(list)
        for operation in self.operations:
            if operation is not None:
                route_id, label, write, key = operation
                grouped[route_id, label, write].append(key)
        return grouped


@dataclass(frozen=True, slots=True, eq=False)
class KeyRun:
    """n keys out of one piece: key i is data[starts[i]:ends[i]].

    is_whole: each begins where the one before ends.
    """

    data: bytes | memoryview
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    is_whole: bool

    @classmethod
    def of(cls, data: bytes | memoryview, offsets: NDArray[np.int64]) -> Self:
        """Key i is data[offsets[i]:offsets[i + 1]]."""
        return cls(data, offsets[:-1], offsets[1:], is_whole=True)

    def part(self, start: int, stop: int) -> Self:
        """Keys start to stop."""
        return type(self)(self.data, self.starts[start:stop], self.ends[start:stop], self.is_whole)

    def chosen(self, numbers: NDArray[np.int64]) -> Self:
        """The keys of these numbers."""
        return type(self)(self.data, self.starts[numbers], self.ends[numbers], is_whole=False)

    def owned(self) -> Self:
        """The same keys one after the other, in a piece of their own."""
        offsets = np.concatenate([[0], np.cumsum(self.ends - self.starts)])
        if self.is_whole:
            first = int(self.starts[0]) if len(self.starts) else 0
            return self.of(bytes(self.data[first : first + int(offsets[-1])]), offsets)
        return self.of(b"".join(self._slices()), offsets)

    def own_keys(self) -> list[bytes]:
        """Each key as an object."""
        return [key if isinstance(key, bytes) else bytes(key) for key in self._slices()]

    def _slices(self) -> Iterator[bytes | memoryview]:
        data = self.data
        return (data[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """n operations side by side: route_ids uint64[n], writes bool[n], labels[n] or None where none has one, n keys.

    full_units: how many full UNIT_BYTES there are in their keys.
    """

    route_ids: NDArray[np.uint64]
    writes: NDArray[np.bool_]
    labels: Sequence[str] | None
    keys: Sequence[bytes] | KeyRun
    full_units: int

    @property
    def units(self) -> int:
        """See `Operations`."""
        return len(self.route_ids) + self.full_units

    def split(self, units: int) -> tuple[Columns, Columns]:
        """See `Operations`."""
        full = self._lengths() >> UNIT_BITS
        before = np.arange(len(full)) + (np.cumsum(full) - full)
        first = int(np.searchsorted(before, max(units, 0)))
        kept = int(full[:first].sum())
        return self._part(0, first, kept), self._part(first, len(full), self.full_units - kept)

    def _lengths(self) -> NDArray[np.int64]:
        keys = self.keys
        return keys.ends - keys.starts if isinstance(keys, KeyRun) else np.fromiter(map(len, keys), np.int64, len(keys))

    def _part(self, start: int, stop: int, full_units: int) -> Columns:
        part = slice(start, stop)
        keys = self.keys.part(start, stop) if isinstance(self.keys, KeyRun) else self.keys[part]
        labels = None if self.labels is None else self.labels[part]
        return Columns(self.route_ids[part], self.writes[part], labels, keys, full_units)

    def owned(self) -> Columns:
        """See `Operations`; keys that are objects do not change, so those stay the same."""
        keys = self.keys.owned() if isinstance(self.keys, KeyRun) else list(self.keys)
        labels = None if self.labels is None else list(self.labels)
        return Columns(self.route_ids.copy(), self.writes.copy(), labels, keys, self.full_units)

    def counts(self) -> Counter[Kind]:
        """See `Operations`."""
        order, bounds = self._sorted()
        return Counter({self._kind(int(order[a])): b - a for a, b in pairwise(bounds)})

    def groups(self) -> dict[Kind, list[bytes]]:
        """See `Operations`."""
        order, bounds = self._sorted()
        keys = self._keys(order)
        return {self._kind(int(order[a])): keys[a:b] for a, b in pairwise(bounds)}

    def _kind(self, number: int) -> Kind:
        label = "" if self.labels is None else self.labels[number]
        return int(self.route_ids[number]), label, bool(self.writes[number])

    def _sorted(self) -> tuple[NDArray[np.int64], list[int]]:
        """(numbers of the operations by kind, where each kind begins among these, and their end)."""
        ids = self.route_ids
        if self.labels is not None:
            table: dict[str, int] = {}
            labels = [table.setdefault(label, len(table)) for label in self.labels]
            ids = np.unique(ids, return_inverse=True)[1].astype(np.uint64) * np.uint64(max(len(table), 1))
            ids += np.array(labels, np.uint64)
        elif len(ids) and int(ids.max()) >= 1 << 63:
            ids = np.unique(ids, return_inverse=True)[1].astype(np.uint64)
        codes = ids * np.uint64(2) + self.writes
        order = np.argsort(codes)
        ordered = codes[order]
        inner = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        return order, [0, *inner.tolist(), len(codes)] if len(codes) else [0]

    def _keys(self, order: NDArray[np.int64]) -> list[bytes]:
        keys = self.keys
        if isinstance(keys, KeyRun):
            return keys.chosen(order).own_keys()
        return [keys[number] for number in order.tolist()]
