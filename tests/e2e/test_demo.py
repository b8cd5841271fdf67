"""keyviz-demo: a cluster in one command, and nothing left of it afterwards."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from keyviz_grpc.cli.children import Child
from tests.e2e.conftest import Processes, ask, eventually, loopback_address

pytestmark = pytest.mark.e2e


def below(child: Child) -> list[psutil.Process]:
    """The processes that a demo started."""
    return psutil.Process(child.process.pid).children(recursive=True)


def alive(started: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run."""
    found = []
    for process in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


async def gone(started: list[psutil.Process]) -> None:
    """Waits until none of them is left; they are not ours to reap."""
    await eventually(lambda: not alive(started))


@pytest.fixture
def short(tmp_path: Path) -> list[str]:
    """Options of a demo whose nodes have a past of two operations: those of synthetic traffic make up 600 000 each."""
    trace, leadership = tmp_path / "trace.csv", tmp_path / "leadership.csv"
    trace.write_text("time_s,op,key,value_bytes\n0,write,a,1\n1,read,b,2\n")
    leadership.write_text("time_s,raft_group_id,leader,term\n0,1,0,1\n")
    return ["--trace", str(trace), "--leadership", str(leadership)]


async def demo(processes: Processes, *arguments: str) -> Child:
    """A demo on a free port that is ready."""
    child = await processes.start("gateway.demo", "--http", "127.0.0.1:0", *arguments)
    await child.wait_ready()
    return child


async def ends(child: Child, number: signal.Signals) -> None:
    """By this signal, with exit status 0, and everything that was started is gone by then."""
    started = below(child)
    child.process.send_signal(number)
    await asyncio.wait_for(child.wait(), 15)
    assert child.process.returncode == 0
    assert alive(started) == []


async def test_a_demo_shows_three_nodes_with_a_past(processes: Processes) -> None:
    """When it says ready, the heatmap is worth opening, and hot keys are there; Ctrl-C ends it in full traffic."""
    child = await demo(processes)
    assert set(child.ready) == {"grpc", "http"}
    body = await ask(child, series="writes")
    check_history(body)
    await check_hot_keys(child, body)
    await ends(child, signal.SIGINT)


def check_history(body: dict[str, Any]) -> None:
    """Minutes of it from three nodes, conflict-free."""
    assert body["fanout"]["responded"] == body["fanout"]["expected"] == 3
    assert body["step_ms"] == 1000
    assert len(body["column_unix_ms"]) >= 300
    assert len([row for row in body["rows"] if row["bucket_id"].endswith("#3")]) >= 44
    assert not any(row["conflict"] for row in body["rows"])
    assert len({group for row in body["rows"] for group in row.get("raft_group_ids", ()) if group}) == 22


async def check_hot_keys(child: Child, body: dict[str, Any]) -> None:
    """Of the slice that is written most, and of no other range; from all three nodes."""
    row = max((row for row in body["rows"] if "#" in row["bucket_id"]), key=lambda row: sum(row["values"]))
    route_id, number = row["bucket_id"].removeprefix("route:").split("#")
    hot = await ask(child, "hotkeys", route_id=route_id, sub_bucket=number, series="writes")
    start, end = (base64.b64decode(row[name]) for name in ("start", "end"))
    assert hot["keys"]
    assert all(start <= base64.b64decode(item["key_b64"]) < end for item in hot["keys"])
    assert all(0 < item["lower"] <= item["count"] <= item["upper"] for item in hot["keys"])
    assert hot["fanout"]["responded"] == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_nothing_is_left_after_a_signal(processes: Processes, short: list[str], number: signal.Signals) -> None:
    """Ctrl-C ends what was started, with exit status 0."""
    child = await demo(processes, "--nodes", "2", *short)
    assert len(below(child)) == 3
    await ends(child, number)


async def test_nothing_is_left_after_a_kill(processes: Processes, short: list[str]) -> None:
    """Even a demo that had no chance to clean up leaves no process behind."""
    child = await demo(processes, "--nodes", "2", *short)
    started = below(child)
    child.kill()
    await gone(started)


async def test_a_signal_during_the_start_ends_it_too(processes: Processes) -> None:
    """Whoever is impatient leaves nothing behind either."""
    child = await processes.start("gateway.demo", "--http", "127.0.0.1:0")
    await eventually(lambda: bool(below(child)))
    started = below(child)
    child.ask_to_end()
    await asyncio.wait_for(child.wait(), 20)
    assert child.process.returncode == 0
    await gone(started)


async def test_a_killed_node_does_not_end_the_demo(processes: Processes, short: list[str]) -> None:
    """The page goes on with two of three, and the log says who is gone."""
    child = await demo(processes, *short)
    [first] = [p for p in below(child) if "--node-index 0" in " ".join(p.cmdline())]
    first.send_signal(signal.SIGKILL)
    await eventually(lambda: any("a node ended" in line and "node=n1" in line for line in processes.log))
    body = await ask(child)
    assert (body["fanout"]["responded"], body["fanout"]["expected"]) == (2, 3)
    assert body["rows"]


async def test_a_busy_port_is_one_clear_line(processes: Processes) -> None:
    """Status 1, the address in one line, and nothing left behind."""
    before = psutil.Process().children(recursive=True)  # of other tests, such as a browser
    with socket.socket() as taken:
        address = loopback_address(taken)
        child = await processes.start("gateway.demo", "--nodes", "1", "--http", address)
        await asyncio.wait_for(child.wait(), 60)
    assert child.process.returncode == 1
    [line] = processes.log
    assert line.startswith(f"[gateway.demo] keyviz-demo: cannot listen on {address}: Address already in use")
    await gone([process for process in psutil.Process().children(recursive=True) if process not in before])


@dataclass(slots=True)
class Terminal:
    """What a person sees."""

    text: str


@contextlib.asynccontextmanager
async def terminal(*arguments: str) -> AsyncIterator[Terminal]:
    """A demo whose standard output is looked at as a whole."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.demo",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield Terminal((await asyncio.wait_for(process.stdout.readuntil(b"Ctrl-C ends everything."), 60)).decode())
    finally:
        process.terminate()
        await process.wait()


async def test_what_a_demo_prints(short: list[str]) -> None:
    """First the ready line, below it the page's address and lines that can be pasted as they are."""
    async with terminal("--nodes", "1", "--http", "127.0.0.1:0", *short) as seen:
        first, rest = seen.text.split("\n", 1)
        found = re.fullmatch(r"ready grpc=(\S+) http=(\S+)", first)
        assert found is not None
        assert f"http://{found[2]}/admin/" in rest
        curls = re.findall(r"curl -s '(http://\S+)'", rest)
        assert len(curls) == 2
        assert all(curl.startswith(f"http://{found[2]}/") for curl in curls)
        assert f"{found[1]} keyviz.v1.KeyViz/GetKeyVizMatrix" in rest
        [pid] = re.findall(r"kill -9 (\d+)", rest)
        assert psutil.pid_exists(int(pid))


async def test_a_demo_replays_a_trace_that_ends_now(
    processes: Processes, shared_trace: tuple[os.PathLike[str], os.PathLike[str]]
) -> None:
    """With a trace, all of it is there at once, and its last window has just closed."""
    trace, leadership = map(str, shared_trace)
    child = await demo(processes, "--trace", trace, "--leadership", leadership)
    body = await ask(child, series="reads")
    assert sum(sum(row["values"]) for row in body["rows"]) == 46_974
    assert 0 <= time.time() * 1000 - body["column_unix_ms"][-1] < 120_000
