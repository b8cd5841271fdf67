"""Feeding one node's share of the synthetic traffic to its sampler."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.errors import SettingError
from keyviz_grpc.sampler import Sampler
from keyviz_grpc.workload.keyspace import GROUPS
from keyviz_grpc.workload.traffic import TICK_MS, Traffic


class WorkloadFeed:
    """Brings a sampler, whose `clock` must be this feed's, tick by tick to the present.

    node_ids: of all nodes, by index; this one's is `node_ids[node_index]`. start_unix_ms: where history begins, cut to
    a whole tick. Not thread-safe, except for the clock. Raises SettingError for an index outside of the nodes or a
    count that is not the traffic's.
    """

    def __init__(self, traffic: Traffic, *, node_index: int, node_ids: Sequence[str], start_unix_ms: int) -> None:
        if not 0 <= node_index < len(node_ids) or len(node_ids) != traffic.nodes:
            raise SettingError(f"node index {node_index} is not one of {traffic.nodes} nodes (from 0)")
        self._traffic = traffic
        self._node_index = node_index
        self._node_ids = tuple(node_ids)
        self._tick = start_unix_ms // TICK_MS
        self.clock = SteppedClock(self._tick * TICK_MS)
        self._routes = traffic.keyspace.routes_at(self.clock.unix_ms)
        self._terms: dict[int, int] = {}

    def start(self, sampler: Sampler) -> None:
        """Registers routes and leaders as they are where history begins."""
        sampler.register_routes(self._routes)
        self._follow(sampler)

    def advance(self, sampler: Sampler, unix_ms: int) -> None:
        """Feeds every tick that is over by `unix_ms` and moves the clock to the end of the last one."""
        while (self._tick + 1) * TICK_MS <= unix_ms:
            self._follow(sampler)
            self._observe(sampler)
            self._tick += 1
            self.clock.move_to(self._tick * TICK_MS)
            sampler.tick()

    def skip_to(self, unix_ms: int) -> None:
        """Leaves out everything until `unix_ms`, as a process that was suspended did: those windows stay absent."""
        self._tick = max(self._tick, unix_ms // TICK_MS)
        self.clock.move_to(self._tick * TICK_MS)

    def _follow(self, sampler: Sampler) -> None:
        """Makes the changes of routes and leaders that this moment brings."""
        now_ms = self.clock.unix_ms
        routes = self._traffic.keyspace.routes_at(now_ms)
        if routes != self._routes:
            before, after = set(self._routes), set(routes)
            kept = {route.route_id for route in after}
            gone = sorted(route.route_id for route in before - after if route.route_id not in kept)
            sampler.replace_routes(remove=gone, add=sorted(after - before, key=lambda route: route.start))
            self._routes = routes
        for group in range(1, GROUPS + 1):
            term, leader = self._traffic.keyspace.leader_at(group, now_ms)
            if self._terms.get(group) != term:
                self._terms[group] = term
                sampler.set_leader(group, term, leader_node_id=self._node_ids[leader])

    def _observe(self, sampler: Sampler) -> None:
        operations = self._traffic.operations(self._tick)
        keyspace = self._traffic.keyspace
        own = np.flatnonzero(operations.owners == self._node_index)
        numbers = operations.key_numbers[own]
        positions = keyspace.positions[numbers].tolist()
        marks = operations.labelled[own].tolist()
        sampler.observe_many(
            operations.route_ids[own],
            [keyspace.keys[number] for number in numbers.tolist()],
            operations.writes[own],
            operations.value_bytes[own],
            labels=[keyspace.labels[p] if marked else "" for p, marked in zip(positions, marks, strict=True)],
            at_unix_ms=operations.at_unix_ms[own],
        )
