"""`python -m tests.integration.hot_keys_range WINDOWS KEYS`: asks one node for all windows, none with keys of another.

Prints one JSON object: bytes held, by how much the peak of the whole process grew while several asked at once, the
longest that its loop was away meanwhile, and what the answer said.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from typing import Any, Final

import grpc

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.sampler import Route, Sampler
from keyviz_grpc.server import serve_node
from tests.integration.hot_keys_flood import peak_bytes

STEP_MS: Final = 1000
START_MS: Final = 1_777_290_300_000
HOT: Final = b"hot"


def fill(sampler: Sampler, clock: SteppedClock, windows: int, keys: int) -> None:
    """Each window has the hot key, and as many others of 32 bytes, in no order, as its sketch can tell apart."""
    for window in range(windows):
        own = [b"%08x-%06d" % (number * 2654435761 % 2**32, window) for number in range(keys - 1)]
        batch = [HOT, *(key.ljust(32, b".") for key in own)]
        ones = [1] * keys
        sampler.observe_many(ones, batch, ones, ones, at_unix_ms=[clock.unix_ms] * keys)
        clock.move_to(clock.unix_ms + STEP_MS)
        sampler.advance_to(clock.unix_ms)


async def longest_s(until: asyncio.Future[Any]) -> float:
    """The longest time that the loop was away."""
    longest = 0.0
    while not until.done():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - began)
    return longest


async def asked(windows: int, keys: int, callers: int = 3) -> dict[str, Any]:
    """First for one window, so that what any call takes is there already, then for all by several callers."""
    clock = SteppedClock(START_MS)
    with Sampler(
        node_id="n1", step_ms=STEP_MS, columns=60, clock=clock, stall_s=math.inf, hot_keys=HotKeysSettings()
    ) as sampler:
        sampler.register_routes([Route(1, b"", b"")])
        fill(sampler, clock, windows, keys)
        stats = sampler.stats().hot_keys
        async with (
            await serve_node(sampler, listen="127.0.0.1:0") as node,
            grpc.aio.insecure_channel(node.address) as channel,
        ):
            stub = rpc.KeyVizStub(channel)
            await stub.GetHotKeys(pb.GetHotKeysRequest(route_id=1, from_unix_ms=clock.unix_ms), timeout=60)
            before = peak_bytes()
            everything = pb.GetHotKeysRequest(route_id=1, top=20)
            calls = asyncio.gather(*(stub.GetHotKeys(everything, timeout=60) for _ in range(callers)))
            away_s = await longest_s(calls)
            answer = (await calls)[0]
    return {
        "held_bytes": 0 if stats is None else stats.closed_bytes,
        "grown_bytes": peak_bytes() - before,
        "away_ms": round(1000 * away_s),
        "hottest": answer.keys[0].key.decode("latin-1"),
        "lower": answer.keys[0].lower,
        "upper": answer.keys[0].upper,
        "error_bound": answer.error_bound,
        "sampled_n": answer.sampled_n,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(asked(int(sys.argv[1]), int(sys.argv[2])))))  # noqa: T201
