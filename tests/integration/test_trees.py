"""Trees of real aggregators over real nodes: one truth at every depth, whatever the order of arrival."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import grpc
import pytest

from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.client import ClientShared
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind, LoopRefused
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, Member, Outcome, Overview
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import RunningServer, serve_cluster, serve_node
from tests.reference.ages import as_old
from tests.reference.convert import answer_of, told_by
from tests.reference.oracle import Node

NOW_S = 14.0
STAMPS = [11_000, 12_000, 13_000]
RANGES = {"route:1": (b"", b"m"), "route:2": (b"m", b"")}


def node(number: int, shares: dict[tuple[int, int], int], *, end: bytes = b"m") -> Node:
    """Two routes; the first holds `shares` in every window, the second a count of its own."""
    cells: dict[tuple[str, int], dict[tuple[int, int], int]] = {}
    for stamp in STAMPS:
        cells["route:1", stamp] = shares
        cells["route:2", stamp] = {(2, 1): 7} if number == 0 else {}
    return Node(f"n{number}", RANGES | {"route:1": (b"", end)}, STAMPS, cells)


# Two terms, a stale copy, an unknown share, and a range that differs.
NODES = [node(0, {(1, 7): 60}), node(1, {(1, 8): 40}), node(2, {(1, 8): 39}, end=b"n"), node(3, {(0, 0): 5})]


@dataclass
class Prepared:
    """A source with the answers of one node; notes what it was asked for."""

    node: Node
    asked: list[MatrixQuery] = field(default_factory=list)

    def matrix(self, query: MatrixQuery) -> Answer:
        """All of it, or the rows that were asked for."""
        self.asked.append(query)
        own = answer_of(self.node, query.series)
        return replace(own, outcomes=(replace(own.outcomes[0], address=""),))

    def overview(self) -> Overview:
        """Its own name."""
        return Overview(Member(self.node.node_id, ""), incarnation=1)


@dataclass
class Grove:
    """Nodes, and aggregators above them."""

    stack: contextlib.AsyncExitStack
    nodes: list[RunningServer] = field(default_factory=list)

    def aggregator(self, name: str, addresses: Sequence[str]) -> Aggregator:
        """One that is asked in this process."""
        made = Aggregator(
            StaticPeers(addresses, ClientShared()),
            settings=FanoutSettings(timeout_s=5),
            node_id=name,
            wall_clock=lambda: NOW_S,
        )
        self.stack.push_async_callback(made.close)
        return made

    async def served(self, name: str, addresses: Sequence[str]) -> str:
        """The address of one that others ask."""
        server = await serve_cluster(self.aggregator(name, addresses), listen="127.0.0.1:0")
        self.stack.push_async_callback(server.drain)
        return server.address


@contextlib.asynccontextmanager
async def grove() -> AsyncIterator[Grove]:
    """Four nodes on loopback."""
    async with contextlib.AsyncExitStack() as stack:
        made = Grove(stack)
        for one in NODES:
            made.nodes.append(await stack.enter_async_context(await serve_node(Prepared(one), listen="127.0.0.1:0")))
        yield made


async def ask(aggregator: Aggregator, query: MatrixQuery) -> Answer:
    """With time enough."""
    return await aggregator.matrix(query, Deadline.after(10))


def plain(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Without what depends on time."""
    return [replace(outcome, latency_ms=0.0) for outcome in outcomes]


@pytest.mark.parametrize("series", list(Series))
async def test_trees_of_real_aggregators_say_what_a_flat_one_says(series: Series) -> None:
    """Two levels and three, over real sockets: cells, shares, conflicts, rows, and each leaf's outcome."""
    async with grove() as made:
        a, b, c, d = (server.address for server in made.nodes)
        flat = made.aggregator("flat", [a, b, c, d])
        two = made.aggregator("two", [await made.served("x", [a, b]), await made.served("y", [c, d])])
        deep = await made.served("q", [b, await made.served("r", [c])])
        three = made.aggregator("three", [a, deep, d])
        answers = [await ask(aggregator, MatrixQuery(series)) for aggregator in (flat, two, three)]
    expected = told_by(answers[0], writes=series.is_write)
    assert expected.values["route:1", 12_000] == (100 if series.is_write else 144)
    assert expected.divergences == {("n2", "route:1")}
    for answer in answers[1:]:
        assert told_by(answer, writes=series.is_write) == expected
        assert plain(answer.outcomes) == plain(answers[0].outcomes)


async def test_who_says_what_goes_through_trees() -> None:
    """The cell of a tree lists every leaf's share, as the flat one does, over HTTP's way and over gRPC alike."""
    async with grove() as made:
        a, b, c, d = (server.address for server in made.nodes)
        flat = made.aggregator("flat", [a, b, c, d])
        lower = await made.served("x", [b, c])
        tree = made.aggregator("tree", [a, lower, d])
        cells = [
            await one.cell(
                bucket_id="route:1", column_unix_ms=12_000, series=Series.WRITES, deadline=Deadline.after(10)
            )
            for one in (flat, tree)
        ]
        async with grpc.aio.insecure_channel(lower) as channel:
            told = await rpc.KeyVizStub(channel).GetKeyVizMatrix(
                pb.GetKeyVizMatrixRequest(bucket_ids=["route:1"], unmerged=True)
            )
    assert cells[0].contributions == cells[1].contributions
    assert (cells[0].value, cells[0].conflict) == (100, True)
    assert [(c.node_id, c.raft_group_id, c.leader_term, c.value, c.counted) for c in cells[0].contributions] == [
        ("n0", 1, 7, 60, True),
        ("n1", 1, 8, 40, True),
        ("n2", 1, 8, 39, False),
        ("n3", 0, 0, 5, False),
    ]
    assert "smaller than n1's" in cells[0].contributions[2].reason
    assert len(told.leaf_answers) == 2


