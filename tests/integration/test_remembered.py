"""Closed columns are remembered: answers are byte for byte what they are without, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import grpc
import pytest

from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind, SamplerDisabled
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, NoUsablePeers
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import Recalled, Shelf, merged
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.server import ServerSettings, serve_cluster, serve_node
from tests.integration.remembering import STEP_MS, TIMEOUT_S, World, answered, body_of, seen
from tests.integration.wire import wire
from tests.reference.without_hot_keys import WithoutHotKeys

EVENTS = (
    *("write", "write", "read", "label", "late", "late", "flip", "split", "join", "diverge", "lag", "sleep", "back"),
    *("restart", "swap", "fail"),
)

EVERYTHING = (9, 9, 9, 12, 27, 63)
"""Questions for all columns: writes, reads, write bytes, and writes folded to three rows."""

AMPLE = 1 << 26


async def plays(seed: int, size_bytes: int, rounds: int = 40) -> None:
    """Two gateways with memory against one without; one of the two asks now and then only."""
    world, chance = World(), random.Random(seed)
    async with world.stack:
        await world.start()
        shelf = Shelf(size_bytes)
        warm, other, cold = world.aggregator(shelf), world.aggregator(Shelf(AMPLE)), world.aggregator(None)
        for aggregator in (warm, other, cold):
            await seen(aggregator, MatrixQuery(Series.READS))  # the first answer tells the step, and so how wide to ask
        for number in range(rounds):
            event, node, byte = chance.choice(EVENTS), chance.randrange(3), chance.randrange(256)
            world.happens(event, node, byte)
            if chance.random() < 0.5:
                world.step(node, byte)
            query = world.query(node, chance.choice([*EVERYTHING, *EVERYTHING, *EVERYTHING, chance.randrange(256)]))
            expected = await seen(cold, query)
            assert await seen(warm, query) == expected, (seed, number, event, query)
            if node:
                assert await seen(other, query) == expected, (seed, number, event, query)
            assert shelf.used_bytes <= size_bytes


@pytest.mark.parametrize("seed", range(16))
async def test_answers_are_the_same_with_and_without(seed: int) -> None:
    """Under traffic, splits, merges, labels, flips, late operations, restarts, swaps, failures, clocks that go back."""
    await plays(seed, AMPLE)


@pytest.mark.parametrize("size_bytes", [1, 4_000, 8_000, 16_000, 24_000, 32_000])
async def test_answers_are_the_same_at_every_size_of_memory(size_bytes: int) -> None:
    """Nothing fits, some of it does, all of it does; the bound holds at every moment."""
    await plays(100, size_bytes)


async def test_terms_that_are_gone_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader changes with every column, long after the ring is full; answers are the same, and memory is level."""
    monkeypatch.setattr(merged, "MOST_IDENTITIES", 30)
    world, weights, tables = World(), [], []
    async with world.stack:
        await world.start()
        shelf = Shelf(AMPLE)
        warm, cold = world.aggregator(shelf), world.aggregator(None)
        for number in range(150):
            for event in ("flip", "write", "write"):
                world.happens(event, number % 3, number % 2)
            world.step(number % 3, 0)
            query = MatrixQuery()
            assert await seen(warm, query) == await seen(cold, query)
            weights.append(shelf.used_bytes)
            tables.append(len((await warm.matrix(query, Deadline.after(20))).matrix.identities))
    assert max(tables[100:]) <= 30 + 10
    assert max(weights[100:]) < 1.5 * max(weights[40:80])


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_many_histories() -> None:
    """As above."""
    for seed in range(1000, 3000):
        await plays(seed, random.Random(seed).choice([AMPLE, AMPLE, 8_000, 24_000]))


