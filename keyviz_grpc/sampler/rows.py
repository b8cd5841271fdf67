"""The rows of routes: of one counted by itself, whole or in slices, and of runs that share an aggregate."""

from __future__ import annotations

from itertools import groupby

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.model import MAX_ROUTE_IDS, Row
from keyviz_grpc.sampler.slices import Division
from keyviz_grpc.sampler.types import Route


def rows_of(route: Route, label: str, division: Division) -> list[Row]:
    """The rows of a route, or of one of its labels, in key order: one, or one a slice."""
    name = f"route:{route.route_id}" + (f":{label}" if label else "")
    if not division.cuts:
        return [Row(name, route.start, route.end, label=label)]
    return [Row(f"{name}#{n}", start, end, label=label) for n, (start, end) in enumerate(division.ranges)]


def aggregate_row(run: list[Route]) -> Row:
    """The row of routes of one group; its id follows from range and group alone, so nodes that fold alike agree."""
    start = min(route.start for route in run)
    end = b"" if any(not route.end for route in run) else max(route.end for route in run)
    ids = sorted(route.route_id for route in run)
    return Row(
        aggregate_id(start, end, run[0].raft_group_id),
        start,
        end,
        aggregate=True,
        route_ids=tuple(ids[:MAX_ROUTE_IDS]),
        route_ids_truncated=len(ids) > MAX_ROUTE_IDS,
        route_count=len(ids),
    )


def tracked_of(divisions: dict[int, Division], limit: int) -> set[int]:
    """Routes counted by themselves: in order of registration those whose slices fit into what is left of the limit."""
    found: set[int] = set()
    left = limit
    for route_id, division in divisions.items():
        if left <= 0:
            break
        size = len(division)
        if size <= left:
            found.add(route_id)
            left -= size
    return found


def runs_of(routes: list[Route], tracked: set[int], limit: int) -> list[list[Route]]:
    """Untracked routes in runs of neighbours of one group; at most `limit` runs, or one a group."""
    if len(routes) <= len(tracked):
        return []
    ordered = sorted(routes, key=lambda route: (route.start, not route.end, route.end, route.route_id))
    marked = [(route.raft_group_id if route.route_id not in tracked else -1, route) for route in ordered]
    runs = [[route for _, route in run] for group, run in groupby(marked, key=lambda item: item[0]) if group >= 0]
    if len(runs) <= limit:
        return runs
    by_group: dict[int, list[Route]] = {}
    for run in runs:
        by_group.setdefault(run[0].raft_group_id, []).extend(run)
    return list(by_group.values())
