"""`python -m tests.integration.hot_keys_flood on|off KEYS ROUTES`: floods one node with random keys, and asks it.

Prints one JSON object: peak_bytes of the whole process, asked and answered calls, and what the last answer said.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler
from keyviz_grpc.server import serve_node

MEMORY_BYTES: Final = 64 << 20
BATCH: Final = 20_000
KEY_BYTES: Final = 32
STEP_MS: Final = 1000
BATCHES_A_WINDOW: Final = 5
LONG_KEY: Final = b"x" * (1 << 20)


def feed(sampler: Sampler, clock: SteppedClock, keys: int, routes: int) -> None:
    """All keys are random and differ; each batch also has a key of 1 MB, and 100 operations on a hot key of route 1."""
    rng = np.random.default_rng(3)
    offsets = np.arange(BATCH + 1) * KEY_BYTES
    writes, sizes = np.ones(BATCH, np.uint8), np.full(BATCH, 100)
    for number in range(keys // BATCH):
        data = np.frombuffer(os.urandom(BATCH * KEY_BYTES), np.uint8)
        ids = rng.integers(1, routes + 1, BATCH).astype(np.uint64)
        at = np.full(BATCH, clock.unix_ms)
        sampler.observe_many(ids, PackedKeys(data, offsets), writes, sizes, at_unix_ms=at)
        for _ in range(100):
            sampler.observe(1, b"hot", Op.WRITE, 1)
        sampler.observe(1, LONG_KEY, Op.WRITE, 1)
        if number % BATCHES_A_WINDOW == BATCHES_A_WINDOW - 1:
            clock.move_to(clock.unix_ms + STEP_MS)
            sampler.advance_to(clock.unix_ms)


async def ask_until(address: str, done: threading.Event) -> tuple[int, int]:
    """(calls, answers): asks for route after route, each within 10 s, while the flood lasts."""
    asked = answered = 0
    async with grpc.aio.insecure_channel(address) as channel:
        stub = rpc.KeyVizStub(channel)
        while not done.is_set():
            asked += 1
            try:
                await stub.GetHotKeys(pb.GetHotKeysRequest(route_id=asked % 100 + 1, via=["flood"]), timeout=10)
                answered += 1
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or "hotkeys_disabled" not in str(error.details()):
                    raise
            await asyncio.sleep(0.05)
    return asked, answered


async def flood(*, hot: bool, keys: int, routes: int) -> dict[str, Any]:
    """Feeds from a thread, asks from the loop."""
    clock = SteppedClock(1_777_290_300_000)
    settings = HotKeysSettings(memory_bytes=MEMORY_BYTES) if hot else None
    done = threading.Event()
    with Sampler(
        node_id="n1", step_ms=STEP_MS, columns=60, clock=clock, stall_s=math.inf, hot_keys=settings
    ) as sampler:
        sampler.register_routes([Route(n, b"%06d" % n, b"%06d" % (n + 1), n % 10 + 1) for n in range(1, routes + 1)])
        async with await serve_node(sampler, listen="127.0.0.1:0") as node:
            asking = asyncio.create_task(ask_until(node.address, done))
            await asyncio.to_thread(feed, sampler, clock, keys, routes)
            done.set()
            asked, answered = await asking
            told: dict[str, Any] = {}
            if hot:
                async with grpc.aio.insecure_channel(node.address) as channel:
                    answer = await rpc.KeyVizStub(channel).GetHotKeys(
                        pb.GetHotKeysRequest(route_id=1, top=1), timeout=10
                    )
                told = {
                    "hottest": answer.keys[0].key.decode("latin-1"),
                    "lower": answer.keys[0].lower,
                    "upper": answer.keys[0].upper,
                    "dropped": answer.dropped_samples,
                    "skipped": answer.skipped_long_keys,
                    "windows": (answer.newest_unix_ms - answer.oldest_unix_ms) // STEP_MS + 1,
                }
    return {"peak_bytes": peak_bytes(), "asked": asked, "answered": answered, **told}


def peak_bytes() -> int:
    """The most memory that this process ever had, as the kernel counts it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(flood(hot=sys.argv[1] == "on", keys=int(sys.argv[2]), routes=int(sys.argv[3])))))  # noqa: T201
