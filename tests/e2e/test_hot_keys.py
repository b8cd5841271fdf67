"""Hot keys of the real trace, from three node processes through the gateway, against a count of the trace's lines."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyviz_grpc.cli.children import Child
from tests.e2e.conftest import Processes, ask
from tests.e2e.test_grpcurl import call
from tests.e2e.truth import lines_of, truth_of

pytestmark = pytest.mark.e2e

START_MS = 1_767_225_600_000
ROUTES, NODES, TOP, EVERY = 57, 3, 20, 1024
ROUGH = ("--hot-keys-counters", "32")
"""Sketches so small that they overflow in most windows."""


class KeyTruth:
    """counts[series, route number from 0][key] is the exact number of operations."""

    def __init__(self, trace: Path) -> None:
        starts = truth_of(trace, routes=ROUTES, step_s=60).starts
        self.counts: dict[tuple[str, int], Counter[bytes]] = {}
        for line in lines_of(trace):
            route = sum(start <= line.key for start in starts) - 1
            self.counts.setdefault((line.op + "s", route), Counter())[line.key] += 1


@pytest.fixture(scope="module")
def truth(shared_trace: tuple[Path, Path]) -> KeyTruth:
    """Counted by code of its own."""
    return KeyTruth(shared_trace[0])


async def cluster(processes: Processes, shared_trace: tuple[Path, Path], *options: str) -> tuple[list[Child], Child]:
    """Three nodes that have taken the whole trace in with hot keys on, and a gateway."""
    trace, leadership = map(str, shared_trace)
    replay = ["--trace", trace, "--leadership", leadership, "--trace-start", str(START_MS), "--speed", "max"]
    shared = [*replay, "--step", "60s", "--nodes", str(NODES), "--hot-keys", *options]
    started = [processes.node("--node-index", str(index), *shared) for index in range(NODES)]
    nodes = list(await asyncio.gather(*started))
    return nodes, await processes.gateway([node.ready["grpc"] for node in nodes])


def listed(body: dict[str, Any]) -> Iterator[tuple[bytes, int, int, int]]:
    """(key, count, lower, upper) in the answer's order."""
    for item in body["keys"]:
        yield base64.b64decode(item["key_b64"]), item["count"], item["lower"], item["upper"]


def check_bounds(body: dict[str, Any], true: Counter[bytes]) -> None:
    """Every stated interval holds the true count, and keys come by count, then by key."""
    found = list(listed(body))
    for key, count, lower, upper in found:
        assert lower <= true[key] <= upper, (body["route_id"], key)
        assert lower <= count <= upper
    assert [(-count, key) for key, count, *_ in found] == sorted((-count, key) for key, count, *_ in found)


def check_nothing_is_missing(body: dict[str, Any], true: Counter[bytes]) -> None:
    """What is not among the top is not above what is stated of it, which is as little as is promised."""
    found = {key: count for key, count, *_ in listed(body)}
    most = max((times for key, times in true.items() if key not in found), default=0)
    least = min(found.values()) if len(found) == TOP else 0
    assert most <= body["unlisted_bound"] <= least + body["error_bound"]
    assert most <= body["sampled_n"] / (TOP + 1) + body["error_bound"]


def check_every_key_above_the_bound(body: dict[str, Any], true: Counter[bytes]) -> int:
    """Those above what a key that is not listed may have are there; the number of them.

    That is the sketches' own error, unless there are more candidates than HTTP shows.
    """
    found = {key for key, *_ in listed(body)}
    assert body["unlisted_bound"] == body["error_bound"] or len(found) == EVERY
    above = {key for key, times in true.items() if times > body["unlisted_bound"]}
    assert above <= found, body["route_id"]
    return len(above)


