"""Nodes that say nothing of themselves with an answer, behind the gateway."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx

from gateway.app import create_app
from gateway.serving import http_server
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from tests.reference.without_hot_keys import WithoutHotKeys

STAMPS = (60_000, 120_000)


class OlderNode(WithoutHotKeys, admin_pb2_grpc.AdminServicer):
    """Speaks the first fifteen fields under /Admin/ alone, and names itself only when asked."""

    def __init__(self, node_id: str, reads: int) -> None:
        self._node_id, self._reads = node_id, reads

    async def GetKeyVizMatrix(self, request: Any, context: Any) -> pb.GetKeyVizMatrixResponse:  # noqa: N802
        """A route and an aggregate whose id means something here only."""
        route = pb.KeyVizRow(bucket_id="route:1", end=b"m", values=[self._reads] * 2)
        rest = pb.KeyVizRow(
            bucket_id=f"virtual:{self._reads}",
            start=b"m",
            aggregate=True,
            route_ids=[2, 3],
            route_count=2,
            values=[1, 1],
        )
        return pb.GetKeyVizMatrixResponse(column_unix_ms=STAMPS, rows=[route, rest])

    async def GetClusterOverview(self, request: Any, context: Any) -> pb.GetClusterOverviewResponse:  # noqa: N802
        """Who it is."""
        return pb.GetClusterOverviewResponse(self=pb.NodeIdentity(node_id=self._node_id))


@contextlib.asynccontextmanager
async def older_cluster() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway over two older nodes."""
    async with contextlib.AsyncExitStack() as stack:
        addresses = []
        for node_id, reads in (("old1", 10), ("old2", 5)):
            server = grpc.aio.server()
            admin_pb2_grpc.add_AdminServicer_to_server(OlderNode(node_id, reads), server)
            addresses.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
            await server.start()
            stack.push_async_callback(server.stop, None)
        peers = StaticPeers(addresses, ClientShared())
        aggregator = Aggregator(peers, settings=FanoutSettings(), node_id="gateway")
        stack.push_async_callback(aggregator.close)
        listener = stack.enter_context(contextlib.closing(bind("127.0.0.1:0")))
        await stack.enter_async_context(http_server(create_app(aggregator), listener, grace_s=2))
        url = f"http://{address_of(listener)}/admin/api/v1/keyviz/"
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))


async def test_every_request_is_answered_like_the_first() -> None:
    """Aggregates of equal ranges join under one id before and after it is known who says what."""
    async with older_cluster() as client:
        bodies = [(await client.get("matrix", params={"series": "reads"})).json() for _ in range(3)]
    assert [node["node_id"] for node in bodies[0]["fanout"]["nodes"]] == ["old1", "old2"]
    for body in bodies:
        assert [row["values"] for row in body["rows"]] == [[15, 15], [2, 2]]
        assert body["rows"] == bodies[0]["rows"]
        assert [node["node_id"] for node in body["fanout"]["nodes"]] == ["old1", "old2"]


async def test_one_older_node_alone() -> None:
    """node= knows it by the name that it gave when it was asked."""
    async with older_cluster() as client:
        for _ in range(2):
            body = (await client.get("matrix", params={"series": "reads", "node": "old2"})).json()
            assert [row["values"] for row in body["rows"]] == [[5, 5], [1, 1]]
        refused = await client.get("matrix", params={"node": "old3"})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_query")