@pytest.mark.parametrize("failure", [SamplerDisabled(), ArithmeticError("a fault in the node")])
async def test_a_failed_node_is_not_filled_up_from_memory(failure: Exception) -> None:
    """Its columns are known and still it contributes nothing; once it is back, the picture is whole again."""
    world = World()
    async with world.stack:
        await world.start()
        warm, cold = world.aggregator(Shelf(AMPLE)), world.aggregator(None)
        for number in range(3):
            world.write(number, 104 - number)  # 5, 4 and 3 writes of one route
        world.step(0, 0)
        whole = await warm.matrix(MatrixQuery(), Deadline.after(20))
        world.sockets[0].up, world.sockets[0].failure = False, failure
        degraded = await warm.matrix(MatrixQuery(), Deadline.after(20))
        assert world.sockets[0].asked[-1].known is not None
        assert degraded.responded == 2
        assert (int(degraded.matrix.values.sum()), int(whole.matrix.values.sum())) == (4, 5)
        assert await seen(warm, MatrixQuery()) == await seen(cold, MatrixQuery())
        world.sockets[0].up = True
        again = await warm.matrix(MatrixQuery(), Deadline.after(20))
        assert again.matrix.values.tolist() == whole.matrix.values.tolist()
        # Unavailable may mean that another node listens there soon; a fault says nothing of the kind.
        assert (world.sockets[0].asked[-1].known is None) == isinstance(failure, SamplerDisabled)
        for socket in world.sockets:
            socket.up = False
        with pytest.raises((NoUsablePeers, SamplerDisabled)):
            await warm.matrix(MatrixQuery(), Deadline.after(20))


async def test_a_server_that_is_another_after_a_restart_is_asked_for_everything() -> None:
    """The connection is lost, the port is taken by a new life: nothing of the old one is shown."""
    world = World()
    async with contextlib.AsyncExitStack() as servers, world.stack:
        await world.start(2)
        socket = world.sockets[0]
        server = await serve_node(socket, listen="127.0.0.1:0")
        addresses = [server.address, world.addresses[1]]
        warm, cold = (world.aggregator(shelf, addresses=addresses) for shelf in (Shelf(AMPLE), None))
        world.write(0, 50)
        world.step(0, 0)
        assert await seen(warm, MatrixQuery()) == await seen(cold, MatrixQuery())
        await server.drain(0)
        assert await seen(warm, MatrixQuery()) != b""
        world.restart(0, 1)
        world.write(0, 7)
        world.step(0, 0)
        await servers.enter_async_context(await serve_node(socket, listen=server.address))
        await answered(warm, 2)
        await answered(cold, 2)
        assert await seen(warm, MatrixQuery()) == await seen(cold, MatrixQuery())


async def test_a_connection_that_a_node_renews_forgets_nothing() -> None:
    """GOAWAY by the age of connections, again and again: answers are the same, and known columns stay left out."""
    world = World()
    async with world.stack:
        await world.start(1, settings=ServerSettings(max_connection_age_s=0.2, connection_grace_s=0.1))
        proxy = await world.stack.enter_async_context(wire(world.addresses[0]))
        warm, cold = (world.aggregator(shelf, addresses=[proxy.address]) for shelf in (Shelf(AMPLE), None))
        query = MatrixQuery(Series.WRITES)
        fill(world, 4)
        await warm.matrix(query, Deadline.after(TIMEOUT_S))
        world.sockets[0].asked.clear()
        async with asyncio.timeout(30):
            while proxy.connections < 6:
                assert await seen(warm, query) == await seen(cold, query)
                await asyncio.sleep(0.02)
        known = [asked.known for asked in world.sockets[0].asked]
        assert sum(one is not None for one in known) == len(known) // 2  # the other half are of the one without memory


