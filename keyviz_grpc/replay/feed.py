"""Feeding one node's share of a replay to its sampler, at once or as time goes by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.errors import SettingError
from keyviz_grpc.replay.plan import Change, LeaderChange, Plan
from keyviz_grpc.replay.trace import Trace
from keyviz_grpc.sampler import PackedKeys, Sampler


class Feed:
    """Brings a sampler, whose `clock` must be this feed's, to any moment of the trace in its own time stamps.

    The clock stands at the moment up to which everything was fed, so a window closes only when it is complete.
    trace_start_unix_ms: the moment of the trace's time 0, a positive multiple of step_ms. node_ids: of all nodes, by
    index; this one's is `node_ids[node_index]`. Not thread-safe, except for the clock.

    Raises SettingError for a start that is not such a multiple and an index outside of the nodes.
    """

    def __init__(
        self,
        trace: Trace,
        plan: Plan,
        *,
        node_index: int,
        node_ids: Sequence[str],
        trace_start_unix_ms: int,
        step_ms: int,
    ) -> None:
        if trace_start_unix_ms <= 0 or trace_start_unix_ms % step_ms:
            raise SettingError(
                f"trace start {trace_start_unix_ms} is not a positive multiple of the step, {step_ms} ms"
            )
        if not 0 <= node_index < len(node_ids):
            raise SettingError(f"node index {node_index} is not one of {len(node_ids)} nodes (from 0)")
        self.start_unix_ms = trace_start_unix_ms
        self.end_unix_ms = (trace_start_unix_ms + trace.last_ms) // step_ms * step_ms + step_ms
        self.clock = SteppedClock(trace_start_unix_ms)
        self._plan = plan
        self._node_ids = tuple(node_ids)
        own = np.flatnonzero(plan.owners == node_index)
        keys = [trace.keys[number] for number in own.tolist()]
        offsets = np.concatenate([[0], np.cumsum([len(key) for key in keys], dtype=np.int64)]).astype(np.int64)
        self._keys = PackedKeys(np.frombuffer(b"".join(keys), np.uint8), offsets)
        self._at = trace.time_ms[own] + trace_start_unix_ms
        self._route_ids = plan.route_ids[own]
        self._writes = trace.writes[own]
        self._value_bytes = trace.value_bytes[own]
        self._fed = 0
        self._changed = 0

    @property
    def done(self) -> bool:
        """Whether the trace is through and its last window closed."""
        return self.clock.unix_ms >= self.end_unix_ms

    def start(self, sampler: Sampler) -> None:
        """Registers the routes, and the leaders of the trace's time 0."""
        sampler.register_routes(self._plan.routes)
        self._apply_until(sampler, self.start_unix_ms)

    def advance(self, sampler: Sampler, unix_ms: int) -> None:
        """Feeds everything before `unix_ms`, makes every change of that moment or before, and moves the clock there.

        The clock stops for good at `end_unix_ms`, the end of the window of the last operation.
        """
        until = min(unix_ms, self.end_unix_ms)
        self._apply_until(sampler, until)
        self._observe_until(sampler, until)
        self.clock.move_to(until)
        sampler.tick()

    def _apply_until(self, sampler: Sampler, unix_ms: int) -> None:
        changes = self._plan.changes
        while self._changed < len(changes) and self.start_unix_ms + changes[self._changed].at_ms <= unix_ms:
            change = changes[self._changed]
            self._observe_until(sampler, self.start_unix_ms + change.at_ms)
            self.clock.move_to(self.start_unix_ms + change.at_ms)
            self._apply(sampler, change)
            self._changed += 1

    def _apply(self, sampler: Sampler, change: Change) -> None:
        if isinstance(change, LeaderChange):
            leader = self._node_ids[change.leader % len(self._node_ids)]
            sampler.set_leader(change.raft_group_id, change.term, leader_node_id=leader)
        else:
            sampler.replace_routes(remove=(), add=[change.route])

    def _observe_until(self, sampler: Sampler, unix_ms: int) -> None:
        """Counts this node's operations before `unix_ms` that were not counted yet."""
        first = self._fed
        last = int(np.searchsorted(self._at, unix_ms, side="left"))
        if last <= first:
            return
        self._fed = last
        sampler.observe_many(
            self._route_ids[first:last],
            self._keys.take(first, last),
            self._writes[first:last],
            self._value_bytes[first:last],
            at_unix_ms=self._at[first:last],
        )
