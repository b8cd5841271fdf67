"""Waiting for the message of a call: who ends it, and what its task is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import grpc
import pytest

from keyviz_grpc.half_open import MOST_WAITING, NONE_CAME, Promptness
from tests.unit.aggregator.leaping import on_a_clock_of_its_own


class Aborted(Exception):
    """As gRPC's, which nobody can make."""


class Call:
    """A call whose message comes when the test says so."""

    def __init__(self) -> None:
        self.message: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[Any] | None = None

    async def read(self) -> bytes:
        """See grpc.aio.ServicerContext."""
        return await self.message

    async def abort(self, code: grpc.StatusCode, words: str) -> None:
        """See grpc.aio.ServicerContext. Nothing may be left of the cancellation that ended the wait."""
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        raise Aborted(code, words)


class Server:
    """A method behind the layer that waits for its message."""

    def __init__(self, message_s: float) -> None:
        async def answer(message: bytes, _: object) -> bytes:
            return message

        handler: Any = grpc.unary_unary_rpc_method_handler(cast("Any", answer))
        self._layer: Any = Promptness(message_s=message_s).around(handler, "/a")

    async def call(self) -> Call:
        """One that waits."""
        call = Call()
        call.task = asyncio.create_task(self._layer.stream_unary(None, call))
        await asyncio.sleep(0)
        return call


async def outcome(call: Call) -> object:
    """What its handler gave, or why it did not."""
    assert call.task is not None
    result: Any = (await asyncio.gather(call.task, return_exceptions=True))[0]
    return result.args if isinstance(result, Aborted) else result


NONE: Any = (grpc.StatusCode.DEADLINE_EXCEEDED, NONE_CAME)


def test_each_has_its_time_and_those_before_it_take_none_of_it() -> None:
    """One timer rings for the first, then for whoever is next; a message that comes ends its own wait alone."""

    async def work(clock: Callable[[], float]) -> None:
        ended: dict[str, tuple[float, object]] = {}

        async def wait(name: str, after_s: float, message_s: float | None = None) -> None:
            await asyncio.sleep(after_s)
            call = await server.call()
            if message_s is not None:
                asyncio.get_running_loop().call_later(message_s, call.message.set_result, b"came")
            told = await outcome(call)
            ended[name] = clock(), told

        server = Server(5.0)
        await asyncio.gather(wait("first", 0), wait("prompt", 0, 4), wait("second", 3), wait("late", 20, 4))
        assert ended == {"first": (5, NONE), "prompt": (4, b"came"), "second": (8, NONE), "late": (24, b"came")}

    on_a_clock_of_its_own(work)


async def test_one_more_ends_the_wait_of_the_first() -> None:
    """And of no other."""
    server = Server(600.0)
    calls = [await server.call() for _ in range(MOST_WAITING + 1)]
    assert await outcome(calls[0]) == NONE
    for number, call in enumerate(calls[1:]):
        call.message.set_result(bytes([number]))
    assert [await outcome(call) for call in calls[1:]] == [bytes([number]) for number in range(MOST_WAITING)]


@pytest.mark.parametrize("ended_first", [False, True])
async def test_a_call_that_is_given_up_while_its_wait_ends_stays_given_up(*, ended_first: bool) -> None:
    """Nobody is there any more to be told that no message came."""
    server = Server(600.0)
    calls = [await server.call() for _ in range(MOST_WAITING)]
    task = calls[0].task
    assert task is not None
    if not ended_first:
        task.cancel()
    later = await asyncio.gather(server.call(), *([_cancel(task)] if ended_first else []))
    assert isinstance(await outcome(calls[0]), asyncio.CancelledError)
    later[0].message.set_result(b"")
    for call in calls[1:]:
        call.message.set_result(b"")
        assert await outcome(call) == b""


async def _cancel(task: asyncio.Task[Any]) -> Any:
    task.cancel()
