"""Callers that do not take their answers, at a node and at an aggregator's gRPC face: nobody else pays for them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import psutil
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.auth import BearerVerifier, TextFile
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.errors import SettingError
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.server import RunningServer, ServerSettings, serve_cluster, serve_node
from tests.integration.guarded import Prepared
from tests.integration.unread import Unread

PATH = "/keyviz.v1.KeyViz/GetKeyVizMatrix"
[LARGE] = cluster(Shape(1, 1000, 500, conflict_share=0.0, divergent=False))
"""Two megabytes on the wire."""

Serve = Callable[[ServerSettings], Awaitable[RunningServer]]


@pytest_asyncio.fixture(params=["node", "cluster"])
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Serve]:
    """A server with large answers: a node, or an aggregator over one."""
    async with contextlib.AsyncExitStack() as stack:

        async def started(settings: ServerSettings) -> RunningServer:
            if request.param == "node":
                server = await serve_node(Prepared(LARGE), listen="127.0.0.1:0", settings=settings)
            else:
                node = await serve_node(Prepared(LARGE), listen="127.0.0.1:0")
                stack.push_async_callback(node.drain, 0)
                peers = StaticPeers([node.address], ClientShared())
                aggregator = Aggregator(peers, settings=FanoutSettings(timeout_s=10), node_id="agg")
                stack.push_async_callback(aggregator.close)
                server = await serve_cluster(aggregator, listen="127.0.0.1:0", settings=settings)
            stack.push_async_callback(server.drain, 0)
            return server

        yield started


async def asked(server: RunningServer) -> int:
    """Bytes of the answer that somebody gets who reads; raises AioRpcError."""
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(server.address, options=options) as channel:
        answer = await rpc.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=30)
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
    return int(answer.ByteSize())


async def answered(server: RunningServer) -> int:
    """As `asked`, 0 where it is refused for now."""
    try:
        return await asked(server)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return 0


async def is_full(server: RunningServer) -> bool:
    """Whether one more is refused because of those who do not read; health is answered all the same."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        # A request that is wrong is answered in no bytes: whether one gets in can be seen without reading.
        call = rpc.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(from_unix_ms=-1), timeout=30)
        code, words = await call.code(), str(await call.details())
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
    return "callers that do not read" in words


def in_use_bytes() -> int:
    """Resident memory of this process without what the allocator only keeps for later."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc; elsewhere the figure is only less steady
    if trim is not None:
        trim(0)
    return psutil.Process().memory_info().rss


async def test_several_who_do_not_read_keep_nobody_from_an_answer(serve: Serve) -> None:
    """All but one of those that may be inside at once, and without a deadline: others are answered meanwhile."""
    server = await serve(ServerSettings(max_concurrent=4))
    size = await asked(server)
    async with Unread.connected(server.address) as caller:
        for number in range(3):
            caller.call(server.address, PATH, pb.GetKeyVizMatrixRequest(from_unix_ms=number))
        for _ in range(3):
            assert await asked(server) == size
        assert (caller.ended, caller.data_bytes) == (set(), 0)


@pytest.mark.parametrize("serve", ["node"], indirect=True)
async def test_who_does_not_read_holds_nothing_beyond_the_deadline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When all places are taken one more is refused in clear words, until the deadline; then it is answered again."""
    # What pytest keeps of a log line with a traceback keeps the answer that could not be sent.
    monkeypatch.setattr(logging.getLogger("grpc._cython.cygrpc"), "disabled", True)
    server = await serve(ServerSettings(max_concurrent=2))
    size = await asked(server)
    held = []
    async with Unread.connected(server.address) as caller:
        for _ in range(8):
            async with asyncio.timeout(30):
                while not await is_full(server):
                    caller.call(server.address, PATH, pb.GetKeyVizMatrixRequest(), timeout_ms=500)
                    await asyncio.sleep(0.02)
            await caller.all_ended(within_s=30)
            assert caller.data_bytes == 0
            assert await asked(server) == size
            held.append(in_use_bytes())
    assert min(held[4:]) < min(held[:4]) + 8 * size  # what was kept would be 4 answers a round


