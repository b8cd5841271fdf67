"""Nodes of other makes and manners, each as a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from keyviz_grpc.codec import encode_answer
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.service import NodeServicer
from tests.integration.faults import Scripted
from tests.integration.guarded import ANSWERS, Guarded, Prepared
from tests.reference.without_hot_keys import WithoutHotKeys


async def served(house: Guarded, register: Callable[[grpc.aio.Server], object], listen: str = "127.0.0.1:0") -> str:
    """The address of a plain server with what `register` puts into it; it ends with the house."""
    server = grpc.aio.server()
    register(server)
    address = f"{listen.rpartition(':')[0]}:{server.add_insecure_port(listen)}"
    await server.start()
    house.stack.push_async_callback(server.stop, 0)
    return address


async def serving(
    house: Guarded, interceptor: grpc.aio.ServerInterceptor, credentials: grpc.ServerCredentials | None = None
) -> str:
    """The address of a node that tells an interceptor of every call."""
    threads = ThreadPoolExecutor(1)
    house.stack.callback(threads.shutdown)
    server = grpc.aio.server(interceptors=[interceptor])
    rpc.add_KeyVizServicer_to_server(NodeServicer(Prepared(ANSWERS[0]), threads), server)
    where = "127.0.0.1:0"
    port = server.add_insecure_port(where) if credentials is None else server.add_secure_port(where, credentials)
    await server.start()
    house.stack.push_async_callback(server.stop, 0)
    return f"127.0.0.1:{port}"


class Holding(Scripted):
    """Keeps callers until they are let go, or until they leave."""

    def __init__(self) -> None:
        super().__init__(self._hold)
        self.calls = self.left = 0
        self.entered, self.go, self.gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def _hold(self, _: Any) -> pb.GetKeyVizMatrixResponse:
        self.calls += 1
        self.entered.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.left += 1
            self.gone.set()
            raise
        return encode_answer(ANSWERS[0])


async def holding(house: Guarded, listen: str = "127.0.0.1:0") -> tuple[Holding, str]:
    """Such a node."""
    servicer = Holding()
    address = await served(house, lambda server: rpc.add_KeyVizServicer_to_server(servicer, server), listen)
    house.stack.callback(servicer.go.set)
    return servicer, address


class Older(WithoutHotKeys, admin_pb2_grpc.AdminServicer):
    """Only what existing nodes have."""

    async def GetKeyVizMatrix(self, request: Any, context: Any) -> pb.GetKeyVizMatrixResponse:  # noqa: N802
        """In rows."""
        return encode_answer(ANSWERS[0])

    async def GetClusterOverview(self, request: Any, context: Any) -> pb.GetClusterOverviewResponse:  # noqa: N802
        """Its name."""
        return pb.GetClusterOverviewResponse(self=pb.NodeIdentity(node_id=ANSWERS[0].node_id))


class Noting(grpc.aio.ServerInterceptor):
    """Which methods were called, the ones that are not there too."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """See grpc.aio.ServerInterceptor."""
        self.methods.append(handler_call_details.method)
        return await continuation(handler_call_details)
