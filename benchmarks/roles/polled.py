"""Nodes with samplers of their own, which count a window more of synthetic traffic when told to."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import replace

import numpy as np

from benchmarks.children import options, say, used
from benchmarks.synthetic import STEP_MS, Shape, cluster
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.outcome import Answer
from keyviz_grpc.sampler import PackedKeys, Route, Sampler
from keyviz_grpc.server import serve_node

NO_KEYS = np.empty(0, np.uint8)
VALUE_BYTES = 100

BEFORE = 400
"""Windows counted before those that are asked for, after which every node has counted in every row that it ever does:
a row says what was ever counted in it.
"""


class Counted:
    """A sampler that counts what a node of a cluster tells of writes, from the first column on.

    Its ring has the last `width` columns counted. What it then answers has the values and leaders of those of `told`,
    of which no cell may list shares: here a route has one leader a window.
    """

    def __init__(self, told: Answer, width: int, before: int) -> None:
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
            stall_s=float("inf"),
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


async def _serve(nodes: list[Counted]) -> None:
    async with AsyncExitStack() as stack:
        for node in nodes:
            stack.callback(node.sampler.close)
        servers = [
            await stack.enter_async_context(await serve_node(node.sampler, listen="127.0.0.1:0")) for node in nodes
        ]
        say(addresses=[server.address for server in servers])
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if command == "step":
                for node in nodes:
                    node.step()
            say(**used())


def main() -> None:
    """Until the parent closes its end."""
    given = options()
    shape = Shape.from_plain(given["shape"])
    longer = replace(shape, columns=BEFORE + shape.columns + given["steps"])
    answers = cluster(longer, now_unix_ms=given["now_unix_ms"], only=given["numbers"])
    asyncio.run(_serve([Counted(answer, shape.columns, BEFORE) for answer in answers]))


if __name__ == "__main__":
    main()
