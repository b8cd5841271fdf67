"""What keeps a node process's sampler counting: nothing, the synthetic workload, or a replay."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.replay import Feed, plan_replay, read_leadership, read_trace
from keyviz_grpc.sampler import Sampler
from keyviz_grpc.version import VERSION
from keyviz_grpc.workload import Traffic, WorkloadFeed

log = logging.getLogger(__name__)

_BEAT_S: Final = 0.05
_SUSPENDED_MS: Final = 5_000
_CURRENT_MS: Final = 500
_PIECE_MS: Final = 10_000
_PIECE_WINDOWS: Final = 64
"""What is made of the past, and replayed, before somebody looks again whether the node is to end."""


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """The sampler's size and name; `node_id` is also this node's name as a leader. hot_keys None: not recorded.

    slices: in how many every route is counted.
    """

    node_id: str
    step_ms: int
    columns: int
    max_tracked_routes: int
    hot_keys: HotKeysSettings | None = None
    slices: int = 1

    def sampler(self, *, clock: Callable[[], float] = time.time, stall_s: float = 1.0) -> Sampler:
        """A sampler of this size that goes by this clock."""
        return Sampler(
            node_id=self.node_id,
            step_ms=self.step_ms,
            columns=self.columns,
            max_tracked_routes=self.max_tracked_routes,
            slices=self.slices,
            clock=clock,
            stall_s=stall_s,
            version=VERSION,
            hot_keys=self.hot_keys,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """This node among the nodes that share the traffic: index `index` of `count`, and the ids of all, by index."""

    index: int
    count: int
    node_ids: tuple[str, ...]


class Feeder(Protocol):
    """Owns a sampler and drives it."""

    sampler: Sampler

    def prepare(self, stop: threading.Event) -> None:
        """Takes in what is past already; blocks. What is there is of no use once `stop` was set meanwhile."""
        ...

    def run(self, stop: threading.Event) -> None:
        """Feeds as time goes by until `stop` is set or there is nothing more; blocks."""
        ...


class Idle:
    """Counts nothing: a node without traffic."""

    def __init__(self, settings: SamplerSettings) -> None:
        self.sampler = settings.sampler()

    def prepare(self, stop: threading.Event) -> None:
        """There is no past."""

    def run(self, stop: threading.Event) -> None:
        """Waits."""
        stop.wait()


class Synthetic:
    """The seeded workload, with some past that was never lived through but looks as if."""

    def __init__(self, settings: SamplerSettings, place: Place, *, seed: int, rate: int, history_s: float) -> None:
        traffic = Traffic(seed, nodes=place.count, rate=float(rate * place.count), slices=settings.slices)
        step_ms = settings.step_ms
        past_ms = min(round(history_s * 1000), settings.columns * step_ms)
        start = (round(time.time() * 1000) - past_ms) // step_ms * step_ms
        self._feed = WorkloadFeed(traffic, node_index=place.index, node_ids=place.node_ids, start_unix_ms=start)
        self.sampler = settings.sampler(clock=self._feed.clock)
        self._feed.start(self.sampler)

    def prepare(self, stop: threading.Event) -> None:
        """Makes the past, and what becomes past while it is made.

        A machine too slow to gain on the clock is let go on as it is: `run` leaves out what it cannot make.
        """
        behind_ms = math.inf
        while (left_ms := (now_ms := round(time.time() * 1000)) - self._feed.clock.unix_ms) < behind_ms:
            if left_ms < _CURRENT_MS:
                return
            behind_ms = left_ms
            _advance(self._feed, self.sampler, now_ms, piece_ms=_PIECE_MS, stop=stop)

    def run(self, stop: threading.Event) -> None:
        """Follows the wall clock, a tick behind."""
        while not stop.wait(_BEAT_S):
            now_ms = round(time.time() * 1000)
            behind_ms = now_ms - self._feed.clock.unix_ms
            if behind_ms > _SUSPENDED_MS:
                log.warning("this process did not run for a while", extra={"seconds": round(behind_ms / 1000, 1)})
                self._feed.skip_to(now_ms)
            self._feed.advance(self.sampler, now_ms)


class Replaying:
    """One node's share of a replay at `speed` times real time, math.inf = at once."""

    def __init__(
        self,
        settings: SamplerSettings,
        place: Place,
        *,
        trace: Path,
        leadership: Path,
        speed: float,
        trace_start_unix_ms: int,
    ) -> None:
        operations = read_trace(trace)
        step_ms = settings.step_ms
        self._speed = speed
        self._feed = Feed(
            operations,
            plan_replay(operations, read_leadership(leadership), nodes=place.count),
            node_index=place.index,
            node_ids=place.node_ids,
            trace_start_unix_ms=trace_start_unix_ms // step_ms * step_ms,
            step_ms=step_ms,
        )
        windows = (self._feed.end_unix_ms - self._feed.start_unix_ms) // step_ms
        if windows > settings.columns:
            log.warning(
                "the trace has more windows than are held, the oldest are dropped",
                extra={"windows": windows, "columns": settings.columns},
            )
        # The replayed store ran all the time, however its clock jumps here.
        self.sampler = settings.sampler(clock=self._feed.clock, stall_s=math.inf)
        self._feed.start(self.sampler)

    def prepare(self, stop: threading.Event) -> None:
        """At full speed: everything."""
        if math.isinf(self._speed):
            piece_ms = _PIECE_WINDOWS * self.sampler.step_ms
            _advance(self._feed, self.sampler, self._feed.end_unix_ms, piece_ms=piece_ms, stop=stop)

    def run(self, stop: threading.Event) -> None:
        """Follows its own clock to the end of the trace, then stops there."""
        began = time.monotonic()
        while not self._feed.done and not stop.wait(_BEAT_S):
            passed_ms = int((time.monotonic() - began) * 1000 * self._speed)
            self._feed.advance(self.sampler, self._feed.start_unix_ms + passed_ms)


def _advance(
    feed: Feed | WorkloadFeed, sampler: Sampler, unix_ms: int, *, piece_ms: int, stop: threading.Event
) -> None:
    """Feeds everything up to that moment, piece by piece, unless `stop` is set meanwhile."""
    at_ms = feed.clock.unix_ms
    while at_ms < unix_ms and not stop.is_set():
        at_ms = min(at_ms + piece_ms, unix_ms)
        feed.advance(sampler, at_ms)


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    """Where traffic comes from: a trace with leadership if both are given, else the workload."""

    workload: Literal["demo", "none"]
    seed: int
    rate: int
    history_s: float
    trace: Path | None
    leadership: Path | None
    speed: float
    trace_start_unix_ms: int | None


def feeder_of(settings: SamplerSettings, place: Place, traffic: TrafficSettings) -> Feeder:
    """The feeder for these settings.

    Raises TraceError for a bad file, SettingError for a start or a place that makes no sense.
    """
    if traffic.trace is not None and traffic.leadership is not None and traffic.trace_start_unix_ms is not None:
        return Replaying(
            settings,
            place,
            trace=traffic.trace,
            leadership=traffic.leadership,
            speed=traffic.speed,
            trace_start_unix_ms=traffic.trace_start_unix_ms,
        )
    if traffic.workload == "demo":
        return Synthetic(settings, place, seed=traffic.seed, rate=traffic.rate, history_s=traffic.history_s)
    return Idle(settings)
