"""What hot keys cost on the way of an operation: observe with them off, on, and on at 1 in 16."""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable
from contextlib import ExitStack
from time import process_time

import numpy as np

from benchmarks.measure import Result, compare
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler

CALLS = 20_000
BATCH = 10_000
KEYS = 1000
CASES = {"off": None, "on": HotKeysSettings(), "on, 1 in 16": HotKeysSettings(sample_one_in=16)}


class _Empty:
    def observe(self, route_id: int, key: bytes, op: Op, value_size: int, *, label: str = "") -> None:
        """The same arguments and nothing done."""


def hot_keys(*, quick: bool) -> list[Result]:
    """Each round times the floor and every case once. Taking keys in is timed by itself, for a thread does that."""
    samples = 25 if quick else 60
    with ExitStack() as stack:
        samplers = {name: stack.enter_context(_sampler(settings)) for name, settings in CASES.items()}
        return [*_observe(samplers, samples), *_observe_many(samplers, samples), *_taking_in(samplers["on"], samples)]


def _sampler(settings: HotKeysSettings | None) -> Sampler:
    # The thread sleeps, so that its work is timed by itself and not by chance; what waits is taken in between rounds.
    sampler = Sampler(node_id="n1", hot_keys=settings, drain_interval_s=3600.0)
    sampler.register_routes([Route(n, b"%05d" % n, b"%05d" % (n + 1), 1) for n in range(1, 11)])
    return sampler


def _take_in(sampler: Sampler) -> None:
    sampler.tick()
    if sampler._counting.hot is not None:  # noqa: SLF001 - the thread that does it sleeps here
        sampler._counting.hot.recorder.tick()  # noqa: SLF001


def _observe(samplers: dict[str, Sampler], samples: int) -> list[Result]:
    sides: dict[str, Callable[..., None]] = {"": _Empty().observe, **{n: s.observe for n, s in samplers.items()}}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(samples + 2):
        for name, observe in sides.items():
            names = {"f": observe, "k": b"k" * 16, "W": Op.WRITE}
            took = timeit.timeit("f(7, k, W, 100)", globals=names, number=CALLS, timer=process_time) * 1000
            if number >= 2:
                times[name].append(took)
        for sampler in samplers.values():
            _take_in(sampler)
    floor = times.pop("")
    metric = f"p50 ms of CPU per {CALLS} calls"
    return [
        row
        for name, ours in times.items()
        for row in compare(
            f"observe, hot keys {name}", ours, floor, target="<= 8" if name == "off" else "", metric=metric
        )
    ]


def _observe_many(samplers: dict[str, Sampler], samples: int) -> list[Result]:
    rng = np.random.default_rng(1)
    ids = rng.integers(1, 11, BATCH).astype(np.uint64)
    keys = PackedKeys(np.frombuffer(rng.bytes(16 * BATCH), np.uint8), np.arange(BATCH + 1) * 16)
    ops, sizes = np.ones(BATCH, np.uint8), np.full(BATCH, 100)
    times: dict[str, list[float]] = {name: [] for name in samplers}
    for number in range(samples + 2):
        # Every second round goes the other way round, and what waits is taken in afterwards: it empties the caches.
        for name in list(samplers)[:: -1 if number % 2 else 1]:
            began = process_time()
            samplers[name].observe_many(ids, keys, ops, sizes)
            if number >= 2:
                times[name].append((process_time() - began) * 1e9 / BATCH)
        for sampler in samplers.values():
            _take_in(sampler)
    off = statistics.median(times["off"])
    return [
        Result(
            f"observe_many, hot keys {name}, against off",
            "p50 ns of CPU an operation",
            statistics.median(ours),
            off,
            statistics.median(ours) / off,
            "",
        )
        for name, ours in times.items()
        if name != "off"
    ]


def _taking_in(sampler: Sampler, samples: int) -> list[Result]:
    keys = [b"key-%012d" % (number * number % KEYS) for number in range(CALLS)]
    times = []
    for _ in range(samples):
        for key in keys:
            sampler.observe(3, key, Op.WRITE, 100)
        began = process_time()
        _take_in(sampler)
        times.append((process_time() - began) * 1e9 / CALLS)
    case = f"hot keys and counters, taking {CALLS} operations in, off the hot path"
    return [Result(case, "p50 ns of CPU an operation", statistics.median(times), None, None, "")]
