"""The plan of a replay: routes, what changes when, and which node counts which operation."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import SettingError
from keyviz_grpc.replay.leadership import GONE, Leadership
from keyviz_grpc.replay.trace import Trace
from keyviz_grpc.sampler import Route


@dataclass(frozen=True, slots=True)
class LeaderChange:
    """From `at_ms` of the trace on, node index `leader` leads the group under `term`."""

    at_ms: int
    raft_group_id: int
    term: int
    leader: int


@dataclass(frozen=True, slots=True)
class RouteMove:
    """From `at_ms` of the trace on, the route belongs to the group that `route` says."""

    at_ms: int
    route: Route


Change = LeaderChange | RouteMove


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What N nodes do with one trace of n operations; the same for all of them.

    routes: as they are at time 0, in key order, together the whole key space. changes: by `at_ms`; each holds for
    operations at its moment and later; those of moment 0 name the first leader of every group.
    route_ids: uint64[n], the route of each operation. owners: int64[n], the index of the node that counts it.
    """

    routes: tuple[Route, ...]
    changes: tuple[Change, ...]
    route_ids: NDArray[np.uint64]
    owners: NDArray[np.int64]


def plan_replay(trace: Trace, leadership: Leadership, *, nodes: int) -> Plan:
    """Lays a trace and the leadership of its groups over `nodes` nodes.

    - As many routes as groups have their first row before the first group is gone. They are cut by `quantile_cuts`,
      have ids from 1 in key order, and in key order take those groups in the order of their first rows.
    - Time t of the leadership file is moment t * (last moment of the trace) / (last moment of the leadership file),
      cut off to milliseconds; both clocks start at 0.
    - A group has the leader and term of its first row from time 0. A route whose group is gone moves at that moment
      to the first group, by first row, that came later than all the initial ones and that no other route has
      taken; when there is none left it stays, under the last leader and term of its group.
    - A write is counted by the leader of its route's group at that moment (modulo `nodes`), the k-th read of the
      trace (from 0) by node k modulo `nodes`.

    Raises SettingError for fewer than one node.
    """
    if nodes < 1:
        raise SettingError(f"nodes={nodes}: a replay needs at least one")
    initial, later = leadership.groups()
    cuts = quantile_cuts(trace.keys, len(initial))
    bounds = zip([b"", *cuts], [*cuts, b""], initial, strict=True)
    routes = tuple(Route(n, start, end, group) for n, (start, end, group) in enumerate(bounds, start=1))
    changes, writers = _changes(leadership, routes, later, trace_last_ms=trace.last_ms)
    positions = np.fromiter((bisect_right(cuts, key) for key in trace.keys), np.int64, len(trace))
    owners = _owners(trace, positions, writers) % nodes
    return Plan(routes, changes, (positions + 1).astype(np.uint64), owners)


def quantile_cuts(keys: list[bytes], parts: int) -> list[bytes]:
    """The parts - 1 keys, strictly ascending, at which the key space is cut into `parts` ranges.

    With all n keys in byte order, each as often as it was used, cut i (i = 1 … parts - 1) is the key at index
    i * n // parts from 0, and it is the first key of its range. Where heavily used keys would give one cut twice, or
    the smallest key would be a cut, the cut is the next larger distinct key that leaves each later cut one of its
    own. Too few distinct keys are made up by the largest one followed by zero bytes.
    """
    if parts < 2:
        return []
    ordered = sorted(keys)
    distinct = [key for key, _ in groupby(ordered)]
    wanted = [bisect_right(distinct, ordered[i * len(ordered) // parts]) - 1 for i in range(1, parts)]
    while len(distinct) < parts:
        distinct.append(distinct[-1] + b"\x00")
    cuts: list[bytes] = []
    before = 0
    for number, index in enumerate(wanted, start=1):
        before = min(max(index, before + 1), len(distinct) - parts + number)
        cuts.append(distinct[before])
    return cuts


_Writer = tuple[int, int]
"""(from this moment of the trace in ms, node index that counts the route's writes)."""


def _changes(
    leadership: Leadership, routes: tuple[Route, ...], later: list[int], *, trace_last_ms: int
) -> tuple[tuple[Change, ...], list[list[_Writer]]]:
    """All changes in order, and for each route in key order who counts its writes from when, the first from 0."""
    leaders: dict[int, tuple[int, int]] = {}
    for row in leadership.rows:
        leaders.setdefault(row.raft_group_id, (row.leader, row.term))
    changes: list[Change] = [LeaderChange(0, group, term, leader) for group, (leader, term) in leaders.items()]
    writers = [[(0, leaders[route.raft_group_id][0])] for route in routes]
    holder = {route.raft_group_id: position for position, route in enumerate(routes)}
    spare = iter(later)
    for row in leadership.rows:
        at_ms = row.time_ms * trace_last_ms // leadership.last_ms if leadership.last_ms else 0
        if row.leader != GONE:
            if leaders[row.raft_group_id] == (row.leader, row.term):
                continue
            leaders[row.raft_group_id] = (row.leader, row.term)
            changes.append(LeaderChange(at_ms, row.raft_group_id, row.term, row.leader))
            moved_to = row.raft_group_id
        else:
            position = holder.get(row.raft_group_id)
            next_group = next(spare, None) if position is not None else None
            if position is None or next_group is None:
                continue
            old = routes[position]
            holder[next_group] = holder.pop(row.raft_group_id)
            changes.append(RouteMove(at_ms, Route(old.route_id, old.start, old.end, next_group)))
            moved_to = next_group
        if moved_to in holder:
            writers[holder[moved_to]].append((at_ms, leaders[moved_to][0]))
    return tuple(changes), writers


def _owners(trace: Trace, positions: NDArray[np.int64], writers: list[list[_Writer]]) -> NDArray[np.int64]:
    """int64[n]: the node index, not yet modulo, that counts each operation."""
    is_write = trace.writes == 1
    owners = np.cumsum(~is_write) - 1
    for position, known in enumerate(writers):
        own = np.flatnonzero(is_write & (positions == position))
        since = np.array([at_ms for at_ms, _ in known], np.int64)
        node = np.array([index for _, index in known], np.int64)
        owners[own] = node[np.searchsorted(since, trace.time_ms[own], side="right") - 1]
    return owners
