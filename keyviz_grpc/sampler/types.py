"""What a store hands to the sampler."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import InvalidRequest

MAX_SLICES: Final = 4096
"""Slices of one route, at most."""


class Op(enum.Enum):
    """One operation's direction; the value is its code in arrays."""

    READ = 0
    WRITE = 1


@dataclass(frozen=True, slots=True)
class Route:
    """A key range [start, end) (empty end = unbounded) and the Raft group that owns it (0 = not known).

    slices: in how many the route is counted, None = as the sampler does by default, 1 = in one piece. cuts: where to
    cut it instead, keys that ascend strictly within the range, each the first key of the slice above it; for keys
    whose bytes lie so unevenly that even distances put nearly all of them into one slice.

    Raises InvalidRequest for an id that is not a positive 64-bit number, for start not below end, for a group that is
    negative or over 64 bits, for slices below 1 or above MAX_SLICES, for cuts that do not ascend or lie outside, and
    for a number of slices that is not that of the cuts.
    """

    route_id: int
    start: bytes
    end: bytes
    raft_group_id: int = 0
    slices: int | None = None
    cuts: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.route_id < 2**64:
            raise InvalidRequest("route_id", self.route_id, "must be a positive 64-bit number")
        if not 0 <= self.raft_group_id < 2**64:
            raise InvalidRequest("raft_group_id", self.raft_group_id, "must be a 64-bit number")
        if self.end and self.start >= self.end:
            raise InvalidRequest("start", self.start, f"must be below end={self.end!r} (route_id={self.route_id})")
        self._check_slices()

    def _check_slices(self) -> None:
        if self.slices is not None and not 1 <= self.slices <= MAX_SLICES:
            problem = f"must be from 1 to {MAX_SLICES} (route_id={self.route_id})"
            raise InvalidRequest("slices", self.slices, problem)
        if not self.cuts:
            return
        if len(self.cuts) >= MAX_SLICES:
            problem = f"must be fewer than {MAX_SLICES} (route_id={self.route_id})"
            raise InvalidRequest("cuts", len(self.cuts), problem)
        if self.slices is not None and self.slices != len(self.cuts) + 1:
            problem = f"must be {len(self.cuts) + 1} where there are {len(self.cuts)} cuts (route_id={self.route_id})"
            raise InvalidRequest("slices", self.slices, problem)
        for cut in self.cuts:
            if not isinstance(cut, bytes):
                raise InvalidRequest("cuts", cut, f"must be bytes (route_id={self.route_id})")
            if cut <= self.start or (self.end and cut >= self.end):
                problem = f"must be above start={self.start!r} and below end={self.end!r} (route_id={self.route_id})"
                raise InvalidRequest("cuts", cut, problem)
        for before, cut in pairwise(self.cuts):
            if before >= cut:
                problem = f"must be above the one before, {before!r} (route_id={self.route_id})"
                raise InvalidRequest("cuts", cut, problem)


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
