"""How much memory a full ring takes: 10 000 routes x 1440 columns x 4 series in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from time import process_time

import numpy as np
import psutil

from benchmarks.measure import Result
from keyviz_grpc.allocator import give_back
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.model import Series, Window
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import PackedKeys, Route, Sampler

STEP_MS = 60_000
OPERATIONS = 50_000
"""A window; Zipf over the routes with exponent 1, four reads to a write, sizes lognormal."""


def full_ring(*, quick: bool) -> list[Result]:
    """Resident memory of a full ring above that of an empty sampler, and the time to answer from it."""
    routes, columns = (2_000, 360) if quick else (10_000, 1440)
    command = [sys.executable, "-m", "benchmarks.ring", str(routes), str(columns)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    case = f"full ring, {routes} routes x {columns} columns x 4 series, Zipf"
    dense = routes * columns * 4 * 8 / 2**20
    share = told["ring_mib"] / dense
    target = "" if quick else "<= 120 MiB"
    return [
        Result(case, "resident MiB, floor: 8 bytes a cell", told["ring_mib"], dense, share, target),
        Result(case, "resident MiB with what the allocator keeps free", told["with_free_mib"], dense, None, ""),
        Result(case, "ms of CPU to answer the newest 60 columns, packed", told["newest_ms"], None, None, ""),
        Result(case, "ms of CPU to answer everything, packed", told["everything_ms"], None, None, ""),
    ]


def register(sampler: Sampler, routes: int) -> None:
    """Routes of fifty groups, each with a leader."""
    sampler.register_routes(Route(n, b"%05d" % (n - 1), b"%05d" % n, n % 50 + 1) for n in range(1, routes + 1))
    for group in range(1, 51):
        sampler.set_leader(group, 1)


def fill(sampler: Sampler, clock: SteppedClock, routes: int, columns: int) -> None:
    """Traffic in every column, with leaders that change."""
    rng = np.random.default_rng(1)
    weights = np.cumsum(1.0 / np.arange(1, routes + 1))
    order = rng.permutation(routes).astype(np.uint64) + np.uint64(1)
    keys = PackedKeys(np.zeros(16 * OPERATIONS, np.uint8), np.arange(OPERATIONS + 1) * 16)
    for column in range(columns):
        ids = order[np.searchsorted(weights / weights[-1], rng.random(OPERATIONS)).clip(0, routes - 1)]
        sizes = rng.lognormal(5.5, 1.0, OPERATIONS).astype(np.int64)
        sampler.observe_many(ids, keys, (rng.random(OPERATIONS) < 0.2).astype(np.uint8), sizes)
        if column % 10 == 0:
            sampler.set_leader(column % 50 + 1, column + 2)
        clock.move_to(clock.unix_ms + STEP_MS)
        sampler.advance_to(clock.unix_ms)


def _cpu_ms(sampler: Sampler, window: Window) -> float:
    def once() -> float:
        sampler._assembled.clear()  # noqa: SLF001 - the cost of making an answer, not of finding it again
        began = process_time()
        encode_answer(sampler.matrix(MatrixQuery(Series.WRITES, window)), accept=(pb.MATRIX_ENCODING_COLUMNAR,))
        return (process_time() - began) * 1000

    return sorted(once() for _ in range(9))[4]


def _measure(routes: int, columns: int) -> dict[str, float]:
    clock = SteppedClock(1_700_000_000_000 // STEP_MS * STEP_MS)
    with Sampler(node_id="n1", step_ms=STEP_MS, columns=columns, clock=clock, stall_s=1e9) as sampler:
        register(sampler, routes)
        sampler.matrix(MatrixQuery())
        before = psutil.Process().memory_info().rss
        fill(sampler, clock, routes, columns)
        with_free = psutil.Process().memory_info().rss
        give_back()
        after = psutil.Process().memory_info().rss
        newest = Window(clock.unix_ms - 60 * STEP_MS, 0)
        return {
            "ring_mib": (after - before) / 2**20,
            "with_free_mib": (with_free - before) / 2**20,
            "newest_ms": _cpu_ms(sampler, newest),
            "everything_ms": _cpu_ms(sampler, Window()),
        }


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="benchmarks.ring", description=__doc__)
    arguments.add_argument("routes", type=int, nargs="?", default=2_000)
    arguments.add_argument("columns", type=int, nargs="?", default=360)
    asked = arguments.parse_args()
    print(json.dumps(_measure(asked.routes, asked.columns)))
