"""Which traffic is meant, and of what time."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import InvalidRequest


class Series(enum.StrEnum):
    """Which counter a matrix shows. The value is the word used in HTTP queries."""

    READS = "reads"
    WRITES = "writes"
    READ_BYTES = "read_bytes"
    WRITE_BYTES = "write_bytes"

    @property
    def is_write(self) -> bool:
        """True for the series that follow the write rule (docs/merge.md); reads are summed and have no identity."""
        return self in (Series.WRITES, Series.WRITE_BYTES)


class SampleRole(enum.IntEnum):
    """In which Raft role a row's traffic was counted; the numbers are those of the wire."""

    LEADER_WRITE = 1
    LEADER_READ = 2
    FOLLOWER_READ = 3


@dataclass(frozen=True, slots=True)
class Window:
    """A range of column stamps in unix milliseconds: from (inclusive) to (exclusive); 0 = unbounded on that side.

    Raises InvalidRequest for a negative bound and for from > to where both are given (from == to is empty).
    """

    from_unix_ms: int = 0
    to_unix_ms: int = 0

    def __post_init__(self) -> None:
        if self.from_unix_ms < 0:
            raise InvalidRequest("from_unix_ms", self.from_unix_ms, "must not be negative")
        if self.to_unix_ms < 0:
            raise InvalidRequest("to_unix_ms", self.to_unix_ms, "must not be negative")
        if self.to_unix_ms and self.from_unix_ms > self.to_unix_ms:
            raise InvalidRequest("from_unix_ms", self.from_unix_ms, f"must not be after to_unix_ms={self.to_unix_ms}")

    def bounds(self, columns: NDArray[np.int64]) -> slice:
        """The slice of ascending `columns` that lies in this window."""
        first = int(np.searchsorted(columns, self.from_unix_ms)) if self.from_unix_ms else 0
        last = int(np.searchsorted(columns, self.to_unix_ms)) if self.to_unix_ms else len(columns)
        return slice(first, max(first, last))


EVERYTHING: Final = Window()
