"""One node's process of three frozen, restarted, or all of them dead, behind a gateway's process that is watched."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest

from keyviz_grpc.cli.children import Child
from tests.e2e.conftest import Processes

pytestmark = pytest.mark.e2e

MATRIX = "/admin/api/v1/keyviz/matrix"
SERIES = ("reads", "writes", "read_bytes", "write_bytes")
BUDGETS = (0, 500)
ROUNDS = 25
WARM_ROUNDS = 8
BACK_WITHIN_S = 5.0
GROWTH_BYTES = 8 << 20
"""What the allocator may take meanwhile; one leaked answer a request would be several times that."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What the gateway's process holds."""

    resident_bytes: int
    sockets: int

    @classmethod
    def of(cls, process: psutil.Process) -> Weight:
        """Right now."""
        return cls(process.memory_info().rss, len(process.net_connections(kind="tcp")))


async def a_node(processes: Processes, number: int, listen: str = "127.0.0.1:0") -> Child:
    """One of three with synthetic traffic and some of its past."""
    place = ["--node-index", str(number), "--nodes", "3", "--workload", "demo", "--step", "1s", "--history", "30s"]
    child = await processes.start("keyviz_grpc.cli.node", "--listen", listen, *place)
    await child.wait_ready()
    return child


async def whole_within(client: httpx.AsyncClient, seconds: float) -> None:
    """Waits for an answer to which all three contributed."""
    async with asyncio.timeout(seconds):
        while (await client.get(MATRIX)).json()["fanout"]["responded"] != 3:
            pass


def picture(body: dict[str, Any]) -> dict[str, list[int]]:
    """Values by bucket, for those with traffic: a route that came meanwhile is a row of zeros in the past."""
    return {row["bucket_id"]: row["values"] for row in body["rows"] if any(row["values"])}


def total(body: dict[str, Any]) -> int:
    """Of all cells."""
    return sum(map(sum, picture(body).values()))


async def again_and_again(client: httpx.AsyncClient, asked: dict[str, int | str], warm: asyncio.Barrier) -> int:
    """One question while the third is frozen; the total of the others' picture, always the same."""
    pictures = []
    for number in range(ROUNDS):
        if number == WARM_ROUNDS:
            await warm.wait()
        body = (await client.get(MATRIX, params=asked)).json()
        nodes = body["fanout"]["nodes"]
        assert [node["ok"] for node in nodes] == [True, True, False], nodes
        assert nodes[2]["kind"] in ("deadline_exceeded", "unreachable")
        pictures.append(body)
    for body in pictures:
        assert picture(body) == picture(pictures[0])
    return total(pictures[0])


async def test_a_frozen_node_costs_nobody_else_anything(processes: Processes) -> None:
    """200 requests without it: the others complete, memory and sockets flat; thawed, restarted or dead it is told."""
    nodes = [await a_node(processes, number) for number in range(3)]
    addresses = [node.ready["grpc"] for node in nodes]
    gateway = await processes.gateway(addresses, "--timeout", "500ms")
    process = psutil.Process(gateway.process.pid)
    async with httpx.AsyncClient(base_url=f"http://{gateway.ready['http']}", trust_env=False, timeout=30) as client:
        await whole_within(client, BACK_WITHIN_S)
        now_ms = int(time.time()) * 1000
        window = {"from_unix_ms": now_ms - 25_000, "to_unix_ms": now_ms - 10_000}
        alone = [
            (await client.get(MATRIX, params={"series": "reads", "node": name, **window})).json()
            for name in ("n1", "n2")
        ]
        os.kill(nodes[2].process.pid, signal.SIGSTOP)
        questions: list[dict[str, int | str]] = [
            {"series": series, "rows": rows, **window} for series in SERIES for rows in BUDGETS
        ]
        warm = asyncio.Barrier(len(questions) + 1)
        viewers = [asyncio.create_task(again_and_again(client, asked, warm)) for asked in questions]
        try:
            await asyncio.wait_for(warm.wait(), 20)
            before = Weight.of(process)
            totals = await asyncio.gather(*viewers)
        finally:
            for viewer in viewers:
                viewer.cancel()
            await asyncio.gather(*viewers, return_exceptions=True)
        after = Weight.of(process)
        assert min(totals) > 0
        assert totals[0] == totals[1] == sum(map(total, alone))
        assert after.sockets <= before.sockets + 1  # a connection that is being made anew
        assert after.resident_bytes < before.resident_bytes + GROWTH_BYTES
        os.kill(nodes[2].process.pid, signal.SIGCONT)
        await whole_within(client, BACK_WITHIN_S)
        nodes[1].kill()
        await nodes[1].wait()
        told = (await client.get(MATRIX)).json()["fanout"]["nodes"]
        assert [node["kind"] for node in told] == ["", "unreachable", ""]
        nodes[1] = await a_node(processes, 1, addresses[1])
        await whole_within(client, BACK_WITHIN_S)
        await all_dead(client, nodes, addresses)


async def all_dead(client: httpx.AsyncClient, nodes: list[Child], addresses: list[str]) -> None:
    """`no_peers`, with each node's own reason: one is frozen, the others are gone."""
    for node in nodes[:2]:
        node.kill()
        await node.wait()
    os.kill(nodes[2].process.pid, signal.SIGSTOP)
    answer = await client.get(MATRIX)
    assert (answer.status_code, answer.json()["error"]) == (502, "no_peers")
    told = answer.json()["fanout"]["nodes"]
    assert [node["node"] for node in told] == addresses
    assert [node["kind"] for node in told[:2]] == ["unreachable"] * 2
    assert told[2]["kind"] == "deadline_exceeded"
    assert all(node["error"] for node in told)
    assert (answer.json()["fanout"]["responded"], answer.json()["fanout"]["expected"]) == (0, 3)