@pytest.mark.parametrize("options", [(), ROUGH], ids=["default sketches", "sketches that overflow"])
async def test_the_hot_keys_of_every_route_are_those_of_the_trace(
    processes: Processes, shared_trace: tuple[Path, Path], truth: KeyTruth, options: tuple[str, ...]
) -> None:
    """Over HTTP, merged, reads and writes of all 57 routes: the top, its bounds, and nothing missing."""
    _, gateway = await cluster(processes, shared_trace, *options)
    rough = above = 0
    for (series, route), true in truth.counts.items():
        body = await ask(gateway, "hotkeys", route_id=route + 1, series=series)
        assert (body["sampled_n"], body["dropped_samples"], body["degraded"]) == (true.total(), 0, False)
        assert (body["fanout"]["responded"], body["confidence"]) == (NODES, 1.0)
        check_bounds(body, true)
        whole = await ask(gateway, "hotkeys", route_id=route + 1, series=series, top=EVERY)
        check_bounds(whole, true)
        above += check_every_key_above_the_bound(whole, true)
        if options:
            rough += body["error_bound"] > 0
            assert body["error_bound"] <= true.total() * 3.5 / 32
        else:
            assert [(key, count) for key, count, *_ in listed(body)] == in_order(true)[:TOP]
            guarantee = max(body["error_bound"], body["sampled_n"] * 3.5 / 1024)
            heavy = {key for key, times in true.items() if times > guarantee}
            assert len(heavy) > TOP or heavy <= {key for key, *_ in listed(body)}
        check_nothing_is_missing(body, true)
    assert len(truth.counts) > ROUTES
    assert bool(rough) == bool(options)
    assert above > ROUTES


def in_order(true: Counter[bytes]) -> list[tuple[bytes, int]]:
    """By count, descending; ties by key."""
    return sorted(true.items(), key=lambda item: (-item[1], item[0]))


async def test_sampled_hot_keys_keep_their_intervals(
    processes: Processes, shared_trace: tuple[Path, Path], truth: KeyTruth
) -> None:
    """One in two operations: at least the stated share of intervals holds, of keys that are hot enough to be missed.

    A key of up to five operations of which none was seen is still within its bound, so colder ones prove nothing.
    """
    _, gateway = await cluster(processes, shared_trace, "--hot-keys-sample", "2")
    held = exact = total = 0
    for (series, route), true in truth.counts.items():
        hot = {key: times for key, times in true.items() if times > 5}
        if not hot:
            continue
        body = await ask(gateway, "hotkeys", route_id=route + 1, series=series, top=EVERY)
        assert (body["sample_rate"], body["confidence"]) == (2, 0.95)
        assert body["error_bound"] <= 5
        shown = {key: (count, lower, upper) for key, count, lower, upper in listed(body)}
        for key, times in hot.items():
            count, low, high = shown.get(key, (0, 0, body["error_bound"]))
            held += low <= times <= high
            exact += count == times
            total += 1
    assert total > 400
    assert held / total >= 0.95
    assert exact / total < 0.5, "else nothing is sampled away"


async def test_hot_keys_of_slices_are_those_of_their_rows(
    processes: Processes, shared_trace: tuple[Path, Path], truth: KeyTruth
) -> None:
    """K = 16, over HTTP: what a slice lists adds up to its row's cells, lies in its row's range, and is the truth."""
    _, gateway = await cluster(processes, shared_trace, "--slices", "16")
    checked = 0
    for series in ("reads", "writes"):
        rows = {row["bucket_id"]: row for row in (await ask(gateway, series=series))["rows"]}
        for route in (route for route in range(0, ROUTES, 8) if (series, route) in truth.counts):
            for number in range(16):
                row = rows[f"route:{route + 1}#{number}"]
                body = await ask(gateway, "hotkeys", route_id=route + 1, sub_bucket=number, series=series, top=EVERY)
                found = list(listed(body))
                assert len(found) < EVERY
                assert sum(count for _, count, *_ in found) == sum(row["values"]), row["bucket_id"]
                start, end = base64.b64decode(row["start"]), base64.b64decode(row["end"])
                assert all(start <= key and (not end or key < end) for key, *_ in found)
                assert all(count == truth.counts[series, route][key] for key, count, *_ in found)
                checked += len(found)
    assert checked > 5000


