"""A bounded place for what can be had again: the longest unused goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from keyviz_grpc.model import Catalogue, Matrix
from keyviz_grpc.remembered.blocks import size_bytes_of
from keyviz_grpc.unchanging import unchanging

ROW_BYTES: Final = 512
"""What one row of a catalogue takes in memory besides its keys and route ids, its place in an index included."""


@unchanging(frozen=True, slots=True, eq=False)
class _Kept:
    value: object
    size_bytes: int
    shared: tuple[Catalogue | Matrix, ...]


class Shelf:
    """Values by key, together at most `max_bytes`, by what their owners say they weigh. Thread-safe.

    Catalogues and matrices are weighed once, however many values share them. owner: whoever put a value may take
    all of its own away.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Hashable, Hashable], _Kept] = OrderedDict()
        self._shared: dict[int, tuple[int, int]] = {}
        self._used_bytes = 0

    @property
    def used_bytes(self) -> int:
        """What is kept now."""
        return self._used_bytes

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, owner: Hashable, key: Hashable) -> object | None:
        """The value, which counts as used now."""
        with self._lock:
            kept = self._kept.get((owner, key))
            if kept is None:
                return None
            self._kept.move_to_end((owner, key))
            return kept.value

    def put(
        self,
        owner: Hashable,
        key: Hashable,
        value: object,
        *,
        size_bytes: int,
        shared: tuple[Catalogue | Matrix, ...] = (),
    ) -> None:
        """Keeps the value in place of the one before, unless it is larger than everything may be together.

        size_bytes: without what is shared, of which a matrix does not include its catalogue.
        """
        with self._lock:
            # First, for what the value before shares too need not be weighed anew.
            for item in shared:
                self._share(item)
            self._take(owner, key)
            self._kept[owner, key] = _Kept(value, size_bytes, shared)
            self._used_bytes += size_bytes
            if self._used_bytes > self.max_bytes:
                self._make_room(owner, key)

    def _make_room(self, owner: Hashable, key: Hashable) -> None:
        """Lets values go, first that one where nothing could be beside it."""
        kept = self._kept[owner, key]
        if kept.size_bytes + sum(self._shared[number][1] for number in set(map(id, kept.shared))) > self.max_bytes:
            self._take(owner, key)
        while self._used_bytes > self.max_bytes:
            self._take(*next(iter(self._kept)))

    def drop(self, owner: Hashable, key: Hashable) -> None:
        """Gives one value back, if it is there."""
        with self._lock:
            self._take(owner, key)

    def drop_all(self, owner: Hashable) -> None:
        """Gives back whatever this owner put."""
        with self._lock:
            for name in [name for name in self._kept if name[0] == owner]:
                self._take(*name)

    def _take(self, owner: Hashable, key: Hashable) -> None:
        kept = self._kept.pop((owner, key), None)
        if kept is None:
            return
        self._used_bytes -= kept.size_bytes
        for item in kept.shared:
            users, size = self._shared[id(item)]
            if users > 1:
                self._shared[id(item)] = (users - 1, size)
            else:
                del self._shared[id(item)]
                self._used_bytes -= size

    def _share(self, item: Catalogue | Matrix) -> None:
        known = self._shared.get(id(item))
        if known is None:
            known = (0, weight_of(item) if isinstance(item, Catalogue) else size_bytes_of(item))
            self._used_bytes += known[1]
        self._shared[id(item)] = (known[0] + 1, known[1])


def weight_of(catalogue: Catalogue) -> int:
    """About how many bytes of memory a catalogue takes."""
    keys = sum(len(row.start) + len(row.end) + 40 * len(row.route_ids) for row in catalogue.rows)
    return keys + ROW_BYTES * len(catalogue)
