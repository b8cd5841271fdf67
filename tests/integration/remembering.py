"""A cluster in which everything that can happen to closed columns does, over real servers, with and without memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from gateway.matrix_body import MatrixRenderer
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import SamplerDisabled
from keyviz_grpc.model import ALL_KEYS, KeyRange, Series, Window
from keyviz_grpc.outcome import Answer, NoUsablePeers, Overview
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import Shelf
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler
from keyviz_grpc.server import ServerSettings, serve_node

STEP_MS = 1000
START_MS = 1_000_000
COLUMNS = 6
NODES = 3
TIMEOUT_S = 20.0


@dataclass
class Socket:
    """One address: whoever listens there now answers; nobody, where the node is down."""

    sampler: Sampler
    up: bool = True
    failure: Exception = field(default_factory=SamplerDisabled)
    asked: list[MatrixQuery] = field(default_factory=list)

    def matrix(self, query: MatrixQuery) -> Answer:
        """See `Source`."""
        self.asked.append(query)
        if not self.up:
            raise self.failure
        return self.sampler.matrix(query)

    def overview(self) -> Overview:
        """See `Source`."""
        return self.sampler.overview()


def without_latency(answer: Answer) -> Answer:
    """The answer less what differs between any two requests."""
    return replace(answer, outcomes=tuple(replace(outcome, latency_ms=0.0) for outcome in answer.outcomes))


def body_of(answer: Answer) -> bytes:
    """What the gateway sends, and what an aggregator above is told."""
    plain = without_latency(answer)
    return MatrixRenderer().render(plain) + encode_answer(plain, accept=(2,)).SerializeToString(deterministic=True)


@dataclass
class World:
    """Nodes with tiny rings, their routes and leaders, and one clock for all; nodes are n0, n1, …"""

    now_ms: int = START_MS
    sockets: list[Socket] = field(default_factory=list)
    routes: list[Route] = field(default_factory=lambda: [Route(1, b"", b"\x80", 1), Route(2, b"\x80", b"", 2)])
    terms: dict[int, int] = field(default_factory=lambda: {1: 1, 2: 1})
    lives: int = 0
    columns: int = COLUMNS
    next_route: int = 3
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    addresses: list[str] = field(default_factory=list)

    def clock(self) -> float:
        """Every node's and every aggregator's."""
        return self.now_ms / 1000

    async def start(
        self, nodes: int = NODES, *, columns: int = COLUMNS, settings: ServerSettings | None = None
    ) -> None:
        """Serves every node on a port of its own."""
        self.columns = columns
        for number in range(nodes):
            self.sockets.append(Socket(self._born(f"n{number}")))
            server = await serve_node(self.sockets[-1], listen="127.0.0.1:0", settings=settings)
            self.addresses.append((await self.stack.enter_async_context(server)).address)

    def aggregator(
        self,
        shelf: Shelf | None,
        *,
        addresses: list[str] | None = None,
        cap: int = 64 << 20,
        received: Callable[[str, int], None] | None = None,
    ) -> Aggregator:
        """Over all nodes; closed with the world."""
        shared = ClientShared(max_message_bytes=cap, remembered=shelf, received=received)
        made = Aggregator(
            StaticPeers(addresses or self.addresses, shared),
            settings=FanoutSettings(timeout_s=TIMEOUT_S),
            node_id="agg",
            incarnation=1,
            wall_clock=self.clock,
            remembered=shelf,
        )
        self.stack.push_async_callback(made.close)
        return made

    def _born(self, node_id: str) -> Sampler:
        self.lives += 1
        sampler = Sampler(
            node_id=node_id,
            step_ms=STEP_MS,
            columns=self.columns,
            stall_s=3,
            incarnation=START_MS + self.lives,
            clock=self.clock,
            wall_clock=self.clock,
        )
        self.stack.callback(sampler.close)
        sampler.register_routes(self.routes)
        for group, term in self.terms.items():
            sampler.set_leader(group, term)
        return sampler

    # --- what happens; every event takes (which node, a byte)

    def happens(self, event: str, node: int, byte: int) -> None:
        """One event by its name."""
        getattr(self, event)(node % len(self.sockets), byte)

    def write(self, node: int, byte: int) -> None:
        """Some writes, counted on one node."""
        for _ in range(1 + byte % 5):
            self.sockets[node].sampler.observe(self._route(byte).route_id, bytes([byte]), Op.WRITE, byte)

    def read(self, node: int, byte: int) -> None:
        """Some reads."""
        for _ in range(1 + byte % 3):
            self.sockets[node].sampler.observe(self._route(byte).route_id, bytes([byte]), Op.READ, byte)

    def label(self, node: int, byte: int) -> None:
        """A labelled write: a row that was not there before."""
        self.sockets[node].sampler.observe(self._route(byte).route_id, bytes([byte]), Op.WRITE, 1, label=f"l{byte % 3}")

    def late(self, node: int, byte: int) -> None:
        """An operation of a window up to ten steps ago, closed, held, slept through or forgotten."""
        at = self.now_ms - (byte % 10) * STEP_MS
        keys = PackedKeys(np.zeros(1, np.uint8), np.array([0, 1]))
        self.sockets[node].sampler.observe_many(
            [self._route(byte).route_id], keys, np.ones(1, np.uint8), [byte], at_unix_ms=[at]
        )

    def flip(self, node: int, byte: int) -> None:
        """A new term; everybody learns of it, or one node alone."""
        group = 1 + byte % 2
        self.terms[group] += 1
        for number, socket in enumerate(self.sockets):
            if byte % 3 or number == node:
                socket.sampler.set_leader(group, self.terms[group], leader_node_id=f"n{node}")

    def split(self, node: int, byte: int) -> None:
        """The lower half keeps its id."""
        del node
        old = self._route(byte)
        if bytes([byte]) == old.start or len(self.routes) > 5:
            return
        upper = Route(self._id(), bytes([byte]), old.end, old.raft_group_id)
        self._replace([], [Route(old.route_id, old.start, bytes([byte]), old.raft_group_id), upper], [old])

    def join(self, node: int, byte: int) -> None:
        """Two neighbours become one, under a new id or that of the first."""
        del node
        if len(self.routes) < 2:
            return
        left, right = self.routes[byte % (len(self.routes) - 1) :][:2]
        if byte % 2:
            one = Route(self._id(), left.start, right.end, left.raft_group_id)
            self._replace([left.route_id, right.route_id], [one], [left, right])
        else:
            one = Route(left.route_id, left.start, right.end, left.raft_group_id)
            self._replace([right.route_id], [one], [left, right])

    def diverge(self, node: int, byte: int) -> None:
        """One node alone learns of a route."""
        self.sockets[node].sampler.register_routes(
            [Route(1000 + byte % 4, bytes([byte % 200]), bytes([byte % 200 + 9]))]
        )

    def step(self, node: int, byte: int) -> None:
        """Time passes on all nodes, up to three windows."""
        del node
        self.now_ms += (1 + byte % 3) * STEP_MS - byte % 7
        for socket in self.sockets:
            socket.sampler.tick()

    def lag(self, node: int, byte: int) -> None:
        """Time passes, and one node does not notice before it is asked."""
        self.now_ms += STEP_MS - byte % 7
        for number, socket in enumerate(self.sockets):
            if number != node:
                socket.sampler.tick()

    def sleep(self, node: int, byte: int) -> None:
        """Nobody runs for a while: those windows are absent."""
        del node
        self.now_ms += (4 + byte % 4) * STEP_MS

    def back(self, node: int, byte: int) -> None:
        """All clocks go back."""
        del node
        self.now_ms -= (byte % 30) * STEP_MS // 10
        for socket in self.sockets:
            socket.sampler.tick()

    def restart(self, node: int, byte: int) -> None:
        """A new life; sometimes, its clock having gone back, under the incarnation of the one before."""
        old = self.sockets[node].sampler
        self.sockets[node].sampler = self._born(old.node_id)
        if byte % 2:
            self.sockets[node].sampler.incarnation = old.incarnation

    def swap(self, node: int, byte: int) -> None:
        """Two addresses change places, as pods do."""
        other = (node + 1 + byte) % len(self.sockets)
        mine, yours = self.sockets[node], self.sockets[other]
        mine.sampler, yours.sampler = yours.sampler, mine.sampler

    def fail(self, node: int, byte: int) -> None:
        """A node goes away, or all that were away are back."""
        if byte % 3 == 0:
            self.sockets[node].up = False
            return
        for socket in self.sockets:
            socket.up = True

    def _replace(self, remove: list[int], add: list[Route], gone: list[Route]) -> None:
        for socket in self.sockets:
            socket.sampler.replace_routes(remove=remove, add=add)
        self.routes = sorted([*(route for route in self.routes if route not in gone), *add], key=lambda r: r.start)

    def _route(self, byte: int) -> Route:
        return next(r for r in self.routes if r.start <= bytes([byte]) and (not r.end or bytes([byte]) < r.end))

    def _id(self) -> int:
        self.next_route += 1
        return self.next_route - 1

    # --- looking at it

    def query(self, node: int, byte: int) -> MatrixQuery:
        """A question of any series, and of any stretch of time from long ago to the future."""
        series = list(Series)[byte % 4]
        start = 0 if byte % 3 == 0 else self.now_ms - (byte % 11) * STEP_MS - byte % 500
        end = 0 if byte % 5 else max(start, self.now_ms - (node % 3) * STEP_MS)
        keys = KeyRange(b"\x40", b"\xa0") if byte % 11 == 0 else ALL_KEYS
        rows = 3 if byte % 7 == 0 else 0
        display, plain = byte % 2 == 1, byte % 13 == 2
        return MatrixQuery(series, Window(start, end), rows=rows, keys=keys, for_display=display, without_roles=plain)


async def seen(aggregator: Aggregator, query: MatrixQuery) -> bytes:
    """The body, or the outcomes where nobody answers."""
    try:
        return body_of(await aggregator.matrix(query, Deadline.after(TIMEOUT_S)))
    except NoUsablePeers as error:
        return repr([replace(outcome, latency_ms=0.0) for outcome in error.outcomes]).encode()
    except SamplerDisabled:
        return b"disabled"


async def answered(aggregator: Aggregator, nodes: int) -> None:
    """Returns once so many nodes answer: a connection that was lost is made again within seconds."""
    for _ in range(200):
        with contextlib.suppress(NoUsablePeers, SamplerDisabled):
            if (await aggregator.matrix(MatrixQuery(), Deadline.after(TIMEOUT_S))).responded == nodes:
                return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{nodes} nodes do not answer")
