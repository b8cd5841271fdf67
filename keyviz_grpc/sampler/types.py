"""What a store hands to the sampler."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import InvalidRequest


class Op(enum.Enum):
    """One operation's direction; the value is its code in arrays."""

    READ = 0
    WRITE = 1


@dataclass(frozen=True, slots=True)
class Route:
    """A key range [start, end) (empty end = unbounded) and the Raft group that owns it.

    Raises InvalidRequest for an id that is not a positive 64-bit number, for start not below end and for a group
    that is negative or over 64 bits; group 0 = not known.
    """

    route_id: int
    start: bytes
    end: bytes
    raft_group_id: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.route_id < 2**64:
            raise InvalidRequest("route_id", self.route_id, "must be a positive 64-bit number")
        if not 0 <= self.raft_group_id < 2**64:
            raise InvalidRequest("raft_group_id", self.raft_group_id, "must be a 64-bit number")
        if self.end and self.start >= self.end:
            raise InvalidRequest("start", self.start, f"must be below end={self.end!r} (route_id={self.route_id})")


@dataclass(frozen=True, slots=True, eq=False)
class PackedKeys:
    """n keys without n objects: key i is data[offsets[i]:offsets[i + 1]].

    data: uint8[total]; offsets: int64[n + 1], from 0, never falling, the last one len(data); InvalidRequest otherwise.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.data):
            raise InvalidRequest("offsets", self.offsets[:3].tolist(), f"must run from 0 to len(data)={len(self.data)}")
        if bool((np.diff(self.offsets) < 0).any()):
            raise InvalidRequest("offsets", self.offsets[:3].tolist(), "must never fall")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each key."""
        return np.diff(self.offsets)

    def take(self, start: int, stop: int) -> PackedKeys:
        """Keys start to stop, as views."""
        offsets = self.offsets[start : stop + 1]
        return PackedKeys(self.data[offsets[0] : offsets[-1]], offsets - offsets[0])