def contexts() -> list[object]:
    """Of calls that are served in this process, or still remembered by somebody."""
    return [one for one in gc.get_objects() if "ServicerContext" in type(one).__name__]


async def test_a_call_is_forgotten_with_its_answer(serve: Serve) -> None:
    """It takes memory of gRPC's own as long as anybody knows its context: that does not wait for the collector."""
    server = await serve(ServerSettings())
    gc.collect()
    gc.disable()
    try:
        before = contexts()  # of other tests, in logs for instance
        for _ in range(3):
            await asked(server)
        async with asyncio.timeout(30):
            while len(contexts()) > len(before):  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_without_a_deadline_the_connections_age_is_one(serve: Serve) -> None:
    """Answers that nobody takes and requests that never come end with it; a caller that reads does not notice."""
    server = await serve(ServerSettings(max_concurrent=4, max_connection_age_s=1, connection_grace_s=0.5))
    async with Unread.connected(server.address) as caller, grpc.aio.insecure_channel(server.address) as channel:
        for number in range(2):
            caller.call(server.address, PATH, pb.GetKeyVizMatrixRequest(from_unix_ms=number))
            caller.call(server.address, PATH, None)
        stub, wrong = rpc.KeyVizStub(channel), pb.GetKeyVizMatrixRequest(from_unix_ms=-1)
        gone = asyncio.create_task(caller.all_ended(within_s=30))
        while not gone.done():
            assert await stub.GetKeyVizMatrix(wrong, timeout=30).code() is grpc.StatusCode.INVALID_ARGUMENT
            await asyncio.sleep(0.02)
        with contextlib.suppress(asyncio.IncompleteReadError):
            await gone


async def test_the_bytes_of_answers_that_nobody_reads_are_bounded(serve: Serve) -> None:
    """However many calls come in at the same moment: those beyond are refused, and all is well when callers are gone.

    Health is answered meanwhile, and an answer alone is given whatever it takes.
    """
    server = await serve(ServerSettings(max_concurrent=64, max_unsent_bytes=1))
    size = await asked(server)
    await server.drain(0)
    server = await serve(ServerSettings(max_concurrent=64, max_unsent_bytes=5 * size // 2))
    async with Unread.connected(server.address) as caller, asyncio.timeout(60):
        for number in range(8):
            caller.call(server.address, PATH, pb.GetKeyVizMatrixRequest(from_unix_ms=number))
        await caller.some_ended(6)
        with pytest.raises(grpc.aio.AioRpcError, match=r"callers that do not read them, and \d+ more") as refused:
            await asked(server)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not await is_full(server), "what takes no bytes is answered"
        assert len(caller.ended) == 6
    async with asyncio.timeout(30):
        while not (there := await answered(server)):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.02)
    assert there == size


async def test_who_has_no_credentials_is_refused_without_waiting_for_a_message(tmp_path: Path) -> None:
    """And one connection never has more calls than are for callers; others and health are answered beside it."""
    token = tmp_path / "token"
    token.write_text("right-and-long-enough")
    server = await serve_node(
        Prepared(LARGE),
        listen="127.0.0.1:0",
        settings=ServerSettings(max_concurrent=4),
        verifier=BearerVerifier(TextFile(token)),
    )
    async with server, Unread.connected(server.address) as caller:
        for _ in range(4):
            caller.call(server.address, PATH, None)
        await caller.all_ended(within_s=30)
        for _ in range(400):
            caller.call(server.address, "/grpc.health.v1.Health/Check", None)
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for _ in range(5):
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("bad", [{"max_connection_age_s": 0.0}, {"connection_grace_s": 1e9}])
def test_ages_that_grpc_cannot_take_are_refused(bad: dict[str, float]) -> None:
    """Named, with the value."""
    [(name, value)] = bad.items()
    with pytest.raises(SettingError, match=f"{name}={value}"):
        ServerSettings(**bad)  # type: ignore[arg-type]
