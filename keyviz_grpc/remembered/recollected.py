"""A matrix of which most is remembered: put together when somebody reads more of it than its rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.remembered.blocks import FAR, Block, between
from keyviz_grpc.remembered.joining import joined

Stamps: TypeAlias = "NDArray[np.int64]"

_LATER: Final = ("values", "codes", "shares", "soft", "conflicts", "busy", "leaders", "counts", "identities")
"""The last one is always filled, and says to other threads that the others are, as far as they are going to be."""


class Recollected(Matrix):
    """Consecutive blocks over one catalogue, of each the columns of its slice; equal to what `joined` makes of them.

    Whoever remembers the merged picture needs the newest columns of it alone, and takes them by `since`. columns: the
    stamps of all, ascending, where they are at hand; else raises MalformedAnswer where the blocks' are not. The blocks
    must not change.
    """

    __slots__ = ("_blocks",)

    _blocks: Sequence[tuple[Block, slice]]

    def __init__(
        self,
        series: Series,
        catalogue: Catalogue,
        blocks: Sequence[tuple[Block, slice]],
        columns: Stamps | None = None,
    ) -> None:
        if columns is None:
            columns = np.concatenate([np.empty(0, np.int64), *(block.columns[part] for block, part in blocks)])
            if bool((columns[1:] <= columns[:-1]).any()):
                raise MalformedAnswer("column_unix_ms is not strictly ascending")
        columns.setflags(write=False)
        put = object.__setattr__
        put(self, "series", series)
        put(self, "columns", columns)
        put(self, "catalogue", catalogue)
        put(self, "_blocks", blocks)

    def since(self, from_unix_ms: int) -> Matrix:
        """The columns from that stamp on; where they are all that a matrix among the blocks has, that one itself."""
        cut: list[tuple[Block, slice]] = []
        # From the last one back: mostly it is the only one, of many.
        for block, part in reversed(self._blocks):
            start = max(part.start, between(block, from_unix_ms, FAR).start)
            if start < part.stop:
                cut.insert(0, (block, slice(start, part.stop)))
            if part.start < part.stop and part.start < start:
                break
        if len(cut) == 1:
            block, part = cut[0]
            whole = part == slice(0, len(block.columns))
            if whole and isinstance(block, Matrix) and block.catalogue is self.catalogue:
                return block
        columns = self.columns[self.columns.searchsorted(from_unix_ms) :]
        return Recollected(self.series, self.catalogue, cut, columns)

    @property
    def share_count(self) -> int:
        """Those of the blocks, of all their columns."""
        return sum(len(block.shares) for block, _ in self._blocks)

    @property
    def identity_count(self) -> int:
        """Those of the block that has most: what is remembered has no more of them than cells and shares."""
        return max((len(block.identities) for block, _ in self._blocks), default=0)

    @property
    def busy_cells(self) -> int:
        """Those of the blocks, of rows that have traffic in any of their columns."""
        return sum(block.busy_cells for block, _ in self._blocks)

    @property
    def merged_cells(self) -> int:
        """All: first they are put together."""
        return self.cells

    @property
    def count_bytes(self) -> int:
        """Nobody has put them together yet."""
        return 8

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Called for a slot that is not filled yet."""
            if name not in _LATER:
                raise AttributeError(name)
            if self.is_filled(_LATER[-1]):  # all is put together, but what any matrix makes when it is read
                return super().__getattr__(name)
            whole = joined(self.series, self.catalogue, self._blocks)
            for later in filter(whole.is_filled, _LATER):
                object.__setattr__(self, later, getattr(whole, later))
            return getattr(self, name)
