"""Who shares one question to the nodes with whom, and what it means when callers leave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from keyviz_grpc.aggregator import Aggregator, Observers
from keyviz_grpc.bytes_budget import MERGED_CELL_BYTES
from keyviz_grpc.client import ACCEPT, ClientShared
from keyviz_grpc.codec import encode_answer, weight_of
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import Overloaded
from keyviz_grpc.outcome import Answer, NoUsablePeers, Outcome
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_cluster
from tests.integration.faults import serve_scripted
from tests.integration.guarded import ANSWERS, Guarded
from tests.integration.odd_nodes import holding

LONG_S = 30.0


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Credentials on both hops."""
    async with contextlib.AsyncExitStack() as stack:
        yield Guarded(tmp_path, stack)


async def test_a_grpc_caller_that_leaves_cancels_below_unless_another_waits(house: Guarded) -> None:
    """The first of two leaves: the call goes on; the second leaves: the node is told; the next request works."""
    node, address = await holding(house)
    gateway = await house.gateway(address, timeout_s=LONG_S)
    served = await serve_cluster(gateway.aggregator, listen="127.0.0.1:0")
    house.stack.push_async_callback(served.drain, 0)
    async with grpc.aio.insecure_channel(served.address) as channel:
        stub = rpc.KeyVizStub(channel)
        callers = [stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=LONG_S) for _ in range(2)]
        await asyncio.wait_for(node.entered.wait(), 10)
        # Both are inside once a third one, answered on the same connection, has been.
        await stub.GetKeyVizMatrix(
            pb.GetKeyVizMatrixRequest(from_unix_ms=-1), timeout=LONG_S, wait_for_ready=True
        ).code()
        callers[0].cancel()
        await callers[0].code()
        await asyncio.sleep(0.2)
        assert (node.calls, node.left) == (1, 0)
        callers[1].cancel()
        await asyncio.wait_for(node.gone.wait(), 10)
        assert (node.calls, node.left) == (1, 1)
        node.go.set()
        assert (await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=LONG_S)).rows


async def test_who_has_time_does_not_share_with_who_has_none(house: Guarded) -> None:
    """The one in a hurry came first and gives up; the other one has a question of its own with the node."""
    servicer, address = await holding(house)
    aggregator = Aggregator(StaticPeers([address], ClientShared()), settings=FanoutSettings(timeout_s=20), node_id="a")
    house.stack.push_async_callback(aggregator.close)
    hurried = asyncio.create_task(aggregator.matrix(MatrixQuery(), Deadline.after(0.2)))
    await servicer.entered.wait()
    patient = [asyncio.create_task(aggregator.matrix(MatrixQuery(), Deadline.after(LONG_S))) for _ in range(2)]
    with pytest.raises(NoUsablePeers):
        await hurried
    assert aggregator.fan_outs_begun == 2
    servicer.go.set()
    for answer in await asyncio.gather(*patient):
        assert answer.responded == 1


async def test_identical_questions_for_a_cell_and_for_the_cluster_share_one_fan_out(house: Guarded) -> None:
    """Fifty at once: one call at the node; different cells count against the bound."""
    servicer, address = await holding(house)
    settings = FanoutSettings(timeout_s=20, max_requests=2)
    aggregator = Aggregator(StaticPeers([address], ClientShared()), settings=settings, node_id="a")
    house.stack.push_async_callback(aggregator.close)
    stamp = int(ANSWERS[0].matrix.columns[0])

    def ask(bucket: str) -> asyncio.Task[Any]:
        question = aggregator.cell(
            bucket_id=bucket, column_unix_ms=stamp, series=ANSWERS[0].matrix.series, deadline=Deadline.after(LONG_S)
        )
        return asyncio.create_task(question)

    same = [ask("route:1") for _ in range(50)]
    await servicer.entered.wait()
    other = ask("route:2")
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await ask("route:3")
    servicer.go.set()
    cells = await asyncio.gather(*same, other)
    assert servicer.calls == 2
    assert len({id(cell) for cell in cells}) == 2


class Answered(Observers):
    """Tells when some peer has answered."""

    def __init__(self) -> None:
        super().__init__(())
        self.one = asyncio.Event()

    def asked(self, peer: str, result: Answer | Outcome, seconds: float) -> None:
        """See Observer."""
        del peer, seconds
        if isinstance(result, Answer):
            self.one.set()


async def test_memory_that_other_requests_hold_is_told_and_comes_back(house: Guarded) -> None:
    """A question holds one answer while it waits for another node; the next finds no room, and one later does."""
    servicer, held = await holding(house)
    node, answered = await house.node(1), Answered()
    message = encode_answer(ANSWERS[1], accept=ACCEPT)
    one = message.ByteSize() + weight_of(message).decoded_bytes + MERGED_CELL_BYTES * ANSWERS[1].matrix.values.size
    settings = FanoutSettings(timeout_s=20, max_total_bytes=one * 3 // 2, max_held_bytes=one * 3 // 2)
    peers = StaticPeers([held, node.address], house.shared())
    aggregator = Aggregator(peers, settings=settings, node_id="a", observer=answered)
    house.stack.push_async_callback(aggregator.close)
    first = asyncio.create_task(aggregator.matrix(MatrixQuery(rows=1), Deadline.after(LONG_S)))
    await answered.one.wait()
    with pytest.raises(NoUsablePeers) as refused:
        await aggregator.matrix(MatrixQuery(rows=2), Deadline.after(0.5))
    waited, told = refused.value.outcomes
    assert (waited.kind, told.kind) == ("deadline_exceeded", "overloaded")
    assert "the answers of other requests hold it" in told.detail
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    answer = await aggregator.matrix(MatrixQuery(rows=3), Deadline.after(0.5))
    assert [outcome.ok for outcome in answer.outcomes] == [False, True]
    assert servicer.calls == 3


async def test_fifty_viewers_over_http_are_one_call_at_a_time_at_the_node(house: Guarded) -> None:
    """However many poll the same thing, a node never has two of their calls at once."""
    inside, calls, most = 0, 0, 0

    async def count(_: Any) -> pb.GetKeyVizMatrixResponse:
        nonlocal inside, calls, most
        inside, calls = inside + 1, calls + 1
        most = max(most, inside)
        await asyncio.sleep(0.1)
        inside -= 1
        return encode_answer(ANSWERS[0])

    _, address = await serve_scripted(house, count)
    gateway = await house.gateway(address, timeout_s=LONG_S)
    limits = httpx.Limits(max_connections=60)
    async with httpx.AsyncClient(
        base_url=gateway.url, cookies=gateway.client.cookies, trust_env=False, timeout=30, limits=limits
    ) as many:

        async def poll() -> list[int]:
            return [(await many.get("/admin/api/v1/keyviz/matrix")).status_code for _ in range(4)]

        answers = await asyncio.gather(*(poll() for _ in range(50)))
    assert answers == [[200] * 4] * 50
    assert most == 1
    assert 4 <= calls < 100
