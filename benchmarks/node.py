"""What a node does: counting one operation, counting a batch, and answering a poll."""

from __future__ import annotations

import statistics
import threading
import timeit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from time import process_time

import numpy as np

from benchmarks.measure import Result, percentile, ratio, spread
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.codec import answer_bytes
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.model import Series, Window
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler

CALLS = 20_000
BATCH = 10_000
ROUTES = 1000
KEY = b"00007\x80" + b"k" * 10
STEP_MS = 60_000


class _Empty:
    def observe(self, route_id: int, key: bytes, op: Op, value_size: int, *, label: str = "") -> None:
        """The same arguments and nothing done."""


def node_parts(samples: int, *, quick: bool) -> list[Result]:
    """observe, observe_many, and answers to a poll."""
    return [*_observe(samples, quick=quick), *_observe_many(samples), *_answers(samples)]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A sampler to measure: `slices` a route, hot keys off (0) or on for one in so many operations."""

    name: str
    slices: int
    hot_keys_one_in: int = 0

    @contextmanager
    def sampler(self, begin: Callable[[int], bytes] = lambda n: b"%05d" % n) -> Iterator[Sampler]:
        """1000 routes of ten groups that have leaders; begin(n): where route n begins."""
        hot = HotKeysSettings(self.hot_keys_one_in) if self.hot_keys_one_in else None
        limit = ROUTES * self.slices
        with Sampler(node_id="n1", slices=self.slices, max_tracked_routes=limit, hot_keys=hot) as sampler:
            bounds = [(n, begin(n), begin(n + 1)) for n in range(1, ROUTES + 1)]
            sampler.register_routes([Route(n, start, end, n % 10 + 1) for n, start, end in bounds])
            for group in range(1, 11):
                sampler.set_leader(group, 7)
            yield sampler


WHOLE, SLICED = _Kind("K = 1", 1), _Kind("K = 16", 16)
GROUPS = (
    (WHOLE, SLICED),
    # Apart, for the recorder's thread takes time from whoever's turn it is.
    tuple(
        _Kind(f"K = {slices}, hot keys {'on' if one_in == 1 else f'1 in {one_in}'}", slices, one_in)
        for slices in (1, 16)
        for one_in in (1, 16)
    ),
)


def _seconds(observe: Callable[..., None], label: str, threads: int) -> float:
    """CPU of the whole process, drainers and all: who else uses the machine makes no difference to it."""
    call = f"f(7, k, W, 100, label={label!r})" if label else "f(7, k, W, 100)"
    names = {"f": observe, "k": KEY, "W": Op.WRITE}
    work = partial(timeit.timeit, call, globals=names, number=CALLS)
    running = [threading.Thread(target=work) for _ in range(threads - 1)]
    began = process_time()
    for thread in running:
        thread.start()
    work()
    for thread in running:
        thread.join()
    return process_time() - began


def _observe(samples: int, *, quick: bool) -> list[Result]:
    """The kinds of a group and the empty call in turn, so that a disturbance meets them alike; drainers run as ever.

    quick: hot keys with one thread alone.
    """
    rows: list[Result] = []
    for threads in (1, 8):
        for label in ("", "cache"):
            case = f"observe, {threads} thread(s){', labelled' if label else ''}"
            for group in GROUPS[:1] if quick and threads > 1 else GROUPS:
                times = _times(group, label, threads, samples)
                rows += [_row(f"{case}, {kind.name}", times[kind.name], times[""], threads, kind) for kind in group]
                if group[0] is WHOLE:
                    rows.append(_against(f"{case}, K = 16 against K = 1", times, threads))
    return rows


def _times(group: tuple[_Kind, ...], label: str, threads: int, samples: int) -> dict[str, list[float]]:
    """Seconds of every round by kind, "" = the empty call. Every second round goes the other way round."""
    with ExitStack() as stack:
        sides: dict[str, Callable[..., None]] = {"": _Empty().observe}
        sides |= {kind.name: stack.enter_context(kind.sampler()).observe for kind in group}
        times: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(samples):
            for name in list(sides)[:: -1 if number % 2 else 1]:
                times[name].append(_seconds(sides[name], label, threads))
    return times


def _against(case: str, times: dict[str, list[float]], threads: int) -> Result:
    """The middle one of the rounds' own ratios: of two turns one after the other, whatever the machine does later."""
    scale = 1e9 / (CALLS * threads)
    whole, sliced = (times[kind.name] for kind in (WHOLE, SLICED))
    ratios = [ours / floor for ours, floor in zip(sliced, whole, strict=True)]
    middle, base = statistics.median(sliced) * scale, statistics.median(whole) * scale
    metric = "p50 ns of CPU a call, floor: K = 1, ratio: p50 of the rounds' own"
    return Result(case, metric, middle, base, statistics.median(ratios), "<= 1.4", spread(ratios))


