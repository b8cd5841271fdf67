"""The closed windows of one node, oldest first, at most so many; all but the newest are kept packed."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from keyviz_grpc.sampler.block import Block
from keyviz_grpc.sampler.column import Column, added

BLOCK_COLUMNS: Final = 60
FRESH_COLUMNS: Final = 4
"""The newest columns stay loose: late operations come to them, and they are what is asked for most."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Column number `at` of a block."""

    block: Block
    at: int


Held: TypeAlias = Column | Place


class Ring:
    """Columns by stamp, each loose or a place in a block. Not thread-safe; what it holds is immutable, so a list of
    columns can be read without a lock.

    `revision` grows when a column that was there already is counted into again, `rewrites` also when one is put
    before the newest. Packing changes neither.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._stamps: list[int] = []
        self._columns: dict[int, Held] = {}
        self._loose = 0
        self.revision = 0
        self.rewrites = 0

    @property
    def oldest_unix_ms(self) -> int:
        """Stamp of the oldest column, 0 when there is none."""
        return self._stamps[0] if self._stamps else 0

    @property
    def newest_unix_ms(self) -> int:
        """Stamp of the newest column, 0 when there is none."""
        return self._stamps[-1] if self._stamps else 0

    def __len__(self) -> int:
        return len(self._stamps)

    def put(self, stamp: int, column: Column) -> None:
        """Keeps a closed window; one of a stamp that is there already is added to it. The oldest give way."""
        held = self._columns.get(stamp)
        if held is not None:
            if isinstance(held, Place):
                held = self._loosen(held.block)[held.at]
            self._columns[stamp] = added(held, column)
            self.revision += 1
            self.rewrites += 1
            return
        if stamp < self.newest_unix_ms:
            self.rewrites += 1
        insort(self._stamps, stamp)
        self._columns[stamp] = column
        self._loose += 1
        while len(self._stamps) > self.limit:
            gone = self._columns.pop(self._stamps.pop(0))
            self._loose -= isinstance(gone, Column)

    def _loosen(self, block: Block) -> list[Column]:
        columns = block.unpacked()
        for stamp, held in self._columns.items():
            if isinstance(held, Place) and held.block is block:
                self._columns[stamp] = columns[held.at]
                self._loose += 1
        return columns

    def between(self, from_unix_ms: int, to_unix_ms: int) -> list[tuple[int, Held]]:
        """(stamp, column), ascending, with from <= stamp < to; 0 = unbounded."""
        first = bisect_left(self._stamps, from_unix_ms)
        last = bisect_left(self._stamps, to_unix_ms) if to_unix_ms else len(self._stamps)
        return [(stamp, self._columns[stamp]) for stamp in self._stamps[first:last]]

    def due(self) -> list[tuple[int, Column]]:
        """Columns to be packed into a block now: the oldest loose ones, or none while there are few."""
        if self._loose < BLOCK_COLUMNS + FRESH_COLUMNS:
            return []
        loose = ((stamp, self._columns[stamp]) for stamp in self._stamps)
        found = [(stamp, held) for stamp, held in loose if isinstance(held, Column)]
        return found[:BLOCK_COLUMNS]

    def pack(self, columns: Sequence[tuple[int, Column]], block: Block) -> None:
        """Puts a block in the place of the columns that it was made of; nothing where one of them changed meanwhile."""
        if any(self._columns.get(stamp) is not column for stamp, column in columns):
            return
        for at, (stamp, _) in enumerate(columns):
            self._columns[stamp] = Place(block, at)
        self._loose -= len(columns)