async def test_one_nodes_own_view_goes_through_trees() -> None:
    """What that node says, unmerged with anybody; the others are not part of it."""
    async with grove() as made:
        a, b, c, d = (server.address for server in made.nodes)
        tree = made.aggregator("tree", [a, await made.served("x", [b, c]), d])
        answer = await ask(tree, MatrixQuery(Series.WRITES, node_id="n2"))
    assert answer.matrix.values.tolist() == [[39, 39, 39], [0, 0, 0]]
    assert answer.matrix.catalogue.rows[0].end == b"n"


async def test_a_lost_leaf_is_named_at_the_root() -> None:
    """Through the aggregator between; the others' data is there."""
    async with grove() as made:
        a, b, c, d = (server.address for server in made.nodes)
        root = made.aggregator("root", [await made.served("x", [a, b]), await made.served("y", [c, d])])
        await made.nodes[1].drain()
        answer = await ask(root, MatrixQuery(Series.WRITES))
    kinds = [(outcome.address, outcome.kind) for outcome in answer.outcomes]
    assert kinds == [(a, None), (b, FailureKind.UNREACHABLE), (c, None), (d, None)]
    assert told_by(answer, writes=True).values["route:1", 11_000] == 99


async def test_two_aggregators_that_ask_each_other_refuse_at_once() -> None:
    """A ring is not followed."""
    async with grove() as made:
        root = made.aggregator("root", [made.nodes[0].address])
        with pytest.raises(LoopRefused, match="root"):
            await ask(root, MatrixQuery(Series.WRITES, via=("root",)))


@dataclass
class Gated:
    """A peer that answers when it is its turn."""

    address: str
    answer: Answer
    told_id: str = ""
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def matrix(self, query: MatrixQuery, deadline: Deadline, budget: BytesBudget) -> Answer:
        """The prepared answer."""
        await self.turn.wait()
        self.done.set()
        return self.answer

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview:
        """Its name."""
        return Overview(Member(self.answer.node_id, self.address))


@dataclass
class Fixed:
    """A membership that never changes."""

    members: list[Gated]

    async def peers(self, deadline: Deadline) -> Sequence[Gated]:
        """In configured order."""
        return self.members

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """Nothing to learn."""

    async def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
async def test_the_order_of_arrival_is_irrelevant(order: tuple[int, ...]) -> None:
    """Bytes equal; the first configured peer's range is shown even when it answers last."""
    peers = [Gated(f"p{n}:1", answer_of(one, Series.WRITES)) for n, one in enumerate(NODES)]
    aggregator = Aggregator(
        Fixed(peers), settings=FanoutSettings(timeout_s=30), node_id="agg", incarnation=1, wall_clock=lambda: NOW_S
    )
    asking = asyncio.create_task(ask(aggregator, MatrixQuery(Series.WRITES)))
    for number in order:
        peers[number].turn.set()
        await peers[number].done.wait()
    answer = await asking
    await aggregator.close()
    assert answer.matrix.catalogue.rows[0].end == b"m"
    reference = Aggregator(
        Fixed(peers), settings=FanoutSettings(timeout_s=30), node_id="agg", incarnation=1, wall_clock=lambda: NOW_S
    )
    again = await ask(reference, MatrixQuery(Series.WRITES))
    await reference.close()
    for accept in ((), (pb.MATRIX_ENCODING_COLUMNAR,)):
        assert encode_answer(answer, accept=accept).SerializeToString(deterministic=True) == encode_answer(
            again, accept=accept
        ).SerializeToString(deterministic=True)


async def test_an_old_node_below_an_aggregator_is_as_it_is_at_the_root() -> None:
    """Its stamps, its missing step and its missing name are dealt with next to it."""
    old = as_old(answer_of(NODES[2], Series.WRITES), "old", {("route:1", s): (1, 8) for s in STAMPS}, phase_ms=320)
    new = [answer_of(one, Series.WRITES) for one in NODES[:2]]

    async def of(*parts: Answer) -> Answer:
        peers = [Gated(f"p{n}:1", part) for n, part in enumerate(parts)]
        for peer in peers:
            peer.turn.set()
        aggregator = Aggregator(Fixed(peers), settings=FanoutSettings(), node_id="agg", wall_clock=lambda: NOW_S)
        answer = await ask(aggregator, MatrixQuery(Series.WRITES))
        await aggregator.close()
        return answer

    flat, tree = await of(*new, old), await of(new[0], await of(new[1], old))
    assert told_by(flat, writes=True) == told_by(tree, writes=True)
    assert flat.matrix.columns.tolist() == STAMPS
