"""What lasts from call to call, and what ends: restarts, remembered paths, closed channels, callers that leave."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from weakref import ref

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.client import ClientShared, PeerClient
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.hotkeys import HotKeysQuery
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import ServerSettings
from tests.integration.faults import serve_scripted
from tests.integration.guarded import ANSWERS, Guarded, Prepared, outcomes, picture
from tests.integration.odd_nodes import Older, holding, served

LONG_S = 30.0
ASKING = re.compile(r"Aggregator\.|MatrixFanout\.")
"""What the tasks of a fan-out run."""


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Credentials on both hops."""
    async with contextlib.AsyncExitStack() as stack:
        yield Guarded(tmp_path, stack)


async def ask(client: PeerClient, timeout_s: float = LONG_S) -> Answer | Outcome:
    """One call with room for its answer."""
    return await client.matrix(MatrixQuery(), Deadline.after(timeout_s), BytesBudget(1 << 30))


class Bad:
    """Credentials that cannot be had."""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """An error of our own."""
        raise RuntimeError("boom")


async def test_an_error_of_our_own_is_a_failure_of_that_peer_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Whichever of the three questions it was; the log has the rest."""
    client = PeerClient("127.0.0.1:1", ClientShared(credentials=Bad()))
    deadline, budget = Deadline.after(LONG_S), BytesBudget(1 << 30)
    for found in (
        await client.matrix(MatrixQuery(), deadline, budget),
        await client.overview(deadline),
        await client.hot_keys(HotKeysQuery(route_id=1), deadline, budget),
    ):
        assert isinstance(found, Outcome)
        assert (found.kind, "boom" in found.detail) == ("internal", False)
    assert caplog.text.count("asking a peer failed") == 3
    await client.close()


async def test_a_node_that_restarts_between_two_calls_is_not_missed(house: Guarded) -> None:
    """On the same port, five times, and with other numbers: the next request has what it says now."""
    others = [await house.node(0), await house.node(1)]
    node = await house.node(2)
    gateway = await house.gateway(*(other.address for other in others), node.address)
    before = picture(await gateway.ask())
    for _ in range(5):
        await node.drain(0)
        node = await house.node(2, node.address)
        assert picture(await gateway.ask()) == before
    await node.drain(0)
    await house.node(1, node.address)
    body = await gateway.ask()
    assert "duplicate_node" in [warning["code"] for warning in body["fanout"]["nodes"][2]["warnings"]]


async def test_a_connection_that_ended_while_it_was_idle_is_nothing_to_the_next_request(house: Guarded) -> None:
    """Its node renews it by age, or ends it for any reason of its own; nobody asks meanwhile."""
    node = await house.node(0, settings=ServerSettings(max_connection_age_s=0.2, connection_grace_s=0.1))
    client = PeerClient(node.address, house.shared())
    house.stack.push_async_callback(client.close)
    for _ in range(3):
        answer = await ask(client, 2.0)
        assert isinstance(answer, Answer), answer
        async with asyncio.timeout(30):
            while client._connection.is_ready:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.02)


class Listing(Older):
    """Knows from which connections it was asked."""

    def __init__(self) -> None:
        self.callers: set[str] = set()

    async def GetKeyVizMatrix(self, request: Any, context: Any) -> pb.GetKeyVizMatrixResponse:  # noqa: N802
        """In rows."""
        self.callers.add(context.peer())
        return await super().GetKeyVizMatrix(request, context)


async def test_questions_are_answered_while_a_node_renews_its_connections(house: Guarded) -> None:
    """Those that it did not look at any more are asked again, several at once too."""
    server, node = grpc.aio.server(options=[("grpc.max_connection_age_ms", 100)]), Listing()
    admin_pb2_grpc.add_AdminServicer_to_server(node, server)
    client = PeerClient(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", ClientShared())
    await server.start()
    house.stack.push_async_callback(server.stop, 0)
    house.stack.push_async_callback(client.close)
    async with asyncio.timeout(LONG_S):
        while len(node.callers) < 12:
            told = await asyncio.gather(*(ask(client) for _ in range(4)))
            assert all(isinstance(answer, Answer) for answer in told), told


def waits_ms(port: int) -> list[int]:
    """Of each of this process's own ends of connections to that port: how long it waits for an acknowledgement."""
    found = []
    for file in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(file.name))) as one:
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.getpeername()[1] == port:
                found.append(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return found


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux tells how long it waits")
async def test_a_network_that_drops_without_a_word_is_given_up_in_seconds(house: Guarded) -> None:
    """A connection that it has forgotten, or that outlasted a partition, would be tried on for a quarter of an hour."""
    node = await house.node(0)
    gateway = await house.gateway(node.address)
    assert outcomes(await gateway.ask()) == [(True, "")]
    assert waits_ms(int(node.address.rpartition(":")[2])) == [3000]


async def test_a_channel_closed_in_mid_call_is_a_failure_and_not_a_cancellation(house: Guarded) -> None:
    """Whoever waits is told `unreachable`; a real cancellation of the waiting task stays one."""
    node, address = await holding(house)
    client = PeerClient(address, house.shared())
    waiting = asyncio.create_task(ask(client))
    await asyncio.wait_for(node.entered.wait(), 10)
    await client.close()
    told = await asyncio.wait_for(waiting, 10)
    assert isinstance(told, Outcome)
    assert (told.kind, "closed" in told.detail) == ("unreachable", True)
    node.entered.clear()
    another = PeerClient(address, house.shared())
    waiting = asyncio.create_task(ask(another))
    await asyncio.wait_for(node.entered.wait(), 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await another.close()


async def test_a_caller_who_leaves_is_forgotten_at_once(house: Guarded) -> None:
    """With all that was asked for, of several peers: nothing of it waits for the garbage collector."""
    nodes, addresses = zip(*[await holding(house) for _ in range(3)], strict=True)
    aggregator = Aggregator(StaticPeers(addresses, ClientShared()), settings=FanoutSettings(), node_id="a")
    house.stack.push_async_callback(aggregator.close)
    gc.collect()
    gc.disable()
    try:
        asking = asyncio.create_task(aggregator.matrix(MatrixQuery(), Deadline.after(LONG_S)))
        await asyncio.gather(*(node.entered.wait() for node in nodes))
        tasks = [ref(task) for task in asyncio.all_tasks() if ASKING.search(repr(task.get_coro()))]
        assert len(tasks) == len(nodes)  # the first one is asked by the task that waits for all
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        del asking
        await asyncio.gather(*(node.gone.wait() for node in nodes))
        async with asyncio.timeout(LONG_S):
            while any(task() is not None for task in tasks):  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_a_cluster_of_nodes_that_only_answer_matrices_is_ready(house: Guarded) -> None:
    """Older ones may lack every other method; a server that has none of them is nobody."""

    async def matrix(request: bytes, context: Any) -> bytes:
        return encode_answer(ANSWERS[0]).SerializeToString()

    def speaking(methods: dict[str, Any]) -> Callable[[grpc.aio.Server], object]:
        admin = grpc.method_handlers_generic_handler("Admin", methods)
        return lambda server: server.add_generic_rpc_handlers((admin,))

    handlers: dict[str, Any] = {"GetKeyVizMatrix": grpc.unary_unary_rpc_method_handler(matrix)}
    for methods, ready in ((handlers, True), ({}, False)):
        address = await served(house, speaking(methods))
        aggregator = Aggregator(StaticPeers([address], ClientShared()), settings=FanoutSettings(), node_id="a")
        house.stack.push_async_callback(aggregator.close)
        assert await aggregator.ready(Deadline.after(LONG_S)) is ready


async def test_a_node_is_given_exactly_its_share_of_the_callers_time(house: Guarded) -> None:
    """On a clock that stands still: 80 % of what the caller has left, or the timeout where that is less."""
    left: list[float] = []

    async def note(context: Any) -> pb.GetKeyVizMatrixResponse:
        left.append(context.time_remaining())
        return encode_answer(ANSWERS[0])

    _, address = await serve_scripted(house, note)
    gateway = await house.gateway(address, timeout_s=20.0)
    for callers_s, given_s in ((10.0, 8.0), (25.0, 20.0), (100.0, 20.0)):
        deadline = Deadline.after(callers_s, clock=lambda: 1000.0)
        assert deadline.child(20.0, 0.8).left_s() == given_s
        await gateway.aggregator.matrix(MatrixQuery(rows=int(callers_s)), deadline)
        assert given_s - 2.0 < left[-1] < given_s + 0.5  # the wire rounds up


async def test_an_answer_that_lacks_a_node_is_kept_nowhere(house: Guarded) -> None:
    """The very next identical request has the node again, by HTTP with its validators, and so has a tree above."""
    good = await house.node(0)
    node = await house.node(1)
    address = node.address
    gateway = await house.gateway(good.address, address)
    whole = picture(await gateway.ask())
    await node.drain(0)
    degraded = await gateway.get()
    assert degraded.json()["fanout"]["responded"] == 1
    assert degraded.headers["cache-control"] == "no-store"
    assert "etag" not in degraded.headers
    await house.node(1, address)
    assert picture(await gateway.whole_within(2)) == whole


@pytest.mark.parametrize(
    ("settings", "words"),
    [(ServerSettings(max_rows=5), "max_rows=5"), (ServerSettings(max_columns=2), "max_columns=2")],
)
async def test_a_node_sends_no_more_rows_or_columns_than_it_may(
    house: Guarded, settings: ServerSettings, words: str
) -> None:
    """RESOURCE_EXHAUSTED in words that say what to ask for instead, and that works; another node is untouched."""
    node = await house.node(0, settings=settings)
    metadata = house.shared().credentials.metadata()  # type: ignore[union-attr]
    stamps = ANSWERS[0].matrix.columns.tolist()
    async with grpc.aio.insecure_channel(node.address) as channel:
        stub = rpc.KeyVizStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert words in str(refused.value.details())
        shorter = pb.GetKeyVizMatrixRequest(from_unix_ms=stamps[-2])
        if settings.max_columns == 2:
            assert len((await stub.GetKeyVizMatrix(shorter, metadata=metadata)).column_unix_ms) == 2
    other = await house.node(1)
    body = await (await house.gateway(node.address, other.address)).ask()
    own, untouched = body["fanout"]["nodes"]
    assert untouched["ok"]
    if settings.max_rows == 5:
        assert (own["kind"], words in own["error"]) == ("message_too_large", True)


async def test_health_is_answered_beside_a_full_node(house: Guarded) -> None:
    """Every call that it takes is under way: matrices are refused at once, health is not."""
    entered, go = threading.Event(), threading.Event()

    class Slow(Prepared):
        def matrix(self, query: MatrixQuery) -> Answer:
            entered.set()
            go.wait(30)
            return super().matrix(query)

    house.stack.callback(go.set)
    node = await house.node(0, source=Slow(ANSWERS[0]), settings=ServerSettings(max_concurrent=1))
    metadata = house.shared().credentials.metadata()  # type: ignore[union-attr]
    async with grpc.aio.insecure_channel(node.address) as channel:
        stub, health = rpc.KeyVizStub(channel), health_pb2_grpc.HealthStub(channel)
        first = asyncio.ensure_future(stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=metadata))
        await asyncio.to_thread(entered.wait, 10)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=metadata, timeout=LONG_S)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "under way already" in str(refused.value.details())
        for service in ("", "keyviz.v1.KeyViz"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=LONG_S)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        go.set()
        assert (await first).rows
