"""The fan-out over real sockets: the cap, older nodes, rings, trees, and requests that share one fan-out."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio

from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.auth import KeyFile, TokenCredentials, TokenVerifier
from keyviz_grpc.bytes_budget import MERGED_CELL_BYTES
from keyviz_grpc.client import ACCEPT, ClientShared
from keyviz_grpc.codec import answer_bytes, encode_answer, weight_of
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import LoopRefused, SamplerDisabled
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, NoUsablePeers, Outcome
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import RunningServer, serve_cluster, serve_node
from tests.integration.faults import Scripted
from tests.integration.guarded import ANSWERS, TIMEOUT_S, Prepared


@dataclass
class House:
    """Keys, servers and aggregators of one test, closed in the end."""

    key: KeyFile
    open: list[Any] = field(default_factory=list)

    async def node(self, number: int, listen: str = "127.0.0.1:0") -> RunningServer:
        """A healthy node that wants a token."""
        server = await serve_node(Prepared(ANSWERS[number]), listen=listen, verifier=TokenVerifier([self.key]))
        self.open.append(server.drain)
        return server

    def aggregator(self, *addresses: str, node_id: str = "agg", cap: int = 64 << 20) -> Aggregator:
        """An aggregator that shows a token."""
        shared = ClientShared(max_message_bytes=cap, credentials=TokenCredentials(self.key, subject=node_id))
        made = Aggregator(StaticPeers(addresses, shared), settings=FanoutSettings(timeout_s=TIMEOUT_S), node_id=node_id)
        self.open.append(made.close)
        return made


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Credentials on every hop."""
    path = tmp_path / "key"
    path.write_text(base64.urlsafe_b64encode(bytes(range(64))).decode())
    made = House(KeyFile(path))
    yield made
    for close in reversed(made.open):
        await close()


async def ask(aggregator: Aggregator, **query: Any) -> Answer:
    """With time enough."""
    return await aggregator.matrix(MatrixQuery(**query), Deadline.after(10))


@pytest.mark.parametrize("over", [0, 1])
async def test_the_cap_is_exact(house: House, over: int, caplog: pytest.LogCaptureFixture) -> None:
    """An answer of exactly the cap is taken as it is; one byte more is not, and comes in slices of time."""
    size = encode_answer(ANSWERS[0], accept=(pb.MATRIX_ENCODING_COLUMNAR,)).ByteSize()
    peer = await house.node(0)
    answer = await ask(house.aggregator(peer.address, cap=size - over))
    assert answer.matrix.values.tolist() == ANSWERS[0].matrix.values.tolist()
    assert ("answer over the cap" in caplog.text) == bool(over)


async def test_a_column_over_the_cap_is_left_out_and_the_cap_is_named(house: House) -> None:
    """No slice of time is short enough."""
    peer = await house.node(0)
    with pytest.raises(NoUsablePeers) as refused:
        await ask(house.aggregator(peer.address, cap=100))
    assert refused.value.outcomes[0].kind == "message_too_large"
    assert "over the cap of 100 bytes" in refused.value.outcomes[0].detail


