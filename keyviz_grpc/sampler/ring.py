"""The closed windows of one node, oldest first, at most so many; all but the newest are kept packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from keyviz_grpc.sampler.block import Block
from keyviz_grpc.sampler.column import Column, added
from keyviz_grpc.timeline import Timeline

BLOCK_COLUMNS: Final = 60
FRESH_COLUMNS: Final = 4
"""The newest columns stay loose: late operations come to them, and they are what is asked for most."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Column number `at` of a block."""

    block: Block
    at: int


Held: TypeAlias = Column | Place


class Ring(Timeline[Held]):
    """Columns by stamp, each loose or a place in a block; columns and blocks are immutable.

    `puts` grows with every column that is put, `revision` when one that was there already is counted into again,
    `rewrites` also when one is put before the newest. Packing changes none of them.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self._loose = 0
        self.puts = 0
        self.revision = 0
        self.rewrites = 0

    def put(self, stamp: int, column: Column) -> None:
        """Keeps a closed window; one of a stamp that is there already is added to it. The oldest give way."""
        self.puts += 1
        held = self.get(stamp)
        if held is not None:
            if isinstance(held, Place):
                held = self._loosen(held.block)[held.at]
            self.set(stamp, added(held, column))
            self.revision += 1
            self.rewrites += 1
            return
        if stamp < self.newest_unix_ms:
            self.rewrites += 1
        self.set(stamp, column)
        self._loose += 1
        while len(self) > self.limit:
            self._loose -= isinstance(self.pop_oldest(), Column)

    def _loosen(self, block: Block) -> list[Column]:
        columns = block.unpacked()
        for stamp, held in self:
            if isinstance(held, Place) and held.block is block:
                self.set(stamp, columns[held.at])
                self._loose += 1
        return columns

    def due(self) -> list[tuple[int, Column]]:
        """Columns to be packed into a block now: the oldest loose ones, or none while there are few."""
        if self._loose < BLOCK_COLUMNS + FRESH_COLUMNS:
            return []
        found = [(stamp, held) for stamp, held in self if isinstance(held, Column)]
        return found[:BLOCK_COLUMNS]

    def pack(self, columns: Sequence[tuple[int, Column]], block: Block) -> None:
        """Puts a block in the place of the columns that it was made of; nothing where one of them changed meanwhile."""
        if any(self.get(stamp) is not column for stamp, column in columns):
            return
        for at, (stamp, _) in enumerate(columns):
            self.set(stamp, Place(block, at))
        self._loose -= len(columns)
