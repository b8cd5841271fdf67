"""A running store whose nodes are old or new, life by life, with books of what each counted."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
from prometheus_client import CollectorRegistry

from keyviz_grpc.auth import Verifier
from keyviz_grpc.interceptors import Gate
from keyviz_grpc.layers import Layers
from keyviz_grpc.model import Series
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.server import serve_node
from tests.integration.odd_nodes import Noting
from tests.reference.oracle import Cell, Identity, Node
from tests.reference.without_hot_keys import WithoutHotKeys

STEP_MS = 10_000
START_MS = 1_777_290_360_000
ROUTES = (Route(1, b"", b"h", 1), Route(2, b"h", b"p", 2), Route(3, b"p", b"", 1))
KEYS = {1: b"a", 2: b"k", 3: b"z"}
RANGES = {f"route:{route.route_id}": (route.start, route.end) for route in ROUTES}
NODES = 3


@dataclass(eq=False)
class Life:
    """What one process of a node counted since it started, and how it tells it.

    reads[bucket, stamp] and writes[bucket, stamp][identity]; at_close[bucket, stamp]: the identity known when the
    window closed, under which an old node tells all of its writes.
    """

    number: int
    old: bool
    step_ms: int = STEP_MS
    reads: Counter[Cell] = field(default_factory=Counter)
    writes: dict[Cell, Counter[Identity]] = field(default_factory=lambda: defaultdict(Counter))
    at_close: dict[Cell, Identity] = field(default_factory=dict)
    stamps: list[int] = field(default_factory=list)
    sampler: Sampler | None = None
    methods: list[str] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    end: Callable[[], Awaitable[object]] | None = None

    def told(self, series: Series) -> Node:
        """What it says, for the oracle."""
        cells: dict[Cell, dict[Identity, int]] = {}
        for cell in itertools.product(RANGES, self.stamps):
            if series is Series.READS:
                cells[cell] = {(0, 0): self.reads[cell]}
            elif shares := self.writes.get(cell):
                cells[cell] = {self.at_close[cell]: shares.total()} if self.old else dict(shares)
        return Node("" if self.old else f"n{self.number}", RANGES, list(self.stamps), cells)


class OldNode(WithoutHotKeys, admin_pb2_grpc.AdminServicer):
    """An existing node: the first fifteen fields at `/Admin/` alone, stamps where its timer woke."""

    def __init__(self, life: Life, name: str) -> None:
        self._life, self._name = life, name

    async def GetKeyVizMatrix(self, request: Any, context: Any) -> pb.GetKeyVizMatrixResponse:  # noqa: N802
        """Its closed windows between `from` and `to`."""
        series = Series.READS if request.series == pb.KEYVIZ_SERIES_READS else Series.WRITES
        said = self._life.told(series)
        late_ms = 37 * (self._life.number + 1)
        stamps = [
            stamp + late_ms
            for stamp in said.stamps
            if request.from_unix_ms <= stamp + late_ms < (request.to_unix_ms or 2**62)
        ]
        message = pb.GetKeyVizMatrixResponse(column_unix_ms=stamps)
        for bucket, (start, end) in RANGES.items():
            row = message.rows.add(bucket_id=bucket, start=start, end=end)
            for stamp in stamps:
                [(identity, value)] = said.cells.get((bucket, stamp - late_ms), {(0, 0): 0}).items()
                row.values.append(value)
                row.raft_group_ids.append(identity[0])
                row.leader_terms.append(identity[1])
        return message

    async def GetClusterOverview(self, request: Any, context: Any) -> pb.GetClusterOverviewResponse:  # noqa: N802
        """Its name, where this version has the method."""
        if not self._name:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        return pb.GetClusterOverviewResponse(self=pb.NodeIdentity(node_id=self._name))


@dataclass
class Store:
    """Three nodes on ports that they keep. named: whether old nodes have GetClusterOverview."""

    stack: contextlib.AsyncExitStack
    verifier: Verifier
    named: bool
    now_ms: int = START_MS
    lives: list[Life | None] = field(default_factory=lambda: [None] * NODES)
    addresses: list[str] = field(default_factory=lambda: ["127.0.0.1:0"] * NODES)
    leaders: dict[int, tuple[int, int]] = field(default_factory=lambda: {1: (0, 7), 2: (1, 3)})
    flipped: set[Cell] = field(default_factory=set)
    born: int = 0

    def clock(self) -> float:
        """Unix seconds."""
        return self.now_ms / 1000

    @property
    def stamp(self) -> int:
        """The end of the window of this moment."""
        return (self.now_ms // STEP_MS + 1) * STEP_MS

    async def start(self, number: int, *, old: bool, step_ms: int = STEP_MS) -> Life:
        """A process where the one before listened."""
        life = Life(number, old, step_ms)
        self.born += 1
        if old:
            noting, gate = Noting(), Layers([], gate=Gate(self.verifier))
            server = grpc.aio.server(handlers=[gate], interceptors=[noting], options=[("grpc.so_reuseport", 0)])
            name = f"n{number}" if self.named else ""
            admin_pb2_grpc.add_AdminServicer_to_server(OldNode(life, name), cast("Any", gate))
            port = server.add_insecure_port(self.addresses[number])
            self.addresses[number] = f"127.0.0.1:{port}"
            await server.start()
            life.methods, life.end = noting.methods, lambda: server.stop(0)
        else:
            life.sampler = self._sampler(number, step_ms)
            running = await serve_node(
                life.sampler, listen=self.addresses[number], verifier=self.verifier, registry=life.registry
            )
            life.end = lambda: running.drain(0)
        self.stack.push_async_callback(life.end)
        self.lives[number] = life
        return life

    def _sampler(self, number: int, step_ms: int) -> Sampler:
        sampler = Sampler(
            node_id=f"n{number}",
            step_ms=step_ms,
            incarnation=START_MS + self.born,
            clock=self.clock,
            wall_clock=self.clock,
            stall_s=60,
        )
        self.stack.callback(sampler.close)
        sampler.register_routes(ROUTES)
        for group, (leader, term) in self.leaders.items():
            sampler.set_leader(group, term, leader_node_id=f"n{leader}")
        return sampler

    async def stop(self, number: int) -> None:
        """Nobody listens there any more; what it counted is gone with it."""
        life, self.lives[number] = self.lives[number], None
        assert life is not None
        assert life.end is not None
        await life.end()
        if life.sampler is not None:
            life.sampler.close()

    def traffic(self, reads: int, writes: int) -> None:
        """Reads at every node, each a number of its own; writes where each route's group is led."""
        for route in ROUTES:
            cell = (f"route:{route.route_id}", self.stamp)
            leader, term = self.leaders[route.raft_group_id]
            for number, life in enumerate(self.lives):
                if life is None:
                    continue
                counts = (reads + number + route.route_id, writes * route.route_id if number == leader else 0)
                life.reads[cell] += counts[0]
                if counts[1]:
                    life.writes[cell][route.raft_group_id, term] += counts[1]
                for op, count in zip((Op.READ, Op.WRITE), counts, strict=True):
                    for _ in range(count if life.sampler is not None else 0):
                        life.sampler.observe(route.route_id, KEYS[route.route_id], op, 1)  # type: ignore[union-attr]

    def flip(self, group: int) -> None:
        """The next node that runs leads it, and everybody learns of it."""
        old, term = self.leaders[group]
        leader = next(n for n in ((old + k) % NODES for k in range(1, NODES + 1)) if self.lives[n] is not None)
        self.leaders[group] = (leader, term + 1)
        self.flipped |= {(f"route:{route.route_id}", self.stamp) for route in ROUTES if route.raft_group_id == group}
        for life in self.lives:
            if life is not None and life.sampler is not None:
                life.sampler.set_leader(group, term + 1, leader_node_id=f"n{leader}")

    def close_window(self) -> None:
        """The window of this moment ends everywhere."""
        stamp = self.stamp
        for life in self.lives:
            if life is None:
                continue
            life.stamps.append(stamp)
            for route in ROUTES:
                life.at_close[f"route:{route.route_id}", stamp] = (
                    route.raft_group_id,
                    self.leaders[route.raft_group_id][1],
                )
        self.now_ms = stamp + 1
        for life in self.lives:
            if life is not None and life.sampler is not None:
                life.sampler.tick()

    def windows(self) -> None:
        """One with settled leaders, one in which a leader changes in mid-window."""
        self.traffic(5, 4)
        self.close_window()
        self.traffic(3, 6)
        self.flip(1)
        self.traffic(2, 4)
        self.close_window()
