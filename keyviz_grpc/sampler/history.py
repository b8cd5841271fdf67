"""The number by which a reader knows that what it was told before still holds."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Catalogue
from keyviz_grpc.outcome import History
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler.ring import Held

# Two lives must not share numbers, not even when a clock that went back gave both one incarnation.
START_BITS: Final = 62

Columns = Sequence[tuple[int, Held]]


@dataclass(frozen=True, eq=False)
class Layout:
    """Which slots make up which row: row i is what slots[starts[i]] to slots[starts[i + 1]] counted."""

    slots: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def single(self) -> bool:
        """Whether each row is one slot."""
        return len(self.starts) == len(self.slots)

    @cached_property
    def in_order(self) -> bool:
        """Whether slots are numbered as they stand, as those of routes that were registered in key order are."""
        return bool((self.slots == np.arange(len(self.slots))).all())

    def same_as(self, other: Layout) -> bool:
        """Whether equal columns give equal cells under both."""
        return np.array_equal(self.slots, other.slots) and np.array_equal(self.starts, other.starts)


@dataclass(frozen=True, slots=True, eq=False)
class ShownRows:
    """The rows that a matrix shows, in their order, and what makes them up."""

    layout: Layout
    catalogue: Catalogue

    def same_as(self, other: ShownRows) -> bool:
        """Whether equal columns give equal matrices under both."""
        return self.layout is other.layout and self.catalogue == other.catalogue


NO_ROWS: Final = ShownRows(Layout(np.empty(0, np.int64), np.empty(0, np.int64)), Catalogue(()))


@dataclass(slots=True)
class HistoryNumber:
    """A matrix is a function of the columns held and of the rows shown; the number changes whenever either was altered.

    Columns are immutable and leave the ring from its old end alone, so all that can alter what a reader has is one
    that is replaced or put before the newest, which the ring counts as `rewrites`, and other rows.
    """

    _number: int = field(default_factory=lambda: secrets.randbits(START_BITS) + 1)
    _rewrites: int = 0
    _rows: ShownRows | None = None

    def now(self, rows: ShownRows, rewrites: int) -> int:
        """The number of this state; `rows` is compared by identity, see `ShownRows.same_as`."""
        if rows is not self._rows or rewrites != self._rewrites:
            self._number += 1
            self._rows, self._rewrites = rows, rewrites
        return self._number


def what_is_left(
    held: Columns, query: MatrixQuery, *, node_id: str, incarnation: int, number: int, newest_unix_ms: int
) -> tuple[Columns, History | None]:
    """Of the columns asked for those that the caller lacks, and what the answer says of its history.

    None where the answer is not of every row: such an answer cannot be remembered.
    """
    if query.rows or query.bucket_ids or (query.node_id and query.node_id != node_id):
        return held, None
    known = query.known
    if known is None or (known.node_id, known.incarnation, known.history) != (node_id, incarnation, number):
        return held, History(number, newest_unix_ms)
    rest = [item for item in held if item[0] >= known.below_unix_ms]
    return rest, History(number, newest_unix_ms, known.below_unix_ms, len(held) - len(rest))
