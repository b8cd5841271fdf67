"""What clients of the synthetic store do: Zipf keys, a moving hot spot, a scan now and then, busy and quiet times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.workload.keyspace import GROUPS, Keyspace

TICK_MS: Final = 500
"""Traffic is made one tick at a time; routes and leaders change between ticks only."""

_HOT_SPOT_PERIOD_MS: Final = 420_000
_SCAN_PERIOD_MS: Final = 150_000
_SCAN_LASTS_MS: Final = 45_000
_WAVE_PERIOD_MS: Final = 300_000
_ZIPF_EXPONENT: Final = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Operations:
    """n operations of one tick, parallel arrays, no particular order.

    route_ids: uint64[n]; key_numbers: int64[n], indexes into the keyspace's keys; writes: uint8[n], 1 = write;
    value_bytes: int64[n]; labelled: bool[n], whether it carries its route's label; at_unix_ms: int64[n]; owners:
    int64[n], the index of the node that counts it.
    """

    route_ids: NDArray[np.uint64]
    key_numbers: NDArray[np.int64]
    writes: NDArray[np.uint8]
    value_bytes: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    at_unix_ms: NDArray[np.int64]
    owners: NDArray[np.int64]


class Traffic:
    """The traffic of a cluster of `nodes` nodes: `operations(tick)` is a pure function of the constructor's arguments.

    rate: operations a second of the whole cluster, on average. slices: of every route, see `Keyspace`; the traffic is
    the same for any number.
    """

    def __init__(self, seed: int, *, nodes: int, rate: float, slices: int = 1) -> None:
        self.keyspace = Keyspace(seed, nodes=nodes, slices=slices)
        self.nodes = nodes
        self._seed = seed
        self._rate = rate
        count = len(self.keyspace.keys)
        weights = 1.0 / np.arange(1, count + 1) ** _ZIPF_EXPONENT
        # Popular keys stand anywhere in the key space, the same in every tick.
        shuffled = np.random.default_rng([seed, 0]).permutation(weights)
        self._popularity = np.cumsum(shuffled) / shuffled.sum()
        appetite = 1.0 / (np.arange(nodes) + 1.5)
        self._read_shares = np.cumsum(appetite) / appetite.sum()

    def operations(self, tick: int) -> Operations:
        """What happens from tick * TICK_MS to (tick + 1) * TICK_MS unix ms, the end left out."""
        start_ms = tick * TICK_MS
        rng = np.random.default_rng([self._seed, 1, tick])
        wave = 1.0 + 0.35 * math.sin(2 * math.pi * start_ms / _WAVE_PERIOD_MS)
        n = int(rng.poisson(self._rate * wave * TICK_MS / 1000))
        keys = np.searchsorted(self._popularity, rng.random(n)).clip(0, len(self._popularity) - 1)
        writes = (rng.random(n) < 0.4).astype(np.uint8)
        kind = rng.random(n)
        self._hot_spot(rng, start_ms, keys, chosen=kind < 0.22)
        self._scan(rng, start_ms, keys, writes, chosen=kind > 0.85)
        return Operations(
            route_ids=self.keyspace.route_ids(keys, start_ms),
            key_numbers=keys,
            writes=writes,
            value_bytes=np.minimum(rng.lognormal(5.5, 1.0, n), 1 << 20).astype(np.int64),
            labelled=rng.random(n) < 0.12,
            at_unix_ms=start_ms + rng.integers(0, TICK_MS, n),
            owners=self._owners(rng, keys, writes, start_ms),
        )

    def _hot_spot(
        self, rng: np.random.Generator, start_ms: int, keys: NDArray[np.int64], *, chosen: NDArray[np.bool_]
    ) -> None:
        """Moves chosen operations to a narrow stretch of keys that wanders up and down the key space."""
        phase = start_ms % _HOT_SPOT_PERIOD_MS / _HOT_SPOT_PERIOD_MS
        centre = (1 - abs(2 * phase - 1)) * len(self.keyspace.keys)
        moved = rng.normal(centre, 60, int(chosen.sum())).astype(np.int64)
        keys[chosen] = moved.clip(0, len(self.keyspace.keys) - 1)

    def _scan(
        self,
        rng: np.random.Generator,
        start_ms: int,
        keys: NDArray[np.int64],
        writes: NDArray[np.uint8],
        *,
        chosen: NDArray[np.bool_],
    ) -> None:
        """Turns chosen operations, while a scan runs, into reads that sweep the key space from end to end."""
        into = start_ms % _SCAN_PERIOD_MS
        if into >= _SCAN_LASTS_MS:
            return
        width = len(self.keyspace.keys) * TICK_MS / _SCAN_LASTS_MS
        swept = into / TICK_MS * width + rng.random(int(chosen.sum())) * width
        keys[chosen] = swept.astype(np.int64).clip(0, len(self.keyspace.keys) - 1)
        writes[chosen] = 0

    def _owners(
        self, rng: np.random.Generator, keys: NDArray[np.int64], writes: NDArray[np.uint8], start_ms: int
    ) -> NDArray[np.int64]:
        """Writes belong to the leader of their group, reads to any node, to the first ones more than to the last."""
        leaders = np.array([self.keyspace.leader_at(group, start_ms)[1] for group in range(1, GROUPS + 1)], np.int64)
        readers = np.searchsorted(self._read_shares, rng.random(len(keys))).clip(0, self.nodes - 1)
        return np.where(writes == 1, leaders[self.keyspace.positions[keys] // 2], readers)