async def test_trees_of_gateways_with_memory_give_what_a_flat_one_without_gives() -> None:
    """An aggregator's answer is never remembered above it; its own nodes' are, below."""
    world = World()
    async with world.stack:
        await world.start()
        below = world.aggregator(Shelf(AMPLE), addresses=world.addresses[:2])
        server = await world.stack.enter_async_context(await serve_cluster(below, listen="127.0.0.1:0"))
        shelf = Shelf(AMPLE)
        addresses = [server.address, world.addresses[2]]
        top = Aggregator(
            StaticPeers(addresses, ClientShared(remembered=shelf)),
            settings=FanoutSettings(timeout_s=20),
            node_id="top",
            incarnation=1,
            wall_clock=world.clock,
            remembered=shelf,
        )
        world.stack.push_async_callback(top.close)
        flat = world.aggregator(None)
        chance = random.Random(7)
        for _ in range(25):
            world.happens(
                chance.choice([event for event in EVENTS if event != "fail"]),
                chance.randrange(3),
                chance.randrange(256),
            )
            world.step(0, chance.randrange(256))
            expected = await flat.matrix(MatrixQuery(), Deadline.after(20))
            told = await top.matrix(MatrixQuery(), Deadline.after(20))
            assert told.matrix.columns.tolist() == expected.matrix.columns.tolist()
            assert told.matrix.catalogue == expected.matrix.catalogue
            assert told.matrix.values.tolist() == expected.matrix.values.tolist()


@pytest.mark.parametrize("rows", [3, 300])
async def test_bytes_on_the_wire_grow_with_the_new_columns_only(rows: int) -> None:
    """While nothing closed a poll takes a hundred bytes; then as many as the new columns, whatever is held."""
    world = World(routes=routes(rows))
    received: list[int] = []
    async with world.stack:
        await world.start(1, columns=400)
        warm = world.aggregator(Shelf(AMPLE), received=lambda _, size: received.append(size))
        sizes: dict[int, list[int]] = {}
        for held in (20, 380):
            fill(world, held)
            await warm.matrix(MatrixQuery(), Deadline.after(20))
            received.clear()
            for new in (0, 1, 2):
                fill(world, new)
                answer = await warm.matrix(MatrixQuery(), Deadline.after(20))
            assert len(answer.matrix.columns) >= held
            sizes[held] = list(received)
    assert len(sizes[20]) == len(sizes[380]) == 3
    for few, many in zip(sizes[20], sizes[380], strict=True):
        assert abs(few - many) <= 8
    nothing, one, two = sizes[380]
    assert nothing < 120
    assert nothing < one < two < nothing + 2.5 * (one - nothing)


@pytest.mark.parametrize("display", [False, True])
async def test_first_traffic_of_a_row_drops_nothing_that_a_gateway_remembers(display: bool) -> None:
    """It is a new role for whoever reads roles, who is told everything anew, and nothing for those who show none."""
    world, received = World(routes=routes(300)), list[int]()
    query = MatrixQuery(for_display=display)
    async with world.stack:
        await world.start(1, columns=400)
        shelves = Shelf(AMPLE), None
        warm, cold = (world.aggregator(shelf, received=lambda _, size: received.append(size)) for shelf in shelves)
        fill(world, 40)
        await warm.matrix(query, Deadline.after(20))
        world.sockets[0].sampler.observe(7, b"k", Op.READ, 10)
        fill(world, 1)
        received.clear()
        told, whole = [await each.matrix(query, Deadline.after(20)) for each in (warm, cold)]
    assert len(told.matrix.columns) == 41
    assert body_of(told) == body_of(whole)
    assert told.matrix.catalogue == whole.matrix.catalogue
    assert any(row.sample_roles for row in told.matrix.catalogue.rows) is not display
    few, many = received
    assert few < many / 5 if display else few > many / 2


async def test_callers_of_both_kinds_are_remembered_side_by_side() -> None:
    """Whoever reads roles and whoever shows none: neither takes away what is known for the other."""
    world, received = World(routes=routes(300)), list[int]()
    async with world.stack:
        await world.start(1, columns=400)
        warm = world.aggregator(Shelf(AMPLE), received=lambda _, size: received.append(size))
        fill(world, 40)
        for _ in range(2):
            for display in (False, True):
                await warm.matrix(MatrixQuery(for_display=display), Deadline.after(20))
    first, again = received[:2], received[2:]
    assert min(first) > 1000
    assert max(again) < 120


