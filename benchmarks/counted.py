"""A sampler that counts what a node of a synthetic cluster tells."""

from __future__ import annotations

import numpy as np

from benchmarks.synthetic import STEP_MS
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.outcome import Answer
from keyviz_grpc.sampler import PackedKeys, Route, Sampler

NO_KEYS = np.empty(0, np.uint8)
VALUE_BYTES = 100


class Counted:
    """What a node tells of writes, counted window by window from the first column on, by a sampler.

    Its ring holds as many columns as `width`, and is full: the last ones of `before` and of so many more. It answers
    with the values and leaders of those of `told`, of which no cell may list shares: a route has one leader a window
    here. drain_interval_s: of the sampler. Its clock stands where the last window ended.
    """

    def __init__(self, told: Answer, width: int, *, before: int = 0, drain_interval_s: float = 0.05) -> None:
        matrix = told.matrix
        if len(matrix.shares) or matrix.codes is None:
            raise RuntimeError("cells that list shares, or have no leaders, are not counted again here")
        self._values, self._codes, self._columns = matrix.values, matrix.codes, matrix.columns
        self._identities = matrix.identities.tolist()
        self._routes = np.array([int(row.bucket_id.removeprefix("route:")) for row in matrix.catalogue.rows], np.uint64)
        self._led_by = np.zeros(len(self._routes), self._codes.dtype)
        self._counted = 0
        self._clock = SteppedClock(int(self._columns[0]) - STEP_MS)
        self.sampler = Sampler(
            node_id=told.node_id,
            step_ms=STEP_MS,
            columns=width,
            clock=self._clock,
            wall_clock=self._clock,
            incarnation=told.incarnation,
            max_tracked_routes=max(1, len(self._routes)),
            stall_s=float("inf"),
            drain_interval_s=drain_interval_s,
        )
        # The synthetic clusters have a group a route, of the same number.
        ids = zip(self._routes.tolist(), matrix.catalogue.rows, strict=True)
        self.sampler.register_routes([Route(number, row.start, row.end, number) for number, row in ids])
        for _ in range(before + width):
            self.step()

    def step(self) -> None:
        """Counts one more window, and closes it."""
        counts, codes = self._values[:, self._counted], self._codes[:, self._counted]
        for row in np.flatnonzero((counts > 0) & (codes != self._led_by)).tolist():
            self._led_by[row] = codes[row]
            self.sampler.set_leader(*self._identities[codes[row]])
        ids = np.repeat(self._routes, counts.astype(np.int64))
        keys = PackedKeys(NO_KEYS, np.zeros(len(ids) + 1, np.int64))
        writes, sizes = np.ones(len(ids), np.uint8), np.full(len(ids), VALUE_BYTES)
        self.sampler.observe_many(ids, keys, writes, sizes)
        self._clock.move_to(int(self._columns[self._counted]))
        self.sampler.advance_to(self._clock.unix_ms)
        self._counted += 1
