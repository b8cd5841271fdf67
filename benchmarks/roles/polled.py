"""Nodes with samplers of their own, which count a window more of synthetic traffic when told to."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import replace

from benchmarks.children import options, say, used
from benchmarks.counted import Counted
from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.server import serve_node

BEFORE = 400
"""Windows counted before those that are asked for, after which every node has counted in every row that it ever does:
a row says what was ever counted in it.
"""


async def _serve(nodes: list[Counted]) -> None:
    async with AsyncExitStack() as stack:
        for node in nodes:
            stack.callback(node.sampler.close)
        servers = [
            await stack.enter_async_context(await serve_node(node.sampler, listen="127.0.0.1:0")) for node in nodes
        ]
        say(addresses=[server.address for server in servers])
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if command == "step":
                for node in nodes:
                    node.step()
            say(**used())


def main() -> None:
    """Until the parent closes its end."""
    given = options()
    shape = Shape.from_plain(given["shape"])
    longer = replace(shape, columns=BEFORE + shape.columns + given["steps"])
    answers = cluster(longer, now_unix_ms=given["now_unix_ms"], only=given["numbers"])
    asyncio.run(_serve([Counted(answer, shape.columns, before=BEFORE) for answer in answers]))


if __name__ == "__main__":
    main()
