"""Whole requests over HTTP against the floor: the same bytes answered canned, received raw, and one JSON encoding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import numpy as np
import orjson

from benchmarks.measure import Result, compare, in_turn
from benchmarks.synthetic import Shape, cluster
from gateway.app import create_app
from gateway.serving import address_of, bind, http_server
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.outcome import Answer, Member, Overview
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_node

CASES = [
    (Shape(3, 1024, 60), "<= 1.8"),
    (Shape(3, 1024, 60, flips=False, divergent=False, conflict_share=0.0), "<= 1.8"),
    (Shape(3, 1024, 500), "<= 1.8"),
    (Shape(16, 1024, 60), "<= 2.0"),
    (Shape(3, 10_000, 60), "<= 2.8"),
]


@dataclass
class _Prepared:
    answer: Answer

    def matrix(self, query: MatrixQuery) -> Answer:
        """The answer; a node's own cost is not what is measured here."""
        del query
        return self.answer

    def overview(self) -> Overview:
        """Its name."""
        return Overview(Member(self.answer.node_id, ""))


async def whole_requests(*, quick: bool) -> list[Result]:
    """Every case; nodes and gateway share this process, in the floor alike."""
    rows: list[Result] = []
    for shape, target in CASES[:2] if quick else CASES:
        rows += await _case(shape, target, samples=25 if quick else 60)
    return rows


async def _case(shape: Shape, target: str, *, samples: int) -> list[Result]:
    answers = cluster(shape)
    async with AsyncExitStack() as stack:
        addresses: list[str] = []
        for answer in answers:
            node = await stack.enter_async_context(await serve_node(_Prepared(answer), listen="127.0.0.1:0"))
            addresses.append(node.address)
        aggregator = Aggregator(
            StaticPeers(addresses, ClientShared()), settings=FanoutSettings(timeout_s=30), node_id="bench"
        )
        stack.push_async_callback(aggregator.close)
        listener = bind("127.0.0.1:0")
        stack.callback(listener.close)
        await stack.enter_async_context(http_server(create_app(aggregator), listener))
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))
        url = f"http://{address_of(listener)}/admin/api/v1/keyviz/matrix"

        async def ours() -> None:
            answer = await client.get(url, headers={"accept-encoding": "identity"})
            if answer.status_code != 200:
                raise RuntimeError(answer.text)

        floor = await _floor(stack, answers, shape)
        pair = await in_turn(ours, floor, samples=samples)
    name = shape.name + (", flips, conflicts, catalogues that differ" if shape.flips else ", equal nodes")
    return compare(name, *pair, target=target)


async def _floor(stack: AsyncExitStack, answers: list[Answer], shape: Shape) -> Callable[[], Awaitable[None]]:
    calls: list[Any] = []
    for answer in answers:
        raw = encode_answer(answer, accept=(pb.MATRIX_ENCODING_COLUMNAR,)).SerializeToString()

        async def canned(request: Any, context: Any, raw: bytes = raw) -> bytes:
            del request, context
            return raw

        server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_send_message_length", -1)])
        handler: Any = grpc.unary_unary_rpc_method_handler(canned)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("floor", {"Get": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        options = [("grpc.max_receive_message_length", -1)]
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
        stack.push_async_callback(channel.close)
        calls.append(channel.unary_unary("/floor/Get", response_deserializer=None))
    count = min(shape.rows, 1024)
    matrix = np.ascontiguousarray(answers[0].matrix.values[:count])
    rows = [
        {"bucket_id": f"route:{n}", "values": matrix[n], "raft_group_ids": matrix[n], "leader_terms": matrix[n]}
        for n in range(len(matrix))
    ]

    async def floor() -> None:
        await asyncio.gather(*(call(b"") for call in calls))
        orjson.dumps({"rows": rows}, option=orjson.OPT_SERIALIZE_NUMPY)

    return floor
