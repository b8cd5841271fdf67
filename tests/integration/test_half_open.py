"""Callers who begin calls and say nothing more, or never read what they asked for: with no credentials at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from keyviz_grpc.half_open import MOST_STREAMS, MOST_WAITING, NO_MESSAGE, NONE_CAME, Promptness
from keyviz_grpc.interceptors import MOST_OPEN_CALLS
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.server import RunningServer, ServerSettings, serve_node
from tests.integration.guarded import ANSWERS, Prepared
from tests.integration.unread import Unread

CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
MATRIX = "/keyviz.v1.KeyViz/GetKeyVizMatrix"


@contextlib.asynccontextmanager
async def node(settings: ServerSettings) -> AsyncIterator[tuple[RunningServer, grpc.aio.Channel]]:
    """A node that wants no credentials, and somebody's channel to it."""
    async with (
        await serve_node(Prepared(ANSWERS[0]), listen="127.0.0.1:0", settings=settings) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield server, channel


async def is_well(channel: grpc.aio.Channel) -> bool:
    """Whether somebody in good faith gets answers."""
    health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    answer = await rpc.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=30)
    return health.status == health_pb2.HealthCheckResponse.SERVING and len(answer.rows) == 20


async def test_calls_without_a_message_give_their_place_back() -> None:
    """Of whatever method, within the time for messages; the connection itself lives on."""
    async with (
        node(ServerSettings(message_s=0.3)) as (server, channel),
        Unread.connected(server.address) as caller,
    ):
        for path in (CHECK, WATCH, MATRIX, "/keyviz.v1.KeyViz/GetClusterOverview", "/Admin/GetKeyVizMatrix"):
            caller.call(server.address, path, None)
        await caller.all_ended(within_s=30)
        caller.call(server.address, CHECK, None)
        assert await is_well(channel)
        await caller.all_ended(within_s=30)


async def test_hundreds_of_calls_without_a_message_keep_nobody_out() -> None:
    """They end each other, so that a few wait at most, however long a message may take."""
    async with contextlib.AsyncExitStack() as stack:
        server, channel = await stack.enter_async_context(node(ServerSettings(message_s=600)))
        callers = [await stack.enter_async_context(Unread.connected(server.address)) for _ in range(4)]
        for caller in callers:
            for _ in range(100):
                caller.call(server.address, CHECK, None)
        async with asyncio.timeout(30):
            while 400 - sum(len(caller.ended) for caller in callers) > MOST_WAITING:
                assert await is_well(channel)
        assert await is_well(channel)


async def test_small_answers_that_nobody_reads_are_few_a_connection() -> None:
    """One more is refused, which takes no reading."""
    async with (
        node(ServerSettings()) as (server, channel),
        Unread.connected(server.address) as caller,
    ):
        for _ in range(3 * MOST_OPEN_CALLS):
            caller.call(server.address, CHECK, health_pb2.HealthCheckRequest())
        async with asyncio.timeout(30), caller.changed:
            await caller.changed.wait_for(lambda: len(caller.ended) == 2 * MOST_OPEN_CALLS)
        assert await is_well(channel)
        assert len(caller.ended) == 2 * MOST_OPEN_CALLS


async def test_reflection_streams_are_few_and_end() -> None:
    """One more is refused, and each has its time, in use or not."""
    async with node(ServerSettings(stream_s=1)) as (_, channel):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        streams = [stub.ServerReflectionInfo() for _ in range(MOST_STREAMS)]
        for stream in streams:
            await stream.write(asked)
            assert len((await stream.read()).list_services_response.service) == 4
        refused = stub.ServerReflectionInfo()
        assert await refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for stream in streams:
            assert await stream.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        again = stub.ServerReflectionInfo()
        await again.write(asked)
        assert len((await again.read()).list_services_response.service) == 4
        again.cancel()


@pytest.mark.parametrize("path", [CHECK, WATCH, MATRIX])
async def test_what_is_no_message_is_told_in_our_own_words(path: str) -> None:
    """Nonsense, and a call that ends without any; never the parser's exception."""
    async with node(ServerSettings()) as (_, channel):
        call: Any = channel.stream_stream(path, request_serializer=None, response_deserializer=None)
        nonsense = call(iter([b"\xff\xff"]), timeout=30)
        assert (await nonsense.code(), await nonsense.details()) == (grpc.StatusCode.INVALID_ARGUMENT, NO_MESSAGE)
        nothing = call(iter([]), timeout=30)
        assert (await nothing.code(), await nothing.details()) == (grpc.StatusCode.INVALID_ARGUMENT, NONE_CAME)
        assert await is_well(channel)


async def test_nonsense_on_a_stream_is_its_callers_mistake(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever came before it; nothing failed here, and the log has no error."""
    path = f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"
    asked = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    async with node(ServerSettings()) as (_, channel):
        call: Any = channel.stream_stream(path, request_serializer=None, response_deserializer=None)
        for before in ([], [asked]):
            nonsense, came = call(iter([*before, b"\xff\xff"]), timeout=30), 0
            with contextlib.suppress(grpc.aio.AioRpcError):
                async for _ in nonsense:
                    came += 1
            assert came == len(before)
            assert (await nonsense.code(), await nonsense.details()) == (grpc.StatusCode.INVALID_ARGUMENT, NO_MESSAGE)
        assert await is_well(channel)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_one_more_that_comes_just_as_those_who_wait_run_out_is_served() -> None:
    """A wait that ends in this very turn of the loop cannot be cut short any more, and need not."""

    class Silent:
        async def read(self) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

        async def abort(self, code: grpc.StatusCode, words: str) -> None:
            raise ConnectionError(code, words)

    class Prompt(Silent):
        async def read(self) -> bytes:
            return b"message"

    async def given(message: bytes, _: object) -> bytes:
        return message

    layer = Promptness(message_s=0.05).around(grpc.unary_unary_rpc_method_handler(cast("Any", given)), CHECK)
    ask: Any = layer.stream_unary
    silent = [asyncio.ensure_future(ask(None, Silent())) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    prompt: list[asyncio.Future[Any]] = []
    time.sleep(0.1)  # noqa: ASYNC251 - all of them are due in the loop's next turn
    loop.call_soon(lambda: prompt.append(asyncio.ensure_future(ask(None, Prompt()))))
    await asyncio.gather(*silent, return_exceptions=True)
    assert await prompt[0] == b"message"