async def test_an_older_node_is_asked_under_its_old_name(house: House) -> None:
    """UNIMPLEMENTED on our path falls back to /Admin/."""
    server = grpc.aio.server()

    async def row_form(_: Any) -> pb.GetKeyVizMatrixResponse:
        return encode_answer(ANSWERS[0])

    admin_pb2_grpc.add_AdminServicer_to_server(Scripted(row_form), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    answer = await ask(house.aggregator(f"127.0.0.1:{port}"))
    assert answer.responded == 1
    assert answer.matrix.values.sum() == ANSWERS[0].matrix.values.sum()
    await server.stop(0)


async def test_a_wrong_key_is_unauthenticated_and_health_is_open(house: House, tmp_path: Path) -> None:
    """The peer says what to send and never why it refused."""
    node = await house.node(0)
    other = tmp_path / "other"
    other.write_text(base64.b64encode(bytes(64)).decode())
    stranger = House(KeyFile(other))
    with pytest.raises(NoUsablePeers) as refused:
        await ask(stranger.aggregator(node.address))
    assert refused.value.outcomes[0].kind == "unauthenticated"
    async with grpc.aio.insecure_channel(node.address) as channel:
        health: Any = channel.unary_unary("/grpc.health.v1.Health/Check", response_deserializer=None)
        assert await health(b"")
    for close in stranger.open:
        await close()


async def test_aggregators_in_a_ring_refuse(house: House) -> None:
    """FAILED_PRECONDITION at once instead of a loop."""
    node = await house.node(0)
    first = house.aggregator(node.address, node_id="first")
    with pytest.raises(LoopRefused):
        await ask(first, via=("first",))
    served = await serve_cluster(first, listen="127.0.0.1:0")
    house.open.append(served.drain)
    second = house.aggregator(served.address, node_id="first")
    with pytest.raises(NoUsablePeers) as refused:
        await ask(second)
    assert refused.value.outcomes[0].kind == "incompatible"


async def test_a_tree_gives_what_a_flat_aggregator_gives(house: House) -> None:
    """Over the wire, with a leaf listed under both subtrees counted once, and a dead leaf named at the root."""
    nodes = [await house.node(number) for number in range(3)]
    flat = await ask(house.aggregator(*(node.address for node in nodes)))
    lower = []
    for name, below in (("x", nodes[:2]), ("y", nodes[1:])):
        aggregator = house.aggregator(*(node.address for node in below), "127.0.0.1:1", node_id=name)
        served = await serve_cluster(aggregator, listen="127.0.0.1:0", verifier=TokenVerifier([house.key]))
        house.open.append(served.drain)
        lower.append(served.address)
    root = await ask(house.aggregator(*lower, node_id="root"))
    assert root.matrix.values.tolist() == flat.matrix.values.tolist()
    assert [outcome.kind for outcome in root.outcomes] == [None, None, "unreachable", None, None, "unreachable"]
    assert [outcome.contributes for outcome in root.outcomes] == [True, True, False, False, True, False]


async def test_all_samplers_off_is_not_an_empty_picture(house: House) -> None:
    """It is an error of its own."""
    server = await serve_node(None, listen="127.0.0.1:0")
    house.open.append(server.drain)
    with pytest.raises(SamplerDisabled):
        await ask(house.aggregator(server.address))


async def test_identical_requests_share_one_fan_out(house: House) -> None:
    """Fifty viewers ask the nodes once; one that leaves does not take the others' answer away."""
    calls = 0

    async def count(_: Any) -> pb.GetKeyVizMatrixResponse:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.2)
        return encode_answer(ANSWERS[0])

    server = grpc.aio.server()
    rpc.add_KeyVizServicer_to_server(Scripted(count), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    aggregator = house.aggregator(f"127.0.0.1:{port}")
    viewers = [asyncio.create_task(ask(aggregator)) for _ in range(50)]
    await asyncio.sleep(0.05)
    viewers[0].cancel()
    answers = await asyncio.gather(*viewers, return_exceptions=True)
    assert calls == 1
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(isinstance(answer, Answer) for answer in answers[1:])
    await server.stop(0)


async def test_cells_without_traffic_count_against_what_all_answers_may_hold(house: House) -> None:
    """A small packed answer may claim any number of them: the one that goes over the total is its node's failure."""
    columns = np.arange(1, 1001) * 60_000
    rows = tuple(Row(f"route:{n}", b"%06d" % n, b"%06d" % (n + 1)) for n in range(1000))
    matrix = Matrix(Series.READS, columns, Catalogue(rows), np.zeros((1000, 1000), np.uint64))
    nodes, needed = [], 0
    for name in ("n1", "n2"):
        empty = Answer(matrix, (Outcome("", node_id=name),), node_id=name, incarnation=1, step_ms=60_000)
        message = encode_answer(empty, accept=ACCEPT)
        sent = len(answer_bytes(empty, accept=ACCEPT))
        assert sent < 100_000
        needed += sent + weight_of(message).decoded_bytes
        node = await serve_node(Prepared(empty), listen="127.0.0.1:0")
        house.open.append(node.drain)
        nodes.append(node.address)
    assert needed > 2 * 16 * matrix.values.size
    needed += MERGED_CELL_BYTES * matrix.values.size  # the rows of both are the same
    for total, kinds in ((needed - 1, [None, "message_too_large"]), (needed, [None, None])):
        settings = FanoutSettings(timeout_s=TIMEOUT_S, max_total_bytes=total, max_in_flight_peers=1)
        made = Aggregator(StaticPeers(nodes, ClientShared()), settings=settings, node_id="agg")
        house.open.append(made.close)
        answer = await made.matrix(MatrixQuery(Series.READS), Deadline.after(5))
        assert [outcome.kind for outcome in answer.outcomes] == kinds
