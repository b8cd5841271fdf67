"""Nodes that know our questions by their older name alone, until they are upgraded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.client import ClientShared, PeerClient
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.connection import Connection, Status
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.service import NodeServicer
from tests.integration.guarded import ANSWERS, Guarded, Prepared, outcomes
from tests.integration.odd_nodes import Noting, Older, served

LONG_S = 30.0


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Credentials on both hops."""
    async with contextlib.AsyncExitStack() as stack:
        yield Guarded(tmp_path, stack)


async def ask(client: PeerClient) -> Answer | Outcome:
    """One call with room for its answer."""
    return await client.matrix(MatrixQuery(), Deadline.after(LONG_S), BytesBudget(1 << 30))


async def test_the_older_name_is_remembered_until_the_connection_is_lost(house: Guarded) -> None:
    """UNIMPLEMENTED is found out once a connection; after an upgrade on the same port the new name is used."""
    noting, server = Noting(), None
    server = grpc.aio.server(interceptors=[noting], options=[("grpc.so_reuseport", 0)])
    admin_pb2_grpc.add_AdminServicer_to_server(Older(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    gateway = await house.gateway(address)
    for _ in range(3):
        assert outcomes(await gateway.ask()) == [(True, "")]
    assert noting.methods.count("/keyviz.v1.KeyViz/GetKeyVizMatrix") == 1
    assert noting.methods.count("/Admin/GetKeyVizMatrix") == 3
    await server.stop(0)
    upgraded = Noting()
    threads = ThreadPoolExecutor(1)
    house.stack.callback(threads.shutdown)
    newer = grpc.aio.server(interceptors=[upgraded], options=[("grpc.so_reuseport", 0)])
    servicer = NodeServicer(Prepared(ANSWERS[0]), threads)
    rpc.add_KeyVizServicer_to_server(servicer, newer)
    admin_pb2_grpc.add_AdminServicer_to_server(servicer, newer)
    newer.add_insecure_port(address)
    await newer.start()
    house.stack.push_async_callback(newer.stop, 0)
    body = await gateway.whole_within(1)
    assert set(upgraded.methods) == {"/keyviz.v1.KeyViz/GetKeyVizMatrix"}
    assert body["step_ms"] == ANSWERS[0].step_ms


async def test_an_older_name_is_not_remembered_where_there_was_no_time_to_ask_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The peer may as well have neither."""
    asked: list[str] = []

    async def call(_: object, path: str, request: bytes, left_s: float) -> Status:
        del request, left_s
        asked.append(path.split("/")[1])
        if asked[-1] == "Admin":
            return Status("", "no answer in time", kind=FailureKind.DEADLINE_EXCEEDED)
        return Status("UNIMPLEMENTED", "")

    monkeypatch.setattr(Connection, "call", call)
    client = PeerClient("127.0.0.1:1", ClientShared())
    for _ in range(2):
        found = await ask(client)
        assert isinstance(found, Outcome)
        assert found.kind is FailureKind.DEADLINE_EXCEEDED
    assert asked == ["keyviz.v1.KeyViz", "Admin"] * 2
    await client.close()


async def test_two_questions_at_once_find_out_the_older_name_each_for_itself(house: Guarded) -> None:
    """The one that is told later that there is no such method asks under the older name, as the first one did."""
    held, go = asyncio.Event(), asyncio.Event()

    class Holding(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            if not held.is_set() and handler_call_details.method.startswith("/keyviz.v1."):
                held.set()
                await go.wait()
            return await continuation(handler_call_details)

    server = grpc.aio.server(interceptors=[Holding()])
    admin_pb2_grpc.add_AdminServicer_to_server(Older(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    house.stack.push_async_callback(server.stop, 0)
    client = PeerClient(address, house.shared())
    house.stack.push_async_callback(client.close)
    first = asyncio.create_task(ask(client))
    await held.wait()
    assert isinstance(await ask(client), Answer)
    go.set()
    answer = await first
    assert isinstance(answer, Answer), answer


async def test_an_older_node_that_is_slow_to_say_its_name_is_asked_again(house: Guarded) -> None:
    """Once it has answered that, or has no such method, it is not asked any more."""

    class Slow(Older):
        asked = 0

        async def GetKeyVizMatrix(self, request: Any, context: Any) -> pb.GetKeyVizMatrixResponse:  # noqa: N802
            message = encode_answer(ANSWERS[0])
            for field in ("node_id", "incarnation", "history"):
                message.ClearField(field)
            return message

        async def GetClusterOverview(self, request: Any, context: Any) -> pb.GetClusterOverviewResponse:  # noqa: N802
            Slow.asked += 1
            if Slow.asked == 1:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "not now")
            return await super().GetClusterOverview(request, context)

    address = await served(house, lambda server: admin_pb2_grpc.add_AdminServicer_to_server(Slow(), server))
    client = PeerClient(address, ClientShared())
    answers = [await ask(client) for _ in range(3)]
    await client.close()
    assert [answer.outcomes[0].node_id for answer in answers if isinstance(answer, Answer)] == [
        "",
        ANSWERS[0].node_id,
        ANSWERS[0].node_id,
    ]
    assert Slow.asked == 2
