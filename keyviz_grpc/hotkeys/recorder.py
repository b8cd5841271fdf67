"""The recorder: takes keys off the hot path, and answers from closed windows."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import NobodyWaits
from keyviz_grpc.hotkeys.answer import MAX_CANDIDATES, HotKeysAnswer, finished
from keyviz_grpc.hotkeys.closed import ClosedWindow
from keyviz_grpc.hotkeys.held import HeldWindows
from keyviz_grpc.hotkeys.lives import KeyRange, Lives
from keyviz_grpc.hotkeys.opened import OpenWindows
from keyviz_grpc.hotkeys.operations import Kind, Operations
from keyviz_grpc.hotkeys.pending import Missing, Note, Pending, RoutesChanged, Taken, WindowOver
from keyviz_grpc.hotkeys.protocols import GivenUp, waited_for
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.hotkeys.settings import HotKeysSettings
from keyviz_grpc.hotkeys.stats import HotKeysStats, Totals
from keyviz_grpc.hotkeys.sums import Sum
from keyviz_grpc.hotkeys.window import Bucket, OpenSketches
from keyviz_grpc.model import Series


class HotKeyRecorder:
    """Sketches of every open window, and the closed windows that are held; see docs/hotkeys.md.

    `note` is for the hot path, from any thread: it appends to a list; whoever calls it has drawn which operations are
    looked at, each with probability 1 / sample_one_in, as `choose` does for many. It is another one after every change
    of routes: whoever looked a route up before goes on with the one from before. `claim`, `note_many`, `skip_many`,
    `close_window` and `change_routes` are called in the order of events, under the caller's lock; they only queue.
    `tick` takes in what is queued: a thread calls it regularly, and so does every question. What does not fit into the
    queue is dropped and counted; nothing waits.
    """

    def __init__(self, settings: HotKeysSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()  # windows, sketches
        self._asking = threading.Lock()  # outside of the other
        self._pending = Pending(settings)
        self._totals = Totals()
        self._held = HeldWindows(limit=settings.windows, limit_bytes=settings.memory_bytes // 2)
        self._open = OpenWindows(
            settings, self._totals, close=self._close, is_over=lambda stamp: stamp <= self._held.newest_unix_ms
        )
        self._lives = Lives()
        self._dice = np.random.default_rng()

    # --- taking operations

    @property
    def note(self) -> Note:
        """Takes route id, label, whether it is a write, and key of an operation; see the class."""
        return self._pending.note

    def choose(self, size: int) -> NDArray[np.int64] | None:
        """Which of so many operations are looked at, ascending; None = all. `note_many` takes all that it gets."""
        if self.settings.sample_one_in == 1:
            return None
        return np.flatnonzero(self._dice.random(size) * self.settings.sample_one_in < 1.0)

    def note_many(self, stamp: int, operations: Operations, *, wait: bool) -> None:
        """Chosen operations of the window of that stamp, none with too long a key; copied as far as there is room.

        wait: rather than drop any, take in all here and now.
        """
        if not wait or self._pending.has_room(operations):
            self._pending.put(stamp, operations)
            return
        self.tick()
        while operations.units:
            first, operations = operations.split(self.settings.max_pending)
            with self._lock:
                self._take(stamp, first, self._pending.age)

    def skip_many(self, stamp: int, counts: Mapping[Kind, int]) -> None:
        """Chosen operations of the window of that stamp whose keys are too long."""
        self._pending.miss(stamp, {}, counts)

    def claim(self, stamp: int) -> None:
        """States that whatever was noted until now belongs to the window of that stamp, the present one."""
        self._open.present_unix_ms = stamp
        self._pending.claim(stamp)

    def close_window(self, stamp: int) -> None:
        """The window is over; idle ones too."""
        self._pending.over(stamp)

    def change_routes(self, removed: Iterable[int], added: Mapping[int, KeyRange]) -> None:
        """From here on these routes are gone, and then these have these ranges; what was noted before was claimed.

        What was recorded of a route that comes to mean another range is not its own any more.
        """
        self._pending.turn(removed, added)

    # --- taking them in

    def tick(self) -> None:
        """Takes in what is queued; from any thread."""
        with self._lock:
            while (event := self._pending.next()) is not None:
                match event:
                    case Taken(stamp, operations, age):
                        self._take(stamp, operations, age)
                        self._pending.done(operations)
                    case Missing():
                        self._miss(event)
                    case WindowOver(stamp):
                        self._close(stamp)
                    case RoutesChanged():
                        self._change(event)

    def _take(self, stamp: int, operations: Operations, age: int) -> None:
        if self._held.is_gone(stamp):
            self._totals.dropped += sum(operations.counts().values())
            return
        groups = operations.groups()
        own = {kind: keys for kind, keys in groups.items() if not self._lives.is_over(kind[0], age)}
        if len(own) < len(groups):
            self._totals.dropped += sum(len(keys) for kind, keys in groups.items() if kind not in own)
        if own:
            self._open.at(stamp).take({self._bucket(kind, stamp): keys for kind, keys in own.items()})

    def _miss(self, event: Missing) -> None:
        for kind, times in event.dropped.items():
            window = self._window_of(kind, event)
            if window is None:
                self._totals.dropped += times
            else:
                window.miss(self._bucket(kind, event.stamp), times)
        for kind, times in event.skipped.items():
            window = self._window_of(kind, event)
            if window is None:
                self._totals.skipped += times
            else:
                window.skip(self._bucket(kind, event.stamp), times)

    def _window_of(self, kind: Kind, event: Missing) -> OpenSketches | None:
        """None where nobody will ask any more: the window gave way, or the route means another range now."""
        if self._held.is_gone(event.stamp) or self._lives.is_over(kind[0], event.age):
            return None
        return self._open.at(event.stamp)

    def _bucket(self, kind: Kind, stamp: int) -> Bucket:
        return Bucket(*kind, self._lives.seen(kind[0], stamp))

    def _change(self, event: RoutesChanged) -> None:
        newest = max(self._open, default=0)
        newest = max(newest, self._held.newest_unix_ms)
        for route_id in event.removed:
            self._lives.end(route_id, newest_unix_ms=newest)
        for route_id, key_range in event.added.items():
            self._lives.begin(route_id, key_range, newest_unix_ms=newest, age=event.age)

    def _close(self, stamp: int) -> None:
        window = self._open.pop(stamp, None)
        closed = {} if window is None else window.close()
        if not self._held.put(stamp, ClosedWindow(closed, 0 if window is None else window.lost)):
            # Newer windows gave way while it was open.
            self._totals.dropped += sum(summary.taken for summary in closed.values())
        self._lives.forget(min([self._held.oldest_unix_ms, *self._open]))

    # --- answering

    def answer(self, query: HotKeysQuery, key_range: KeyRange | None, given_up: GivenUp = waited_for) -> HotKeysAnswer:
        """What closed windows know, without outcomes and identity; `query.top` is not applied.

        key_range: only keys of [start, end), empty end = unbounded; None = all. One at a time, so that any number of
        questions takes the memory of one. Raises NobodyWaits soon after `given_up` says so.
        """
        with self._asking:
            return self._answer(query, key_range, given_up)

    def _answer(self, query: HotKeysQuery, key_range: KeyRange | None, given_up: GivenUp) -> HotKeysAnswer:
        self.tick()
        with self._lock:
            every = self._held.between(0, 0)
            inside = self._held.between(query.window.from_unix_ms, query.window.to_unix_ms)
            life = self._lives.now(query.route_id)
        bucket = Bucket(query.route_id, query.label, query.series is Series.WRITES, life)
        scale = self.settings.sample_one_in
        # Operations of buckets that were not told apart may have been this one's.
        lost = sum(window.lost for _, window in inside if bucket not in window.buckets)
        total = Sum(key_range)
        for _, window in inside:
            if given_up():
                raise NobodyWaits
            if bucket in window.buckets:
                total.add(window.buckets[bucket])
        # Ranked by what is certain of each: whoever is not among the first has at most so much more than those as the
        # error is, which no other estimate between the bounds can promise.
        found = {key: (scale * lower, scale * lower, scale * (upper + lost)) for key, lower, upper in total.bounds()}
        whole = HotKeysAnswer(
            (),
            (),
            sample_rate=scale,
            sampled_n=total.taken,
            dropped_samples=total.missed + lost,
            skipped_long_keys=total.skipped,
            sketch_error=scale * (total.error + lost),
            snapshot_at_unix_ms=inside[-1][0] if inside else 0,
            oldest_unix_ms=every[0][0] if every else 0,
            newest_unix_ms=every[-1][0] if every else 0,
            left_out_keys=total.gone,
            observed=any(bucket in window.buckets or window.lost for _, window in every),
        )
        return finished(whole, found, most=MAX_CANDIDATES)

    def stats(self) -> HotKeysStats:
        """How it is doing, for metrics. From any thread, without waiting for one that takes operations in."""
        half = self.settings.memory_bytes // 2
        return HotKeysStats(
            **asdict(self._totals),
            pending=self._pending.units,
            pending_limit=self.settings.max_pending,
            buckets=self._open.memory.buckets,
            sketches=self._open.memory.sketches,
            open_bytes=self._open.memory.taken_bytes,
            closed_bytes=self._held.taken_bytes,
            half_bytes=half,
            windows=len(self._held),
            windows_limit=self.settings.windows,
        )
