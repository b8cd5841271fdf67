"""Nodes killed, frozen and restarted at random under viewers: never a wrong number, no error but the honest ones."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from keyviz_grpc.cli.children import Child
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as service
from tests.e2e.conftest import Processes, ask

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

SEED = int(os.environ.get("KEYVIZ_SOAK_SEED", "20261124"))
SOAK_S = float(os.environ.get("KEYVIZ_SOAK_S", "60"))
START_MS = 1_767_225_600_000
NODES = 3
VIEWERS = 6
HONEST = {"no_peers": 502, "overloaded": 503}


def write_trace(folder: Path, seed: int) -> list[str]:
    """The options that replay a made-up trace of 20 windows with leaders that change; the same on every start."""
    chance = random.Random(seed)
    operations = [
        f"{second},{chance.choice(['read', 'write'])},0x{chance.randrange(4000):08x},{chance.randrange(1, 900)}"
        for second in range(1200)
        for _ in range(3)
    ]
    leaders = [f"0,{group},{group % NODES},1" for group in range(1, 7)]
    leaders += [f"{90 * turn + 45},{turn % 6 + 1},{chance.randrange(NODES)},{turn + 2}" for turn in range(12)]
    (folder / "trace.csv").write_text("time_s,op,key,value_bytes\n" + "\n".join(operations) + "\n")
    (folder / "leadership.csv").write_text("time_s,raft_group_id,leader,term\n" + "\n".join(leaders) + "\n")
    files = ["--trace", str(folder / "trace.csv"), "--leadership", str(folder / "leadership.csv")]
    return [*files, "--trace-start", str(START_MS + 59_999), "--speed", "max", "--nodes", str(NODES)]


@dataclass
class Soak:
    """The cluster, what each node has to say, and what was seen."""

    processes: Processes
    options: list[str]
    nodes: list[Child] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    own: dict[str, list[Counter[tuple[str, int]]]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def start_node(self, index: int, listen: str) -> Child:
        """Ready only after the whole trace was taken in."""
        arguments = ["--listen", listen, "--node-index", str(index), *self.options]
        child = await self.processes.start("keyviz_grpc.cli.node", *arguments)
        await child.wait_ready()
        return child

    def check(self, series: str, answer: httpx.Response) -> None:
        """A 200 is the sum of exactly the nodes that it says responded; anything else is honest."""
        body: dict[str, Any] = answer.json()
        if answer.status_code != 200:
            self.seen[body["error"]] += 1
            if HONEST.get(body["error"]) != answer.status_code:
                self.wrong.append(f"{answer.status_code} {answer.text[:200]}")
            return
        responded = [number for number, node in enumerate(body["fanout"]["nodes"]) if node["ok"]]
        self.seen[f"{len(responded)} of {NODES}"] += 1
        expected: Counter[tuple[str, int]] = Counter()
        for number in responded:
            expected += self.own[series][number]
        if cells(body) != expected:
            self.wrong.append(f"{series} of nodes {responded} is not their sum")
        if any(row["conflict"] for row in body["rows"]):
            self.wrong.append(f"{series} of nodes {responded} has a conflict")

    async def view(self, gateway: Child, series: str) -> None:
        """One browser's polling."""
        url = f"http://{gateway.ready['http']}/admin/api/v1/keyviz/matrix"
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            while not self.done.is_set():
                self.check(series, await client.get(url, params={"series": series}))

    async def trouble(self, chance: random.Random, seconds: float) -> None:
        """Kills, freezes and restarts until the time is over, then mends everything."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            index = chance.randrange(NODES)
            node = self.nodes[index]
            if chance.random() < 0.5:
                os.kill(node.process.pid, signal.SIGKILL)
                await node.wait()
                await asyncio.sleep(chance.uniform(0.0, 1.5))
                self.nodes[index] = await self.start_node(index, self.addresses[index])
            else:
                os.kill(node.process.pid, signal.SIGSTOP)
                await asyncio.sleep(chance.uniform(0.0, 3.0))
                os.kill(node.process.pid, signal.SIGCONT)
            self.seen["troubles"] += 1
            await asyncio.sleep(chance.uniform(0.0, 1.0))


def cells(body: dict[str, Any]) -> Counter[tuple[str, int]]:
    """Cells with traffic."""
    found: Counter[tuple[str, int]] = Counter()
    for row in body["rows"]:
        for stamp, value in zip(body["column_unix_ms"], row["values"], strict=True):
            if value:
                found[row["bucket_id"], stamp] = value
    return found


def resident_kib(child: Child) -> int:
    """Memory of a process that is in use now."""
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))  # type: ignore[union-attr]


def sockets(child: Child) -> int:
    """Open descriptors of a process."""
    return sum(1 for _ in Path(f"/proc/{child.process.pid}/fd").iterdir())


async def test_nothing_brings_it_down(processes: Processes, tmp_path: Path) -> None:
    """Also: memory and open sockets end where they were, and soon all nodes are back."""
    chance = random.Random(SEED)
    soak = Soak(processes, write_trace(tmp_path, SEED))
    soak.nodes = list(await asyncio.gather(*(soak.start_node(number, "127.0.0.1:0") for number in range(NODES))))
    soak.addresses = [node.ready["grpc"] for node in soak.nodes]
    gateway = await processes.gateway(soak.addresses, "--timeout", "1s")
    names = ("reads", "writes", "read_bytes", "write_bytes")
    for series in names:
        bodies = [await ask(gateway, series=series, node=f"n{number + 1}") for number in range(NODES)]
        soak.own[series] = [cells(body) for body in bodies]
        assert sum(map(len, soak.own[series])) > 100
    before: tuple[int, int] | None = None
    viewers = [asyncio.create_task(soak.view(gateway, names[number % 4])) for number in range(VIEWERS)]
    try:
        await soak.trouble(chance, SOAK_S / 3)
        before = resident_kib(gateway), sockets(gateway)
        await soak.trouble(chance, SOAK_S * 2 / 3)
        async with asyncio.timeout(10):
            while (await ask(gateway))["fanout"]["responded"] < NODES:  # noqa: ASYNC110 - nobody announces a return
                await asyncio.sleep(0.2)
    finally:
        soak.done.set()
        await asyncio.gather(*viewers)
    assert soak.wrong == []
    assert soak.seen["3 of 3"] > 20, soak.seen
    assert soak.seen["2 of 3"] > 5, soak.seen
    assert soak.seen["troubles"] > SOAK_S / 6, soak.seen
    after = resident_kib(gateway), sockets(gateway)
    assert after[0] < before[0] * 1.3 + 20_000
    assert after[1] <= before[1] + 5


async def test_nobody_sees_half_of_a_past(processes: Processes) -> None:
    """The first answer that a node that starts gives at all is whole: whatever closed is never written to again."""
    gone = await processes.node()
    address = gone.ready["grpc"]
    os.kill(gone.process.pid, signal.SIGKILL)
    await gone.wait()
    past = ("--workload", "demo", "--history", "120m", "--rate", "20")
    node = await processes.start("keyviz_grpc.cli.node", "--listen", address, *past)
    stamps = await first_answer(address)
    assert len(stamps) >= 118
    assert stamps[-1] > (time.time() - 180) * 1000
    await node.wait_ready()


async def first_answer(address: str) -> list[int]:
    """Its columns. Asks again and again until there is an answer, many times while a node takes in its past."""
    eager = [("grpc.initial_reconnect_backoff_ms", 1), ("grpc.min_reconnect_backoff_ms", 100)]
    eager.append(("grpc.max_reconnect_backoff_ms", 5))
    async with asyncio.timeout(60), grpc.aio.insecure_channel(address, options=eager) as channel:
        stub = service.KeyVizStub(channel)
        while True:
            try:
                answer = await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=5)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.005)
            else:
                return list(answer.column_unix_ms)
