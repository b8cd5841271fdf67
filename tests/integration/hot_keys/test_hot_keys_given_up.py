"""Adding many windows up takes a while: the node answers others meanwhile, and stops when nobody waits any more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
import pytest

from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import NobodyWaits
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.hotkeys.protocols import GivenUp, waited_for
from keyviz_grpc.outcome import NoUsablePeers, Outcome
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.server import serve_node
from tests.integration.guarded import ANSWERS, Prepared

LONG_S = 30.0
QUESTION = pb.GetHotKeysRequest(route_id=1, via=["test"])


class Slow(Prepared):
    """Adds up until it is let go, or until nobody waits; `ended` gets which of both it was."""

    def __init__(self) -> None:
        super().__init__(ANSWERS[0])
        self.go, self.begun, self.over = (threading.Event() for _ in "abc")
        self.ended = ""

    def hot_keys(self, query: HotKeysQuery, given_up: GivenUp = waited_for) -> HotKeysAnswer:
        """Like a recorder that has a great many windows."""
        self.begun.set()
        until = time.monotonic() + LONG_S
        while not given_up() and not self.go.is_set() and time.monotonic() < until:
            time.sleep(0.002)
        self.ended = "given up" if given_up() else "let go" if self.go.is_set() else "too late"
        self.over.set()
        if given_up():
            raise NobodyWaits
        return HotKeysAnswer((), (Outcome("", node_id="n1"),), sample_rate=1, node_id="n1")


async def test_a_node_answers_others_while_it_adds_up() -> None:
    """The loop is not what adds up: another method answers before this one does."""
    source = Slow()
    async with (
        await serve_node(source, listen="127.0.0.1:0") as node,
        grpc.aio.insecure_channel(node.address) as channel,
    ):
        stub = rpc.KeyVizStub(channel)
        call = stub.GetHotKeys(QUESTION, timeout=LONG_S)
        slow = asyncio.ensure_future(call)
        assert await asyncio.to_thread(source.begun.wait, LONG_S)
        await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=LONG_S)
        await stub.GetClusterOverview(pb.GetClusterOverviewRequest(), timeout=LONG_S)
        assert not slow.done()
        source.go.set()
        assert (await slow).node_id == "n1"


async def cancelled(source: Slow, stub: rpc.KeyVizStub) -> grpc.StatusCode:
    """The caller gives up when the node is at it."""
    call: Any = stub.GetHotKeys(QUESTION, timeout=LONG_S)
    assert await asyncio.to_thread(source.begun.wait, LONG_S)
    call.cancel()
    code: grpc.StatusCode = await call.code()
    return code


async def out_of_time(source: Slow, stub: rpc.KeyVizStub) -> grpc.StatusCode:
    """The caller's deadline passes meanwhile."""
    call: Any = stub.GetHotKeys(QUESTION, timeout=1)
    code: grpc.StatusCode = await call.code()
    return code


Ending = Callable[[Slow, Any], Coroutine[Any, Any, grpc.StatusCode]]
ENDINGS: dict[str, tuple[Ending, grpc.StatusCode]] = {
    "cancelled": (cancelled, grpc.StatusCode.CANCELLED),
    "out of time": (out_of_time, grpc.StatusCode.DEADLINE_EXCEEDED),
}


@pytest.mark.parametrize(("end", "code"), ENDINGS.values(), ids=ENDINGS)
async def test_a_node_stops_when_nobody_waits_any_more(end: Ending, code: grpc.StatusCode) -> None:
    """A call that is cancelled, and one whose deadline passes; the next one is answered."""
    source = Slow()
    async with (
        await serve_node(source, listen="127.0.0.1:0") as node,
        grpc.aio.insecure_channel(node.address) as channel,
    ):
        stub = rpc.KeyVizStub(channel)
        assert await end(source, stub) is code
        assert await asyncio.to_thread(source.over.wait, LONG_S)
        assert source.ended == "given up"
        source.go.set()
        assert (await stub.GetHotKeys(QUESTION, timeout=LONG_S)).node_id == "n1"


async def test_a_source_in_this_process_stops_too() -> None:
    """When the deadline of an aggregator's request passes; its thread is free again for the next."""
    source = Slow()
    aggregator = Aggregator(
        StaticPeers([], ClientShared()), settings=FanoutSettings(timeout_s=0.2), node_id="gw", local=source
    )
    with pytest.raises(NoUsablePeers) as refused:
        await aggregator.hot_keys(HotKeysQuery(1), Deadline.after(LONG_S))
    assert [(o.address, o.kind) for o in refused.value.outcomes] == [("self", "deadline_exceeded")]
    assert await asyncio.to_thread(source.over.wait, LONG_S)
    assert source.ended == "given up"
    source.go.set()
    assert (await aggregator.hot_keys(HotKeysQuery(1), Deadline.after(LONG_S))).outcomes[0].ok
    await aggregator.close()