def routes(count: int) -> list[Route]:
    """Of equal width, each of a group of its own."""
    ends = [b"%04d" % number for number in range(1, count)]
    return [
        Route(number, start, end, 1 + number % 2)
        for number, (start, end) in enumerate(zip([b"", *ends], [*ends, b""], strict=True), 1)
    ]


def fill(world: World, columns: int) -> None:
    """So many windows with a write of every route."""
    for _ in range(columns):
        for route in world.routes:
            for socket in world.sockets:
                socket.sampler.observe(route.route_id, b"k", Op.WRITE, 10)
        world.now_ms += STEP_MS
        for socket in world.sockets:
            socket.sampler.tick()


class Odd(WithoutHotKeys, rpc.KeyVizServicer):
    """A node that states what no node should."""

    def __init__(self, newest_unix_ms: int) -> None:
        self._newest_unix_ms = newest_unix_ms

    async def GetKeyVizMatrix(self, request: Any, context: Any) -> pb.GetKeyVizMatrixResponse:  # noqa: N802
        """One column, and a history that ends when it was told to."""
        message = pb.GetKeyVizMatrixResponse(node_id="odd", incarnation=1, step_ms=60_000, column_unix_ms=[60_000])
        message.rows.add(bucket_id="route:1", values=[3])
        message.history.number = 7
        message.history.newest_unix_ms = self._newest_unix_ms
        return message

    async def GetClusterOverview(self, request: Any, context: Any) -> pb.GetClusterOverviewResponse:  # noqa: N802
        """Its name."""
        return pb.GetClusterOverviewResponse(self=pb.NodeIdentity(node_id="odd"))


async def beside_a_good_one(newest_unix_ms: int) -> list[FailureKind | None]:
    """What an odd node and a good one contribute when they are asked for the second time."""
    async with contextlib.AsyncExitStack() as stack:
        odd = grpc.aio.server()
        rpc.add_KeyVizServicer_to_server(Odd(newest_unix_ms), odd)
        address = f"127.0.0.1:{odd.add_insecure_port('127.0.0.1:0')}"
        await odd.start()
        stack.push_async_callback(odd.stop, None)
        sampler = stack.enter_context(Sampler(node_id="good"))
        good = await stack.enter_async_context(await serve_node(sampler, listen="127.0.0.1:0"))
        shelf = Shelf(AMPLE)
        peers = StaticPeers([address, good.address], ClientShared(remembered=shelf))
        aggregator = Aggregator(peers, settings=FanoutSettings(), node_id="gw", remembered=shelf)
        stack.push_async_callback(aggregator.close)
        for _ in range(2):
            answer = await aggregator.matrix(MatrixQuery(Series.READS), Deadline.after(5))
        return [outcome.kind for outcome in answer.outcomes]


async def test_a_history_beyond_the_calendar_fails_that_node_alone() -> None:
    """What is remembered of it could not even be said in the next question, which then failed for all nodes."""
    assert await beside_a_good_one(60_000) == [None, None]
    assert await beside_a_good_one(2**63 - 1) == [FailureKind.MALFORMED, None]


async def test_an_answer_that_breaks_its_reader_fails_that_node_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong here with one node's answer, the other's counts; nothing of the error is told."""
    whole = Recalled.whole

    def breaking(self: Recalled, answer: Answer, wire_bytes: int) -> Answer:
        if answer.node_id == "odd":
            raise RuntimeError("of this process alone")
        return whole(self, answer, wire_bytes)

    monkeypatch.setattr(Recalled, "whole", breaking)
    assert await beside_a_good_one(60_000) == [FailureKind.INTERNAL, None]