async def test_slices_of_sketches_that_overflow_keep_what_they_state(
    processes: Processes, shared_trace: tuple[Path, Path], truth: KeyTruth
) -> None:
    """K = 16, over HTTP: every interval holds, every key of a slice above the bound is there, and none of another's."""
    _, gateway = await cluster(processes, shared_trace, "--slices", "16", *ROUGH)
    rough = above = wide = 0
    for series in ("reads", "writes"):
        rows = {row["bucket_id"]: row for row in (await ask(gateway, series=series))["rows"]}
        for route in (route for route in range(0, ROUTES, 3) if (series, route) in truth.counts):
            true = truth.counts[series, route]
            told: Counter[bytes] = Counter()
            for number in range(16):
                row = rows[f"route:{route + 1}#{number}"]
                body = await ask(gateway, "hotkeys", route_id=route + 1, sub_bucket=number, series=series, top=EVERY)
                assert (body["sampled_n"], body["degraded"]) == (true.total(), False)
                start, end = base64.b64decode(row["start"]), base64.b64decode(row["end"])
                own = Counter({key: n for key, n in true.items() if start <= key and (not end or key < end)})
                assert own.total() == sum(row["values"])
                assert len(body["keys"]) < EVERY
                check_bounds(body, own)
                above += check_every_key_above_the_bound(body, own)
                told.update(key for key, *_ in listed(body))
                rough += body["error_bound"] > 0
                wide += sum(lower < upper for _, _, lower, upper in listed(body))
            assert set(told.values()) <= {1}
            whole = await ask(gateway, "hotkeys", route_id=route + 1, series=series, top=EVERY)
            assert set(told) >= {key for key, *_ in listed(whole)}
    assert rough > 300
    assert above > 20
    assert wide > 1000


async def test_grpcurl_asks_a_node_and_the_cluster(
    processes: Processes, shared_trace: tuple[Path, Path], truth: KeyTruth, grpcurl: str
) -> None:
    """Without any proto file at hand; the cluster's count is the sum of the nodes'."""
    nodes, gateway = await cluster(processes, shared_trace)
    asked = {"route_id": 1, "series": "KEYVIZ_SERIES_READS", "top": 1}
    [(hottest, times)] = in_order(truth.counts["reads", 0])[:1]
    answers = {
        path: json.loads(call(grpcurl, gateway.ready["grpc"], path, data=asked).stdout)
        for path in ("keyviz.v1.KeyViz/GetHotKeys", "Admin/GetHotKeys")
    }
    for answer in answers.values():
        [item] = answer["keys"]
        assert (base64.b64decode(item["key"]), int(item["count"])) == (hottest, times)
        assert [outcome["kind"] for outcome in answer["outcomes"]] == ["OUTCOME_KIND_OK"] * NODES
    told = 0
    for node in nodes:
        everything = json.loads(
            call(grpcurl, node.ready["grpc"], "keyviz.v1.KeyViz/GetHotKeys", data=asked | {"top": 0}).stdout
        )
        told += sum(int(i["count"]) for i in everything["keys"] if base64.b64decode(i["key"]) == hottest)
    assert told == times
    refused = call(grpcurl, nodes[0].ready["grpc"], "keyviz.v1.KeyViz/GetHotKeys", data={"route_id": 58})
    assert "NotFound" in refused.stderr
    assert "no_snapshot" in refused.stderr


async def test_a_node_records_no_keys_unless_told_to(processes: Processes) -> None:
    """Off by default, and the whole way up says so."""
    node = await processes.node("--workload", "demo", "--step", "1s", "--history", "5s")
    gateway = await processes.gateway([node.ready["grpc"]])
    url = f"http://{gateway.ready['http']}/admin/api/v1/keyviz/hotkeys"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.get(url, params={"route_id": 1})
    assert (answer.status_code, answer.json()["error"]) == (503, "hotkeys_disabled")
