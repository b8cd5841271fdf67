"""Nodes and aggregators on loopback whose hot keys are asked for."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import httpx

from gateway.app import create_app
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.server import serve_cluster, serve_node
from tests.reference.without_hot_keys import WithoutHotKeys

START_MS = 1_777_290_300_000
STEP_MS = 60_000
STAMP_MS = START_MS + STEP_MS
ON = HotKeysSettings()
HOT = "/admin/api/v1/keyviz/hotkeys"


@dataclass
class House:
    """Nodes and aggregators on loopback, closed in reverse."""

    stack: contextlib.AsyncExitStack
    nodes: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def empty(cls) -> AsyncIterator[Self]:
        """Without any."""
        async with contextlib.AsyncExitStack() as stack:
            yield cls(stack)

    def sampler(self, name: str, hot_keys: HotKeysSettings | None) -> tuple[Sampler, SteppedClock]:
        """A node's sampler at the start of a window, with routes 1 and 2."""
        clock = SteppedClock(START_MS)
        made = Sampler(node_id=name, clock=clock, wall_clock=clock, stall_s=math.inf, hot_keys=hot_keys)
        self.stack.enter_context(made)
        made.register_routes([Route(1, b"", b"m", raft_group_id=1), Route(2, b"m", b"", raft_group_id=2)])
        return made, clock

    async def node(self, writes: dict[bytes, int], *, hot_keys: HotKeysSettings | None = ON, **serving: Any) -> str:
        """The address of a node that counted these writes of route 1 in one window."""
        made, clock = self.sampler(f"n{len(self.nodes)}", hot_keys)
        for key, times in writes.items():
            for _ in range(times):
                made.observe(1, key, Op.WRITE, 10)
        clock.move_to(STAMP_MS)
        made.advance_to(STAMP_MS)
        return await self.serve(made, **serving)

    async def serve(self, source: Sampler | None, **serving: Any) -> str:
        """The address of its server."""
        server = await serve_node(source, listen="127.0.0.1:0", **serving)
        self.stack.push_async_callback(server.drain, 0.1)
        self.nodes.append(server.address)
        return server.address

    async def older(self) -> str:
        """A node of a version that has no GetHotKeys."""
        server = grpc.aio.server()
        rpc.add_KeyVizServicer_to_server(Older(), server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        self.stack.push_async_callback(server.stop, None)
        return address

    def aggregator(
        self,
        peers: Sequence[str],
        name: str = "gw",
        *,
        local: Sampler | None = None,
        max_message_bytes: int = 64 << 20,
        max_total_bytes: int = 2 << 30,
        **shared: Any,
    ) -> Aggregator:
        """One that is asked in this process."""
        made = Aggregator(
            StaticPeers(peers, ClientShared(max_message_bytes=max_message_bytes, **shared)),
            settings=FanoutSettings(timeout_s=5, max_message_bytes=max_message_bytes, max_total_bytes=max_total_bytes),
            node_id=name,
            local=local,
            wall_clock=lambda: STAMP_MS / 1000,
        )
        self.stack.push_async_callback(made.close)
        return made

    async def above(self, peers: Sequence[str], name: str) -> str:
        """The address of one that others ask."""
        server = await serve_cluster(self.aggregator(peers, name), listen="127.0.0.1:0")
        self.stack.push_async_callback(server.drain, 0.1)
        return server.address


class Older(WithoutHotKeys, rpc.KeyVizServicer):
    """Has the other two methods."""

    async def GetKeyVizMatrix(self, request: Any, context: Any) -> pb.GetKeyVizMatrixResponse:  # noqa: N802
        """Nothing."""
        return pb.GetKeyVizMatrixResponse(node_id="old")

    async def GetClusterOverview(self, request: Any, context: Any) -> pb.GetClusterOverviewResponse:  # noqa: N802
        """Its name."""
        return pb.GetClusterOverviewResponse(self=pb.NodeIdentity(node_id="old"))


async def ask(aggregator: Aggregator, route_id: int = 1, **query: Any) -> HotKeysAnswer:
    """With time enough."""
    return await aggregator.hot_keys(HotKeysQuery(route_id, **query), Deadline.after(10))


def counts(answer: HotKeysAnswer) -> dict[bytes, int]:
    """In the answer's order."""
    return {item.key: item.count for item in answer.keys}


async def over_http(aggregator: Aggregator, status: int = 200, **params: object) -> dict[str, Any]:
    """The body of an answer about route 1 with that status."""
    transport = httpx.ASGITransport(app=create_app(aggregator))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        response = await client.get(HOT, params={"route_id": "1", **{k: str(v) for k, v in params.items()}})
    body: dict[str, Any] = response.json()
    assert response.status_code == status, body
    return body


async def call(address: str, request: pb.GetHotKeysRequest, path: str = "keyviz.v1.KeyViz") -> pb.GetHotKeysResponse:
    """One call."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = rpc.KeyVizStub(channel) if path != "Admin" else admin_pb2_grpc.AdminStub(channel)
        return await stub.GetHotKeys(request)
