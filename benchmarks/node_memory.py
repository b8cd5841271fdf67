"""What a node takes as a process: a full ring that is served, asked as gateways and as people ask.

`python -m benchmarks.node_memory 10000 1440` prints resident MiB: with the ring alone, and the peak after each way of
asking for everything. The peak is the process's own, filling the ring included.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import grpc

from benchmarks.ring import STEP_MS, fill, register
from keyviz_grpc.allocator import give_back
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.sampler import Sampler
from keyviz_grpc.server import serve_node

SIDES = (pb.KEYVIZ_SERIES_READS, pb.KEYVIZ_SERIES_WRITES, pb.KEYVIZ_SERIES_READ_BYTES, pb.KEYVIZ_SERIES_WRITE_BYTES)


async def _serve(routes: int, columns: int) -> None:
    clock = SteppedClock(1_700_000_000_000 // STEP_MS * STEP_MS)
    with Sampler(node_id="n1", step_ms=STEP_MS, columns=columns, clock=clock, stall_s=1e9) as sampler:
        register(sampler, routes)
        fill(sampler, clock, routes, columns)
        give_back()
        async with await serve_node(sampler, listen="127.0.0.1:0") as server:
            print(server.address, flush=True)
            await asyncio.to_thread(sys.stdin.read)


def _mib(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(found[1]) // 1024 if found else 0


async def _ask(address: str, callers: int, *, packed: bool) -> int:
    """Everything, by so many at the same moment; bytes of the largest answer."""
    options = [("grpc.max_receive_message_length", -1)]
    asked = [
        pb.GetKeyVizMatrixRequest(
            series=SIDES[n % 4], accept=[pb.MATRIX_ENCODING_COLUMNAR] if packed else [], from_unix_ms=n // 4
        )
        for n in range(callers)
    ]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call: Any = channel.unary_unary(
            "/keyviz.v1.KeyViz/GetKeyVizMatrix", request_serializer=pb.GetKeyVizMatrixRequest.SerializeToString
        )
        return max(map(len, await asyncio.gather(*(call(one, timeout=600) for one in asked))))


async def _measure(routes: int, columns: int) -> None:
    command = (sys.executable, "-m", "benchmarks.node_memory", str(routes), str(columns), "--serve")
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=os.environ
    )
    assert child.stdin is not None
    assert child.stdout is not None
    address = (await child.stdout.readline()).decode().strip()
    print(f"the ring alone: {_mib(child.pid, 'VmRSS')} MiB, {_mib(child.pid, 'VmHWM')} MiB at its peak while it filled")
    for name, callers, packed in (
        ("one gateway", 1, True),
        ("four gateways at once", 4, True),
        ("sixteen gateways at once", 16, True),
        ("one person with grpcurl", 1, False),
    ):
        size = await _ask(address, callers, packed=packed)
        told = f"{_mib(child.pid, 'VmRSS')} MiB, peak {_mib(child.pid, 'VmHWM')} MiB"
        print(f"everything, {name}: {told}; answers of {size / 2**20:.1f} MiB")
    child.stdin.close()
    await child.wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="benchmarks.node_memory", description=__doc__)
    arguments.add_argument("routes", type=int, nargs="?", default=2_000)
    arguments.add_argument("columns", type=int, nargs="?", default=360)
    arguments.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    asyncio.run((_serve if given.serve else _measure)(given.routes, given.columns))
