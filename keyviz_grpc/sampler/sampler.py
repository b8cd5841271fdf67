"""The sampler: counts every operation of a store by bucket and window, exactly, and answers as one node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Self

from keyviz_grpc.errors import HotKeysDisabled, InvalidRequest
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.protocols import GivenUp, waited_for
from keyviz_grpc.outcome import Answer, Member, Outcome, Overview
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler.answers import Answers, Snapshot
from keyviz_grpc.sampler.assembled import Assembled
from keyviz_grpc.sampler.block import Block
from keyviz_grpc.sampler.buckets import Buckets
from keyviz_grpc.sampler.counting import Counting
from keyviz_grpc.sampler.drainer import Drainer
from keyviz_grpc.sampler.hot_keys import HotKeys
from keyviz_grpc.sampler.observing import Observing
from keyviz_grpc.sampler.path import HotPath
from keyviz_grpc.sampler.stats import SamplerStats
from keyviz_grpc.sampler.types import MAX_SLICES


class Sampler(Observing):
    """One node's counters and its ring of closed windows; a `Source` to serve from.

    Every public method may be called from any thread, see `Observing`. A daemon thread folds what was observed into
    counters every `drain_interval_s`, closes windows that are due, and packs what is past change.

    clock: unix seconds; decides windows. A window [stamp - step, stamp) closes when the clock reaches its stamp.
    When the clock goes back, the window of that moment is opened again and later added to the column that is there.
    A window in which the process did not run (the clock advanced by more than `stall_s` between two signs of life) is
    absent; an idle one is a column of zeros. slices: in how many every route is counted that does not say so itself;
    max_tracked_routes counts them. wall_clock: unix seconds, for `generated_at_unix_ms` alone.
    incarnation: unix milliseconds of this life's start, now by default. hot_keys: how hot keys are recorded, None (the
    default, for they show user keys) = not at all.

    Raises InvalidRequest for settings that make no sense, naming them.
    """

    def __init__(  # noqa: PLR0913 - settings, each with its default
        self,
        *,
        node_id: str,
        step_ms: int = 60_000,
        columns: int = 1440,
        max_tracked_routes: int = 10_000,
        slices: int = 1,
        sample_one_in: int = 1,
        clock: Callable[[], float] = time.time,
        wall_clock: Callable[[], float] = time.time,
        incarnation: int | None = None,
        grpc_address: str = "",
        stall_s: float = 1.0,
        drain_interval_s: float = 0.05,
        version: str = "",
        hot_keys: HotKeysSettings | None = None,
    ) -> None:
        _check(
            node_id,
            step_ms=step_ms,
            columns=columns,
            max_tracked_routes=max_tracked_routes,
            slices=slices,
            sample_one_in=sample_one_in,
        )
        self.node_id = node_id
        self.step_ms = step_ms
        self.incarnation = int(time.time() * 1000) if incarnation is None else incarnation
        self.grpc_address = grpc_address
        self._version, self._wall_clock = version, wall_clock
        self._members: tuple[Member, ...] = ()
        hot = None if hot_keys is None else HotKeys(hot_keys, interval_s=drain_interval_s)
        counting = Counting(
            node_id=node_id,
            buckets=Buckets(max_tracked_routes, slices),
            columns=columns,
            step_ms=step_ms,
            stall_ms=stall_s * 1000,
            one_in=sample_one_in,
            now_ms=lambda: clock() * 1000,
            hot=hot,
        )
        super().__init__(counting, _hot_path(clock, counting, one_in=sample_one_in), one_in=sample_one_in)
        self._own = Outcome("", node_id=node_id, incarnation=self.incarnation, step_ms=step_ms)
        self._assembled = Assembled()
        self._answers = Answers(self._own, counting.ring, counting.buckets, self._assembled)
        self._drainer = Drainer(self._beat, drain_interval_s)

    # --- windows

    def _beat(self) -> None:
        self.tick()
        self.tidy()

    def tidy(self) -> None:
        """Packs columns that are past change; called by the drainer, harmless elsewhere.

        The work is done without the lock, so that nobody who counts or asks waits for it.
        """
        ring = self._counting.ring
        while True:
            with self._lock:
                due = ring.due()
            if not due:
                return
            block = Block.of([column for _, column in due])
            with self._lock:
                ring.pack(due, block)

    def advance_to(self, unix_ms: int) -> None:
        """States that the process ran until `unix_ms`: closes every window that ends by then, idle ones as zeros.

        For replays, whose clock jumps. Going back is ignored.
        """
        with self._lock:
            self._counting.drain()
            windows = self._counting.windows
            if unix_ms > windows.beat_ms and windows.pass_to(float(unix_ms), ran=True):
                self._enter()
        self.tidy()

    def close(self) -> None:
        """Ends the drainer's thread. What was counted stays and can be asked for."""
        self._drainer.stop()
        self.tick()
        if self._counting.hot is not None:
            self._counting.hot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the node's answers

    def set_members(self, members: Iterable[Member]) -> None:
        """Who else is in the cluster, for the overview."""
        with self._lock:
            self._members = tuple(members)

    def matrix(self, query: MatrixQuery) -> Answer:
        """This node's own view of closed windows, as `Source.matrix` has it."""
        with self._lock:
            # What is not counted yet belongs to the open window, of which an answer tells nothing.
            if not self._counting.is_closed_up:
                self._settle()
            snapshot = self._snapshot(query)
        return self._answers.matrix(query, snapshot, generated_at_unix_ms=self._now_unix_ms())

    def matrix_at_once(self, query: MatrixQuery) -> Answer | None:
        """See `PromptSource`: as `matrix`, while no window is due and little is asked for that was not asked before."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if not self._counting.is_closed_up:
                return None
            if not self._answers.is_quick(query):
                return None
            snapshot = self._snapshot(query)
        finally:
            self._lock.release()
        return self._answers.at_once(query, snapshot, generated_at_unix_ms=self._now_unix_ms())

    def standing(self) -> tuple[int, int] | None:
        """See `PromptSource`. Without the lock: of a change that is under way nothing has to be told yet."""
        clock, from_s, until_s = self._path[:3]
        if not from_s <= clock() < until_s:
            return None
        counting = self._counting
        slots = counting.slots
        return counting.ring.puts + slots.version + slots.roles_version, self._now_unix_ms()

    def _snapshot(self, query: MatrixQuery) -> Snapshot:
        counting = self._counting
        return self._answers.snapshot(query, counting.identities.table, counting.leadership.read_role)

    def _now_unix_ms(self) -> int:
        return int(self._wall_clock() * 1000)

    def hot_keys(self, query: HotKeysQuery, given_up: GivenUp = waited_for) -> HotKeysAnswer:
        """See `HotKeysSource`. What was observed in windows that are closed is all in it."""
        hot = self._counting.hot
        if hot is None:
            raise HotKeysDisabled
        with self._lock:
            self._settle()
            slices = self._counting.buckets.ranges_of(query.route_id)
        now = self._now_unix_ms()
        own = replace(self._own, generated_at_unix_ms=now)
        return hot.answer(query, slices, own, generated_at_unix_ms=now, given_up=given_up)

    def overview(self) -> Overview:
        """Identity, members without this node, and the leaders that `set_leader` told, by group."""
        with self._lock:
            leaders = tuple(leader for _, leader in sorted(self._counting.leadership.leaders.items()))
            return Overview(
                Member(self.node_id, self.grpc_address),
                tuple(member for member in self._members if member.node_id != self.node_id),
                leaders,
                incarnation=self.incarnation,
                version=self._version,
            )

    def stats(self) -> SamplerStats:
        """How this sampler is doing, for metrics; what is recorded and not yet folded is not in it."""
        with self._lock:
            return self._counting.stats()


def _hot_path(clock: Callable[[], float], counting: Counting, *, one_in: int) -> HotPath:
    """From one operation to the buffer, and its key to whoever records hot keys."""
    recorder = None if counting.hot is None else counting.hot.recorder
    return HotPath(
        clock,
        counting.intake.append,
        note=lambda: None if recorder is None else recorder.note,
        noted_in=1 if recorder is None else recorder.settings.sample_one_in,
        one_in=one_in,
    )


def _check(node_id: str, **numbers: int) -> None:
    if not node_id:
        raise InvalidRequest("node_id", node_id, "must not be empty")
    for name, value in numbers.items():
        if value < 1:
            raise InvalidRequest(name, value, "must be at least 1")
    if numbers["slices"] > MAX_SLICES:
        raise InvalidRequest("slices", numbers["slices"], f"must be at most {MAX_SLICES}")
