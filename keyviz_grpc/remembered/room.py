"""Room behind the columns of a picture: what goes on with it is written there, and nothing is copied."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Matrix
from keyviz_grpc.traffic import Counts

SPARE: Final = 8
LEAST_SPARE: Final = 64
"""There is room for an eighth more columns than there are, and for so many at least: where it ends all is copied, in a
thread, and a short picture would have that done every few columns.
"""


@dataclass(slots=True, eq=False)
class Room:
    """Arrays of all rows with columns to spare. Cells of the first `end` columns never change.

    soft, conflicts: None while no cell is marked. Thread-safe.
    """

    values: Counts
    soft: NDArray[np.bool_] | None
    conflicts: NDArray[np.bool_] | None
    end: int
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def around(cls, matrix: Matrix) -> Self:
        """With a copy of the matrix as the first columns."""
        soft, conflicts = (None if marks is None else _roomy(marks) for marks in (matrix.soft, matrix.conflicts))
        return cls(_roomy(matrix.narrowest), soft, conflicts, len(matrix.columns))

    @property
    def size_bytes(self) -> int:
        """Of its arrays."""
        marks = sum(array.nbytes for array in (self.soft, self.conflicts) if array is not None)
        return self.values.nbytes + marks

    def take(self, end: int, more: Matrix) -> bool:
        """Whether columns can come behind the first `end` ones, where none are yet; then they are there."""
        counts, last = more.narrowest, end + len(more.columns)
        with self._lock:
            if end != self.end or last > self.values.shape[1] or counts.dtype.itemsize > self.values.dtype.itemsize:
                return False
            self.values[:, end:last] = counts
            self.soft = self._marked(self.soft, more.soft, slice(end, last))
            self.conflicts = self._marked(self.conflicts, more.conflicts, slice(end, last))
            self.end = last
            return True

    def _marked(
        self, marks: NDArray[np.bool_] | None, more: NDArray[np.bool_] | None, there: slice
    ) -> NDArray[np.bool_] | None:
        if marks is None and more is not None:
            marks = np.zeros(self.values.shape, np.bool_)
        if marks is not None:
            marks[:, there] = False if more is None else more
        return marks


def _roomy(array: NDArray[Any]) -> NDArray[Any]:
    rows, columns = array.shape
    wide = np.empty((rows, columns + max(columns // SPARE, LEAST_SPARE)), array.dtype)
    wide[:, :columns] = array
    return wide


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Some of the columns of a room."""

    room: Room
    columns: slice

    @classmethod
    def around(cls, matrix: Matrix) -> Self:
        """In a room of its own."""
        return cls(Room.around(matrix), slice(0, len(matrix.columns)))

    def has_room(self, columns: int) -> bool:
        """Whether so many can come behind the last one."""
        return bool(self.columns.stop == self.room.end and self.room.end + columns <= self.room.values.shape[1])

    def extended(self, dropped: int, more: Matrix) -> Place | None:
        """Without its first columns, and with those of `more` behind the last one; None where they have no room."""
        if not self.room.take(self.columns.stop, more):
            return None
        return Place(self.room, slice(self.columns.start + dropped, self.columns.stop + len(more.columns)))

    @property
    def values(self) -> Counts:
        """Theirs, as all of these read-only in a matrix."""
        return self.room.values[:, self.columns]

    @property
    def soft(self) -> NDArray[np.bool_] | None:
        """Their marks, None while no cell of the room is marked."""
        return None if self.room.soft is None else self.room.soft[:, self.columns]

    @property
    def conflicts(self) -> NDArray[np.bool_] | None:
        """As `soft`."""
        return None if self.room.conflicts is None else self.room.conflicts[:, self.columns]
