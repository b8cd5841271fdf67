"""The keys of the synthetic store, its routes, and how both change as time goes by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.sampler import Route

SPLIT_PERIOD_MS: Final = 240_000
"""Once a period one route is split in two; half a period later its halves are merged again."""

GROUPS: Final = 22
_EPOCH_MS: Final = 1_577_836_800_000  # 2020-01-01: terms count from here


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Keys of one table: how many, on how many routes, and how key number n is written; labels "" = none."""

    keys: int
    routes: int
    form: str
    label: str = ""

    def key(self, number: int) -> bytes:
        if self.form == "index":
            return b"\x00idx" + (number * 2_097_143).to_bytes(6, "big")
        return self.form.format(number).encode()


_STRETCHES: Final = (
    _Stretch(2048, 8, "index"),
    _Stretch(1024, 8, "item/{:06d}"),
    _Stretch(2048, 10, "order/2026/{:07d}", label="checkout"),
    _Stretch(1024, 6, "session/{:08x}", label="login"),
    _Stretch(2048, 12, "user/{:06d}/profile"),
)


class Keyspace:
    """44 routes over five tables of keys, text and binary, in 22 Raft groups of two routes each.

    keys: in byte order. positions: int64[len(keys)], the position (from 0) of each key's route in key order. labels:
    that an operation on a route may carry, "" = none, by position. Route ids: position + 1; the halves of route r are
    1000 + 2r and 1001 + 2r. slices: in how many rows a route is counted, each with as many of its keys as the others to
    within one: even distances would put nearly all text keys into one. Splits, terms and leaders are functions of the
    seed and of the time.
    """

    def __init__(self, seed: int, *, nodes: int, slices: int = 1) -> None:
        self._seed = seed
        self._slices = slices
        self._nodes = nodes
        self.keys = [stretch.key(number) for stretch in _STRETCHES for number in range(stretch.keys)]
        self.labels = [stretch.label for stretch in _STRETCHES for _ in range(stretch.routes)]
        sizes = [stretch.keys // stretch.routes for stretch in _STRETCHES for _ in range(stretch.routes)]
        sizes = self._spread_rest(sizes)
        ends = list(accumulate(sizes))
        self.positions: NDArray[np.int64] = np.repeat(np.arange(len(sizes)), sizes)
        self._starts = [0, *ends[:-1]]
        bounds = [b"", *(self.keys[start] for start in self._starts[1:]), b""]
        self._routes = tuple(
            Route(n + 1, bounds[n], bounds[n + 1], raft_group_id=n // 2 + 1, cuts=self._cuts(first, end))
            for n, (first, end) in enumerate(zip(self._starts, ends, strict=True))
        )
        self._ends = ends
        self._middles = [start + size // 2 for start, size in zip(self._starts, sizes, strict=True)]

    def _cuts(self, first: int, end: int) -> tuple[bytes, ...]:
        """Where to cut keys[first:end], as many to a slice as to the others to within one."""
        slices = min(self._slices, end - first)
        return tuple(self.keys[first + (end - first) * number // slices] for number in range(1, slices))

    @staticmethod
    def _spread_rest(sizes: list[int]) -> list[int]:
        first = 0
        for stretch in _STRETCHES:
            sizes[first] += stretch.keys - sum(sizes[first : first + stretch.routes])
            first += stretch.routes
        return sizes

    def split_at(self, unix_ms: int) -> int | None:
        """The position of the route that is split at this moment, if any."""
        period, into = divmod(unix_ms, SPLIT_PERIOD_MS)
        return self._pick("split", period) % len(self._routes) if into >= SPLIT_PERIOD_MS // 2 else None

    def routes_at(self, unix_ms: int) -> tuple[Route, ...]:
        """The routes of this moment in key order; they cover the key space."""
        position = self.split_at(unix_ms)
        if position is None:
            return self._routes
        whole, cut = self._routes[position], self._middles[position]
        middle, group = self.keys[cut], whole.raft_group_id
        low, high = self._halves(position)
        halves = (
            Route(low, whole.start, middle, group, cuts=self._cuts(self._starts[position], cut)),
            Route(high, middle, whole.end, group, cuts=self._cuts(cut, self._ends[position])),
        )
        return (*self._routes[:position], *halves, *self._routes[position + 1 :])

    def route_ids(self, key_numbers: NDArray[np.int64], unix_ms: int) -> NDArray[np.uint64]:
        """The route of each key (an index into `keys`) at this moment."""
        positions = self.positions[key_numbers]
        ids = (positions + 1).astype(np.uint64)
        split = self.split_at(unix_ms)
        if split is not None:
            low, high = self._halves(split)
            inside = positions == split
            ids[inside] = np.where(key_numbers[inside] < self._middles[split], low, high)
        return ids

    @staticmethod
    def _halves(position: int) -> tuple[int, int]:
        return 1000 + 2 * (position + 1), 1001 + 2 * (position + 1)

    def leader_at(self, group: int, unix_ms: int) -> tuple[int, int]:
        """(term, index of the leading node); every third election, the leader of the term before wins again."""
        period = 60_000 + self._pick("period", group) % 240 * 1000
        offset = self._pick("offset", group) % 600 * 500
        term = max(0, unix_ms - _EPOCH_MS + offset) // period + 1
        return term, (group + term * 2 // 3) % self._nodes

    def _pick(self, what: str, number: int) -> int:
        digest = hashlib.blake2b(f"{self._seed} {what} {number}".encode(), digest_size=6).digest()
        return int.from_bytes(digest, "big")
