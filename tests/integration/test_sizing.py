"""How `--max-total` is sized, as docs/production.md says, and what is told where it is too little."""

from __future__ import annotations

import contextlib

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.outcome import Answer
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_node
from tests.integration.guarded import Prepared

NODES, ROUTES, COLUMNS = 16, 300, 200
ANSWERS = cluster(Shape(NODES, ROUTES, COLUMNS, conflict_share=0.0, divergent=False))


async def asked(total_bytes: int) -> Answer:
    """What sixteen nodes are together where one request may hold so much."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(await serve_node(Prepared(one), listen="127.0.0.1:0")) for one in ANSWERS
        ]
        settings = FanoutSettings(timeout_s=30, max_total_bytes=total_bytes)
        peers = StaticPeers([node.address for node in nodes], ClientShared())
        aggregator = Aggregator(peers, settings=settings, node_id="a")
        stack.push_async_callback(aggregator.close)
        return await aggregator.matrix(MatrixQuery(rows=100), Deadline.after(60))


async def test_what_the_page_says_is_enough_and_not_much_more() -> None:
    """All nodes of a large cluster fit; with two thirds of it some do not, and say which flag to raise or what else."""
    messages = sum(encode_answer(one, accept=(pb.MATRIX_ENCODING_COLUMNAR,)).ByteSize() for one in ANSWERS)
    cells = ROUTES * COLUMNS
    needed = NODES * (16 * cells + 512 * ROUTES) + messages + 24 * cells
    assert (await asked(needed)).responded == NODES
    answer = await asked(needed * 2 // 3)
    assert 0 < answer.responded < NODES
    for outcome in answer.outcomes:
        if not outcome.ok:
            assert outcome.kind == "message_too_large"
            assert outcome.detail.endswith("ask for a shorter range, or raise --max-total")
