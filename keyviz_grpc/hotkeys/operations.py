"""Operations on their way into sketches: noted one by one, or in batches, which become objects off the hot path."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Operation: TypeAlias = tuple[int, str, bool, bytes]
"""(route id, label, whether it is a write, key)"""

Kind: TypeAlias = tuple[int, str, bool]
"""As an operation, without its key."""


class Operations(Protocol):
    """Operations of one window; never written to again."""

    def __len__(self) -> int: ...

    def split(self, first: int) -> tuple[Operations, Operations]:
        """The first so many, and the rest."""
        ...

    def counts(self) -> Counter[Kind]:
        """How many of each kind."""
        ...

    def groups(self) -> dict[Kind, list[bytes]]:
        """The keys of each kind, one an operation, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Noted:
    """As they came, one by one."""

    operations: list[Operation]

    def __len__(self) -> int:
        return len(self.operations)

    def split(self, first: int) -> tuple[Noted, Noted]:
        """See `Operations`."""
        return Noted(self.operations[:first]), Noted(self.operations[first:])

    def counts(self) -> Counter[Kind]:
        """See `Operations`."""
        return Counter(operation[:3] for operation in self.operations)

    def groups(self) -> dict[Kind, list[bytes]]:
        """See `Operations`."""
        grouped: defaultdict[Kind, list[bytes]] = defaultdict(list)
        for route_id, label, write, key in self.operations:
            grouped[route_id, label, write].append(key)
        return grouped


@dataclass(frozen=True, slots=True, eq=False)
class KeyRun:
    """n keys in one piece: key i is data[offsets[i]:offsets[i + 1]]."""

    data: bytes
    offsets: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """n operations side by side: route_ids uint64[n], writes bool[n], labels[n] or None where none has one, n keys."""

    route_ids: NDArray[np.uint64]
    writes: NDArray[np.bool_]
    labels: Sequence[str] | None
    keys: Sequence[bytes] | KeyRun

    def __len__(self) -> int:
        return len(self.route_ids)

    def split(self, first: int) -> tuple[Columns, Columns]:
        """See `Operations`."""
        return self._part(slice(None, first)), self._part(slice(first, None))

    def _part(self, part: slice) -> Columns:
        keys = self.keys
        if isinstance(keys, KeyRun):
            start, stop, _ = part.indices(len(self))
            offsets = keys.offsets[start : stop + 1]
            # What is left out must not stay in memory because of what is kept.
            own: Sequence[bytes] | KeyRun = KeyRun(keys.data[offsets[0] : offsets[-1]], offsets - offsets[0])
        else:
            own = keys[part]
        labels = None if self.labels is None else self.labels[part]
        return Columns(self.route_ids[part], self.writes[part], labels, own)

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
        if not isinstance(keys, KeyRun):
            return [keys[number] for number in order.tolist()]
        data = keys.data
        starts, ends = keys.offsets[order].tolist(), keys.offsets[order + 1].tolist()
        return [data[start:end] for start, end in zip(starts, ends, strict=True)]
