"""What no implementation in this stack can beat: canned bytes received raw from every node, then one JSON encoding."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson

from benchmarks.children import options, say, used
from keyviz_grpc.allocator import keep_freed_memory
from keyviz_grpc.garbage import collect_rarely

CALLER_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
]
"""Of a channel, as far as they are what a call costs; those of our own gateway say the same."""

ARRAYS = {
    "column_unix_ms": np.int64,
    "column_nodes": np.int64,
    "values": np.uint64,
    "raft_group_ids": np.uint64,
    "leader_terms": np.uint64,
    "conflicts": np.bool_,
    "soft": np.bool_,
}


def ready(body: bytes) -> dict[str, Any]:
    """The answer as whoever had nothing left to do would hold it: every list of numbers an array."""
    answer: dict[str, Any] = orjson.loads(body)
    for holder in (answer, *answer["rows"]):
        for name, kind in ARRAYS.items():
            if name in holder:
                holder[name] = np.array(holder[name], kind)
    return answer


def encoded(answer: dict[str, Any]) -> bytes:
    """A ready answer as JSON, by the fastest way known here."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


async def _serve(canned: list[str], body_path: str) -> None:
    raw_body = await asyncio.to_thread(Path(body_path).read_bytes)
    answer = ready(raw_body)
    channels = [grpc.aio.insecure_channel(address, options=CALLER_OPTIONS) for address in canned]
    calls: list[Any] = [c.unary_unary("/floor/GetKeyVizMatrix", response_deserializer=None) for c in channels]
    say(bytes=len(raw_body))
    while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if command == "used":
            say(**used())
            continue
        began = time.perf_counter()
        await asyncio.gather(*(call(b"") for call in calls))
        received = time.perf_counter()
        encoded(answer)
        ended = time.perf_counter()
        say(ms=(ended - began) * 1000, json_ms=(ended - received) * 1000)
    for channel in channels:
        await channel.close()


def main() -> None:
    """Until the parent closes its end."""
    keep_freed_memory()
    collect_rarely()
    given = options()
    asyncio.run(_serve(given["canned"], given["body"]))


if __name__ == "__main__":
    main()
