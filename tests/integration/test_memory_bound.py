"""What a hostile answer, small on the wire, can make an aggregator hold: a process of its own, and its peak memory."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from keyviz_grpc.proto import keyviz_pb2 as pb

TOTAL_BYTES = 64 << 20
MESSAGES = {"rows": 20}
"""Beside the total, times an answer: on its way, decompressed, as a message; 4 in packed form."""

AGGREGATOR = """
import asyncio, json, re, sys
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.outcome import NoUsablePeers
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.query import MatrixQuery

def peak_bytes():  # of this program alone: what getrusage says begins with the peak of whoever started it
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+([0-9]+) kB", status.read())[1]) * 1024

async def main(addresses, total):
    settings = FanoutSettings(timeout_s=20, max_total_bytes=total)
    for address in addresses:
        aggregator = Aggregator(StaticPeers([address], ClientShared()), settings=settings, node_id="agg")
        try:
            kind = str((await aggregator.matrix(MatrixQuery(), Deadline.after(30))).outcomes[0].kind)
        except NoUsablePeers as refused:
            kind = str(refused.outcomes[0].kind)
        await aggregator.close()
        print(json.dumps([kind, peak_bytes()]), flush=True)

asyncio.run(main(sys.argv[2:], int(sys.argv[1])))
"""


def catalogue(rows: int) -> bytes:
    """Of so many buckets."""
    made = [pb.KeyVizRow(bucket_id=f"r{n}", start=b"%06d" % n, end=b"%06d" % (n + 1)) for n in range(rows)]
    return pb.KeyVizCatalogue(rows=made).SerializeToString()


def columnar(rows: int, columns: int, *, width: int, marked: bool = False) -> pb.GetKeyVizMatrixResponse:
    """Nothing but zeros, each of `width` bytes on the wire."""
    return pb.GetKeyVizMatrixResponse(
        column_unix_ms=range(1000, 1000 * (columns + 1), 1000),
        node_id="n1",
        incarnation=1,
        step_ms=1000,
        columnar=pb.KeyVizColumnar(
            version=1,
            catalogue=catalogue(rows),
            widths=bytes([width]) * rows,
            values=bytes(rows * columns * width),
            soft=b"\x01" + bytes(rows * columns // 8 - 1) if marked else b"",
        ),
    )


def in_rows(rows: int, columns: int) -> pb.GetKeyVizMatrixResponse:
    """The same in the form of older nodes."""
    made = [pb.KeyVizRow(bucket_id=f"r{n}", start=b"%06d" % n, end=b"%06d" % (n + 1)) for n in range(rows)]
    for row in made:
        row.values.extend([0] * columns)
    return pb.GetKeyVizMatrixResponse(column_unix_ms=range(1000, 1000 * (columns + 1), 1000), rows=made)


def of_many_rows() -> bytes:
    """A packed form whose catalogue has a million rows of nothing, and ten widths."""
    packed = pb.KeyVizColumnar(version=1, catalogue=b"\x0a\x00" * 1_000_000, widths=b"\x01" * 10, values=bytes(10))
    return pb.GetKeyVizMatrixResponse(column_unix_ms=[1000], node_id="n1", columnar=packed).SerializeToString()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a byte a cell": columnar(4000, 2000, width=1).SerializeToString,
    "no byte a cell": columnar(8000, 6000, width=0, marked=True).SerializeToString,
    "rows": lambda: in_rows(1000, 6000).SerializeToString(),
    "leaves of its own": pb.GetKeyVizMatrixResponse(
        outcomes=[pb.KeyVizOutcome(node_id=f"n{n}", kind=pb.OUTCOME_KIND_OK) for n in range(8)],
        leaf_answers=[pb.LeafAnswer(leaf=n, answer=columnar(1000, 1000, width=1)) for n in range(8)],
    ).SerializeToString,
    "a million empty rows": lambda: b"\x12\x00" * 1_000_000,
    "a million empty warnings": lambda: b"\xba\x01\x80\x89\x7a" + b"\x2a\x00" * 1_000_000,
    "a catalogue of a million empty rows": of_many_rows,
}
TOLD = {"a catalogue of a million empty rows": "malformed"}


@pytest.mark.parametrize("shape", HOSTILE)
async def test_an_aggregator_never_holds_more_than_it_says(shape: str) -> None:
    """The total and a few times the message, whatever comes of it; told as that peer's failure."""
    message = HOSTILE[shape]()
    answers = [columnar(100, 100, width=1).SerializeToString(), message]
    servers, addresses = [], []
    for answer in answers:
        server = grpc.aio.server(compression=grpc.Compression.Gzip)
        server.add_generic_rpc_handlers((_saying(answer),))
        addresses.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
        servers.append(server)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGGREGATOR, str(TOTAL_BYTES), *addresses, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(child.communicate(), 60)
    for server in servers:
        await server.stop(0)
    (well, before), (kind, after) = (json.loads(line) for line in out.splitlines())
    assert (well, kind) == ("None", TOLD.get(shape, "message_too_large"))
    assert after - before < TOTAL_BYTES + MESSAGES.get(shape, 4) * len(message)


def _saying(answer: bytes) -> grpc.GenericRpcHandler:
    async def say(_: bytes, context: object) -> bytes:
        del context
        return answer

    handlers: dict[str, Any] = {"GetKeyVizMatrix": grpc.unary_unary_rpc_method_handler(say)}
    return grpc.method_handlers_generic_handler("keyviz.v1.KeyViz", handlers)