def _row(case: str, ours: list[float], floor: list[float], threads: int, kind: _Kind) -> Result:
    scale = 1e9 / (CALLS * threads)
    target = "<= 8" if kind is WHOLE else ""
    middle, base = statistics.median(ours) * scale, statistics.median(floor) * scale
    shown = spread([sample * scale for sample in ours])
    return Result(case, "p50 ns of CPU a call, floor: an empty call", middle, base, ratio(ours, floor), target, shown)


def _observe_many(samples: int) -> list[Result]:
    rng = np.random.default_rng(1)
    ids = rng.integers(1, ROUTES + 1, BATCH).astype(np.uint64)
    ops, sizes = np.ones(BATCH, np.uint8), np.full(BATCH, 100)
    rows = []
    for name, lengths, begin in (
        ("of one length", np.full(BATCH, 11), lambda n: b"%05d" % n),
        ("of one length, routes by binary numbers", np.full(BATCH, 12), lambda n: n.to_bytes(4, "big")),
        ("of any lengths", rng.integers(3, 20, BATCH), lambda n: b"%05d" % n),
    ):
        made = [begin(n) + rng.bytes(length) for n, length in zip(ids.tolist(), lengths.tolist(), strict=True)]
        keys = PackedKeys(np.frombuffer(b"".join(made), np.uint8), np.cumsum([0, *map(len, made)]))
        base: float | None = None
        for kind in (WHOLE, SLICED):
            with kind.sampler(begin) as sampler:
                call = partial(sampler.observe_many, ids, keys, ops, sizes)
                times = timeit.repeat(call, number=1, repeat=samples, timer=process_time)
            figures = [sample * 1e9 / BATCH for sample in times]
            case = f"observe_many, batches of 10 000 keys {name}, {kind.name}"
            middle = statistics.median(figures)
            metric = "p50 ns of CPU an operation" + ("" if base is None else ", floor: K = 1")
            rows.append(Result(case, metric, middle, base, base and middle / base, "<= 30 ns", spread(figures)))
            base = middle
    return rows


def _answers(samples: int) -> list[Result]:
    """CPU from the query to the message's bytes, for polls of 60 columns of which one is new since the last."""
    rows: list[Result] = []
    for splits, what in ((False, ""), (True, ", a route split each")):
        for routes, target in ((1024, "<= 2"), (10_000, "<= 6")):
            times = _poll_ms(routes, max(20, samples // 2), splits=splits)
            case = f"node answers {routes} x 60, one column new{what}"
            own = "" if splits else target
            rows.append(Result(case, "p50 ms of CPU", statistics.median(times), None, None, own, spread(times)))
            rows.append(Result(case, "p95 ms of CPU", percentile(times, 0.95), None, None, ""))
    return rows


def _poll_ms(routes: int, polls: int, *, splits: bool) -> list[float]:
    """Of a ring that is full of the columns that are asked for. splits: in every window one route becomes two."""
    rng = np.random.default_rng(1)
    weights = np.cumsum(1.0 / np.arange(1, routes + 1))
    clock = SteppedClock(1_700_000_000_000 // STEP_MS * STEP_MS)
    count = 5 * routes
    keys = PackedKeys(np.zeros(16 * count, np.uint8), np.arange(count + 1) * 16)
    times: list[float] = []
    with Sampler(node_id="n1", columns=60, max_tracked_routes=2 * routes, clock=clock, stall_s=1e9) as sampler:
        sampler.register_routes(Route(n, b"%05d" % (n - 1), b"%05d" % n, n % 50 + 1) for n in range(1, routes + 1))
        whole = iter(rng.permutation(np.arange(1, routes + 1)).tolist())
        for group in range(1, 51):
            sampler.set_leader(group, 7)
        for column in range(60 + polls):
            ids = np.searchsorted(weights / weights[-1], rng.random(count)).clip(0, routes - 1).astype(np.uint64)
            sizes = rng.lognormal(5.5, 1.0, count).astype(np.int64)
            sampler.observe_many(ids + np.uint64(1), keys, np.ones(count, np.uint8), sizes)
            if splits:
                n = next(whole)
                start, middle, end = b"%05d" % (n - 1), b"%05d5" % (n - 1), b"%05d" % n
                halves = [Route(n, start, middle, n % 50 + 1), Route(routes + n, middle, end, n % 50 + 1)]
                sampler.replace_routes(remove=(), add=halves)
            clock.move_to(clock.unix_ms + STEP_MS)
            sampler.advance_to(clock.unix_ms)
            query = MatrixQuery(Series.WRITES, Window(clock.unix_ms - 59 * STEP_MS, 0))
            began = process_time()
            answer_bytes(sampler.matrix(query), accept=(pb.MATRIX_ENCODING_COLUMNAR,))
            if column >= 60:
                times.append((process_time() - began) * 1000)
    return times
