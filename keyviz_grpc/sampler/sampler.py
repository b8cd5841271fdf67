"""The sampler: counts every operation of a store by bucket and window, exactly, from many threads."""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from numpy.typing import ArrayLike

from keyviz_grpc.errors import HotKeysDisabled, InvalidRequest
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.protocols import GivenUp, waited_for
from keyviz_grpc.outcome import Answer, Member, Outcome, Overview
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler.answers import Answers, Snapshot
from keyviz_grpc.sampler.assembled import Assembled
from keyviz_grpc.sampler.batch import batch_of
from keyviz_grpc.sampler.block import Block
from keyviz_grpc.sampler.buckets import Buckets
from keyviz_grpc.sampler.counting import Counting
from keyviz_grpc.sampler.drainer import Drainer
from keyviz_grpc.sampler.hot_keys import HotKeys
from keyviz_grpc.sampler.intake import SIZE_LIMIT, checked_key
from keyviz_grpc.sampler.path import HotPath, Note, Where
from keyviz_grpc.sampler.stats import SamplerStats
from keyviz_grpc.sampler.types import MAX_SLICES, Op, PackedKeys, Route

_READ, _WRITE = Op.READ, Op.WRITE


class Sampler:
    """One node's counters and its ring of closed windows; a `Source` to serve from.

    Every public method may be called from any thread. `observe` only appends one integer to a list, which is atomic;
    a daemon thread folds the list into counters every `drain_interval_s`, and so does everything that must see all
    counts: a window's close, a leader's or route's change, a snapshot. So no count is lost or taken twice, and one
    that races a close or a flip counts on the side on which it was recorded.

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
        self._version = version
        self._clock, self._wall_clock = clock, wall_clock
        self._one_in = sample_one_in
        self._lock = threading.RLock()
        hot = None if hot_keys is None else HotKeys(hot_keys, interval_s=drain_interval_s)
        self._counting = Counting(
            node_id=node_id,
            buckets=Buckets(max_tracked_routes, slices),
            columns=columns,
            step_ms=step_ms,
            stall_ms=stall_s * 1000,
            one_in=sample_one_in,
            now_ms=lambda: clock() * 1000,
            hot=hot,
        )
        self._members: tuple[Member, ...] = ()
        self._own = Outcome("", node_id=node_id, incarnation=self.incarnation, step_ms=step_ms)
        self._assembled = Assembled()
        self._answers = Answers(self._own, self._counting.ring, self._counting.buckets, self._assembled)
        self._hot_path = HotPath(
            clock,
            self._counting.intake.append,
            note=lambda: None if hot is None else hot.recorder.note,
            noted_in=1 if hot_keys is None else hot_keys.sample_one_in,
            one_in=sample_one_in,
        )
        self._enter()
        self._drainer = Drainer(self._beat, drain_interval_s)

    # --- the hot path

    def observe(self, route_id: int, key: bytes, op: Op, value_size: int, *, label: str = "") -> None:
        """Counts one operation: 1, and len(key) + value_size bytes, in its route's bucket (a labelled one's alone).

        Raises UnknownRoute for a route that was never registered, InvalidRequest for an operation that is not an Op, a
        key that is not bytes, a negative size, and a label outside [A-Za-z0-9_-]{1,128}.
        """
        # One attribute in place of eight: it is read in one go, and replaced whole when a window closes.
        clock, from_s, until_s, reads, writes, append, note, share, one_in = self._path
        if not from_s <= clock() < until_s:
            self.tick()
        size = len(key) + value_size
        if value_size < 0 or size >= SIZE_LIMIT or key.__class__ is not bytes:
            key = checked_key(key, value_size)
        try:
            if op is _WRITE:
                base = writes[(route_id, label) if label else route_id]
            elif op is _READ:
                base = reads[(route_id, label) if label else route_id]
            else:
                raise InvalidRequest("op", op, "must be Op.READ or Op.WRITE")
        except KeyError:
            base, note = self._learn(route_id, op, label)
        if base.__class__ is not int:
            cuts, bases, label = base  # type: ignore[misc]
            base = bases[bisect_right(cuts, key)]
        # Sampling is not cryptography.
        if note is not None and (share == 1.0 or random.random() < share):  # noqa: S311
            note(route_id, label, op is _WRITE, key)
        if one_in > 1 and random.random() * one_in >= 1.0:  # noqa: S311
            return
        append(base + size)

    def observe_many(
        self,
        route_ids: ArrayLike,
        keys: Sequence[bytes] | PackedKeys,
        ops: ArrayLike | Sequence[Op],
        value_sizes: ArrayLike,
        *,
        labels: Sequence[str] | None = None,
        at_unix_ms: ArrayLike | None = None,
    ) -> None:
        """Counts n operations at once, all or none; the arguments are parallel, one entry an operation.

        route_ids: unsigned; ops: 1 or Op.WRITE = write, 0 or Op.READ = read; value_sizes: bytes of the values;
        at_unix_ms: the moments of the operations, now by default (an operation of a closed window is added to it).
        Raises as `observe`, naming the first bad entry, and InvalidRequest when lengths differ.
        """
        whole = batch_of(route_ids, keys, ops, value_sizes, labels=labels, at_unix_ms=at_unix_ms)
        batch = whole.sampled(self._one_in) if self._one_in > 1 else whole
        with self._lock:
            self._settle()
            self._counting.count(batch, whole)

    def _learn(self, route_id: int, op: Op, label: str) -> tuple[Where, Note | None]:
        with self._lock:
            counting = self._counting
            place = counting.buckets.place_of(route_id, label)
            counting.leadership.grow()
            counts_as = counting.buckets.counts_as(route_id, label)
            path, places = self._hot_path, counting.buckets.places
            return path.learn(route_id, op, label, place, counts_as=counts_as, places=places), path.note

    # --- what changes around it

    def register_routes(self, routes: Iterable[Route]) -> None:
        """Makes routes known, or changes the range or group of known ones; history stays where it was counted."""
        self.replace_routes(remove=(), add=routes)

    def remove_routes(self, route_ids: Iterable[int]) -> None:
        """Takes routes away. Their history stays, and a late operation still counts in its bucket.

        Raises UnknownRoute for one that is not registered; then nothing is removed.
        """
        self.replace_routes(remove=route_ids, add=())

    def replace_routes(self, *, remove: Iterable[int], add: Iterable[Route]) -> None:
        """Removes and registers routes in one step (a split, a merge, a move): every operation counts before or after.

        A route that comes with another range starts a new row; what it had is shown as an aggregate of the old range.
        Raises UnknownRoute for a removal of an unknown route, InvalidRequest for a route added twice.
        """
        with self._lock:
            self._settle()
            if self._counting.recycle():
                # At once, not after the change that it makes room for: that may be refused, freed slots go to others.
                self._forget_places()
            moved = self._counting.change_routes(list(remove), list(add))
            self._forget_places()
            self._counting.moved(moved)

    def set_leader(self, raft_group_id: int, term: int, *, leader_node_id: str = "") -> None:
        """The term under which writes of a group count from now on; what was counted before keeps the old one.

        term 0: not known. leader_node_id goes into the overview. Raises InvalidRequest for negative numbers.
        """
        with self._lock:
            leadership, ring = self._counting.leadership, self._counting.ring
            identity = leadership.learn(raft_group_id, term, leader_node_id)
            if identity is not None:
                self._settle()
                leadership.begin(raft_group_id, identity, oldest_unix_ms=ring.oldest_unix_ms)

    def set_members(self, members: Iterable[Member]) -> None:
        """Who else is in the cluster, for the overview."""
        with self._lock:
            self._members = tuple(members)

    # --- windows

    def tick(self) -> None:
        """Folds what was observed and closes the windows that are due; called by the drainer, harmless elsewhere."""
        with self._lock:
            self._settle()

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

    def _settle(self) -> None:
        if self._counting.settle():
            self._enter()

    def _forget_places(self) -> None:
        self._hot_path.forget()
        self._enter()

    def _enter(self) -> None:
        windows = self._counting.windows
        self._path = self._hot_path.within(windows.from_s, windows.until_s)

    # --- the node's answers

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
            if not self._answers.is_quick():
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
        return counting.ring.puts + counting.slots.version, self._now_unix_ms()

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


def _check(node_id: str, **numbers: int) -> None:
    if not node_id:
        raise InvalidRequest("node_id", node_id, "must not be empty")
    for name, value in numbers.items():
        if value < 1:
            raise InvalidRequest(name, value, "must be at least 1")
    if numbers["slices"] > MAX_SLICES:
        raise InvalidRequest("slices", numbers["slices"], f"must be at most {MAX_SLICES}")
