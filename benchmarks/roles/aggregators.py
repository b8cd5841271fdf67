"""Aggregators between nodes and gateway, several in one process, each with a gRPC port of its own."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

from benchmarks.children import options, say
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.allocator import keep_freed_memory
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.garbage import collect_rarely
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.server import serve_cluster


async def _serve(groups: list[list[str]], first: int) -> None:
    async with AsyncExitStack() as stack:
        addresses = []
        for number, peers in enumerate(groups, first):
            membership = StaticPeers(peers, ClientShared())
            aggregator = Aggregator(membership, settings=FanoutSettings(timeout_s=30), node_id=f"middle-{number}")
            stack.push_async_callback(aggregator.close)
            server = await stack.enter_async_context(await serve_cluster(aggregator, listen="127.0.0.1:0"))
            addresses.append(server.address)
        say(addresses=addresses)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Until the parent closes its end."""
    keep_freed_memory()
    collect_rarely()
    given = options()
    asyncio.run(_serve(given["groups"], given["first"]))


if __name__ == "__main__":
    main()
