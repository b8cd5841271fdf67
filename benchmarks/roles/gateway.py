"""The gateway of a benchmark: the parts that `keyviz-gateway` wires, and a ticker that sees its loop stall."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.children import options, say, used
from gateway.app import create_app
from gateway.serving import http_server
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.allocator import keep_freed_memory
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.garbage import collect_rarely
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.remembered import Shelf

TICK_S = 0.002


class _Ticker:
    """Wakes up every few milliseconds while it runs; the longest it was late is the loop's longest stall."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._longest_s = 0.0

    async def switch(self) -> dict[str, Any]:
        """Off to on, on to off; says the longest stall since it was switched on."""
        if self._task is None:
            self._longest_s = 0.0
            self._task = asyncio.create_task(self._tick())
            return {}
        self._task.cancel()
        self._task = None
        return {"stall_ms": self._longest_s * 1000}

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self._longest_s = max(self._longest_s, time.perf_counter() - due)


async def _serve(peers: list[str], remember_bytes: int) -> None:
    shelf = Shelf(remember_bytes) if remember_bytes else None
    async with AsyncExitStack() as stack:
        aggregator = Aggregator(
            StaticPeers(peers, ClientShared(remembered=shelf)),
            settings=FanoutSettings(timeout_s=30),
            node_id="bench",
            remembered=shelf,
        )
        stack.push_async_callback(aggregator.close)
        listener = bind("127.0.0.1:0")
        stack.callback(listener.close)
        await stack.enter_async_context(http_server(create_app(aggregator, remembered=shelf), listener))
        say(address=address_of(listener))
        ticker = _Ticker()
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            say(**(await ticker.switch() if command == "tick" else used()))


def main() -> None:
    """Until the parent closes its end."""
    keep_freed_memory()
    collect_rarely()
    given = options()
    asyncio.run(_serve(given["peers"], given.get("remember", 0)))


if __name__ == "__main__":
    main()
