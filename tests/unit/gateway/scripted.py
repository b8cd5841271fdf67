"""A cluster that says what a test tells it to, and a client that asks the HTTP face about it without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from gateway.app import create_app
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.hotkeys import HotKey, HotKeysAnswer, HotKeysQuery
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Cell, Contribution, GroupLeader, Member, Outcome, Overview
from keyviz_grpc.query import MatrixQuery

MOMENT_MS = 1_777_290_300_123
"""2026-04-27T11:45:00.123Z"""

API = "/admin/api/v1"
MATRIX = f"{API}/keyviz/matrix"
OK = Outcome("10.0.0.1:50051", "n1", generated_at_unix_ms=MOMENT_MS, latency_ms=3.14)
DEAD = Outcome("10.0.0.2:50051", kind=FailureKind.UNREACHABLE, detail="connection refused")


def answer_of(
    values: Sequence[Sequence[int]],
    *,
    outcomes: tuple[Outcome, ...] = (OK,),
    series: Series = Series.WRITES,
    merged: bool = True,
    **matrix: Any,
) -> Answer:
    """A merged answer of plain routes 1, 2, … in key order, columns at minutes 1, 2, …"""
    cells = np.array(values, np.uint64).reshape(len(values), len(values[0]) if values else 0)
    rows = tuple(Row(f"route:{n + 1}", b"%03d" % n, b"%03d" % (n + 1)) for n in range(len(values)))
    columns = np.arange(1, cells.shape[1] + 1, dtype=np.int64) * 60_000
    return Answer(
        Matrix(series, columns, matrix.pop("catalogue", Catalogue(rows)), cells, **matrix),
        outcomes,
        step_ms=60_000,
        generated_at_unix_ms=MOMENT_MS,
        merged=merged,
        column_nodes=np.full(cells.shape[1], len(outcomes), np.int64),
    )


def hot_answer_of(**changes: Any) -> HotKeysAnswer:
    """Three keys of a route in two slices, as two windows of one node have them, sampled 1 in 4."""
    keys = (
        HotKey(b"b", 400, 392, 400, 4),
        HotKey(b"a", 40, 40, 48, 4),
        HotKey(b"\xff\x00", 40, 40, 48, 4),
    )
    held: dict[str, Any] = {"keys": keys, "outcomes": (OK,)} | {
        "snapshot_at_unix_ms": 120_000,
        "oldest_unix_ms": 60_000,
        "newest_unix_ms": 120_000,
    }
    told = {
        "sample_rate": 4,
        "sampled_n": 150,
        "sketch_error": 8,
        "error_bound": 40,
        "unlisted_bound": 40,
        "observed": True,
        "slices": 2,
    }
    return HotKeysAnswer(merged=True, **{**held, **told, **changes})


@dataclass
class ScriptedCluster:
    """Implements `Cluster`. `reply` is given or raised; while `held` is there and not set, nobody gets an answer."""

    reply: Answer | Exception = field(default_factory=lambda: answer_of([[1, 2, 3]]))
    is_ready: bool = True
    held: asyncio.Event | None = None
    queries: list[MatrixQuery] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)
    cancelled: int = 0
    hot: HotKeysAnswer = field(default_factory=hot_answer_of)
    hot_queries: list[HotKeysQuery] = field(default_factory=list)
    readiness_asked: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    node_id: str = "gw"

    async def asked_for(self, count: int) -> None:
        """Waits until that many matrices were asked for."""
        while len(self.queries) < count:
            self.asked.clear()
            await self.asked.wait()

    async def _hold(self) -> None:
        self.asked.set()
        try:
            if self.held is not None:
                await self.held.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.reply, Exception):
            raise self.reply

    async def matrix(self, query: MatrixQuery, deadline: Deadline) -> Answer:
        """See `Cluster`."""
        self.queries.append(query)
        self.deadlines.append(deadline)
        await self._hold()
        assert isinstance(self.reply, Answer)
        return self.reply

    async def cell(self, *, bucket_id: str, column_unix_ms: int, series: Series, deadline: Deadline) -> Cell:
        """See `Cluster`."""
        self.deadlines.append(deadline)
        await self._hold()
        said = Contribution("10.0.0.1:50051", "n1", 7, 4, 9, counted=True, reason="the leader's count under this term")
        return Cell(bucket_id, column_unix_ms, series, 7, conflict=False, contributions=(said,), outcomes=(OK,))

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline) -> HotKeysAnswer:
        """See `Cluster`."""
        self.hot_queries.append(query)
        self.deadlines.append(deadline)
        await self._hold()
        return self.hot

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview:
        """See `Cluster`."""
        await self._hold()
        leaders = (GroupLeader(1, "n1", 7), GroupLeader(2, "gw", 8), GroupLeader(3, "", 0))
        return Overview(Member("gw", ""), (Member("n1", "10.0.0.1:50051"),), leaders, version="1.2.3")

    async def ready(self, deadline: Deadline) -> bool:
        """See `Cluster`."""
        self.readiness_asked += 1
        await self._hold()
        return self.is_ready


@asynccontextmanager
async def asking(cluster: ScriptedCluster | None = None, **of_app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application over the cluster."""
    app = create_app(cluster or ScriptedCluster(), **of_app)
    transport = httpx.ASGITransport(app=app, client=("192.0.2.9", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        yield client
