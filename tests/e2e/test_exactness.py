"""A real trace with real leadership changes, replayed into real processes: every cell of the heatmap is the truth."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest

from keyviz_grpc.cli.children import Child
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as service
from tests.e2e.conftest import Processes, ask
from tests.e2e.truth import SERIES, Truth, truth_of
from tests.reference.without_hot_keys import WithoutHotKeys

pytestmark = pytest.mark.e2e

STEP_S = 60
START_MS = 1_767_225_600_000
TOTALS = {"reads": 46_974, "writes": 66_898}
NODES = 3
SLICES = 16


@pytest.fixture(scope="module")
def truth(shared_trace: tuple[Path, Path]) -> Truth:
    """Counted by code of its own."""
    return truth_of(shared_trace[0], routes=57, step_s=STEP_S)


async def replaying(processes: Processes, shared_trace: tuple[Path, Path], *more: str) -> list[Child]:
    """Three nodes that have taken the whole trace in."""
    trace, leadership = map(str, shared_trace)
    arguments = [
        "--trace",
        trace,
        "--leadership",
        leadership,
        "--trace-start",
        str(START_MS + 59_999),
        "--speed",
        "max",
    ]
    shared = [*arguments, "--step", f"{STEP_S}s", "--nodes", str(NODES), *more]
    started = [processes.node("--node-index", str(index), *shared) for index in range(NODES)]
    return list(await asyncio.gather(*started))


def check_cells(body: dict[str, Any], series: str, truth: Truth, *, slices: int = 1) -> None:
    """Columns without a hole, rows that cover the key space at the truth's cuts, and the truth in every cell."""
    expected = [START_MS + 1000 * STEP_S * (number + 1) for number in range(truth.windows)]
    assert body["column_unix_ms"] == expected
    starts = [base64.b64decode(row["start"]) for row in body["rows"]]
    assert starts == truth.starts
    assert all(left["end"] == right["start"] for left, right in pairwise(body["rows"]))
    assert body["rows"][-1]["end"] == ""
    ids = [f"route:{number + 1}" for number in range(57)]
    if slices > 1:
        ids = [f"{route}#{number}" for route in ids for number in range(slices)]
    assert [row["bucket_id"] for row in body["rows"]] == ids
    for number, row in enumerate(body["rows"]):
        assert row["values"] == truth.row(series, number), row["bucket_id"]


async def test_every_cell_is_the_truth_in_any_order_of_nodes(
    processes: Processes, shared_trace: tuple[Path, Path], truth: Truth
) -> None:
    """All four series over HTTP, exact to the last count, without a conflict, however the nodes are listed."""
    nodes = await replaying(processes, shared_trace)
    addresses = [node.ready["grpc"] for node in nodes]
    orders = [addresses, addresses[::-1], [addresses[1], addresses[2], addresses[0]]]
    gateways = [await processes.gateway(order) for order in orders]
    for series in SERIES:
        bodies = [await ask(gateway, series=series) for gateway in gateways]
        for body, order in zip(bodies, orders, strict=True):
            check_cells(body, series, truth)
            assert [row["conflict"] for row in body["rows"]] == [False] * 57
            assert [node["node"] for node in body["fanout"]["nodes"]] == order
            assert body["fanout"]["responded"] == body["fanout"]["expected"] == NODES
            assert set(body["column_nodes"]) == {NODES}
        assert all(body["rows"] == bodies[0]["rows"] for body in bodies)
        if series in TOTALS:
            assert sum(sum(row["values"]) for row in bodies[0]["rows"]) == TOTALS[series]


async def test_every_cell_of_every_slice_is_the_truth(processes: Processes, shared_trace: tuple[Path, Path]) -> None:
    """16 slices a route, cut by code of the test's own: all four series over HTTP, without a conflict or a warning."""
    truth = truth_of(shared_trace[0], routes=57, step_s=STEP_S, slices=SLICES)
    nodes = await replaying(processes, shared_trace, "--slices", str(SLICES))
    gateway = await processes.gateway([node.ready["grpc"] for node in nodes])
    for series in SERIES:
        body = await ask(gateway, series=series, rows=57 * SLICES)
        check_cells(body, series, truth, slices=SLICES)
        assert not any(row["conflict"] for row in body["rows"])
        assert not any(node.get("warnings") for node in body["fanout"]["nodes"])
        if series in TOTALS:
            assert sum(sum(row["values"]) for row in body["rows"]) == TOTALS[series]
    divided = {number // SLICES for number, _ in truth.cells["writes"] if number % SLICES}
    assert len(divided) > 40  # keys do fall into more than the first slice of most routes


async def test_windows_in_which_a_leader_changed_hold_several_shares(
    processes: Processes, shared_trace: tuple[Path, Path]
) -> None:
    """The trace has the very case that one identity a cell gets wrong: leaders change while writes come in."""
    nodes = await replaying(processes, shared_trace)
    gateway = await processes.gateway([node.ready["grpc"] for node in nodes])
    async with grpc.aio.insecure_channel(gateway.ready["grpc"]) as channel:
        answer = await service.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
    assert len({(share.row, share.column) for share in answer.shares}) >= 10


async def test_a_stale_copy_under_the_same_identity_is_a_conflict(
    processes: Processes, shared_trace: tuple[Path, Path], truth: Truth
) -> None:
    """Exactly the cells with a stale copy conflict, and the larger value, the leader's, stands."""
    nodes = await replaying(processes, shared_trace)
    doctored, cells = await doctor(*nodes)
    server = grpc.aio.server()
    service.add_KeyVizServicer_to_server(Doctored(doctored), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        gateway = await processes.gateway([nodes[0].ready["grpc"], nodes[1].ready["grpc"], address])
        body = await ask(gateway, series="writes")
    finally:
        await server.stop(None)
    check_cells(body, "writes", truth)
    found = {
        (row["bucket_id"], body["column_unix_ms"][number])
        for row in body["rows"]
        for number, conflict in enumerate(row.get("conflicts", []))
        if conflict
    }
    assert found == cells
    assert {row["bucket_id"] for row in body["rows"] if row["conflict"]} == {bucket for bucket, _ in cells}


class Doctored(WithoutHotKeys, service.KeyVizServicer):
    """Serves one prepared answer to every question."""

    def __init__(self, answer: pb.GetKeyVizMatrixResponse) -> None:
        self._answer = answer

    async def GetKeyVizMatrix(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetKeyVizMatrixRequest, context: object
    ) -> pb.GetKeyVizMatrixResponse:
        """The prepared answer."""
        return self._answer

    async def GetClusterOverview(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetClusterOverviewRequest, context: object
    ) -> pb.GetClusterOverviewResponse:
        """Who prepared it."""
        return pb.GetClusterOverviewResponse(self=pb.NodeIdentity(node_id=self._answer.node_id))


async def doctor(
    leader: Child, _other: Child, follower: Child
) -> tuple[pb.GetKeyVizMatrixResponse, set[tuple[str, int]]]:
    """The follower's answer with stale copies of some of the leader's cells, and which cells those are."""
    answers = []
    for node in (leader, follower):
        async with grpc.aio.insecure_channel(node.ready["grpc"]) as channel:
            answers.append(await service.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest()))
    true, stale = answers
    mixed = {(share.row, share.column) for share in (*true.shares, *stale.shares)}
    cells: set[tuple[str, int]] = set()
    for number, (there, here) in enumerate(zip(true.rows, stale.rows, strict=True)):
        assert there.bucket_id == here.bucket_id
        for column, value in enumerate(there.values):
            if value < 2 or here.values[column] or (number, column) in mixed or len(cells) >= 25:
                continue
            here.values[column] = value - 1
            for name in ("raft_group_ids", "leader_terms"):
                if not getattr(here, name):
                    getattr(here, name).extend([0] * len(here.values))
                getattr(here, name)[column] = getattr(there, name)[column]
            cells.add((here.bucket_id, true.column_unix_ms[column]))
    assert len(cells) == 25
    return stale, cells


@pytest.mark.parametrize(
    ("number", "kind", "at_most_s"), [(signal.SIGKILL, "unreachable", 2.5), (signal.SIGSTOP, "deadline_exceeded", 2.8)]
)
async def test_a_lost_node_costs_only_its_own_share(
    processes: Processes, shared_trace: tuple[Path, Path], number: signal.Signals, kind: str, at_most_s: float
) -> None:
    """A killed or frozen node: 200 in time, the others' cells as they were, and who is missing and why is said."""
    nodes = await replaying(processes, shared_trace)
    gateway = await processes.gateway([node.ready["grpc"] for node in nodes])
    whole = await ask(gateway, series="writes")
    async with grpc.aio.insecure_channel(nodes[1].ready["grpc"]) as channel:
        lost = await service.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
    os.kill(nodes[1].process.pid, number)
    began = time.monotonic()
    body = await ask(gateway, series="writes")
    assert time.monotonic() - began < at_most_s
    missing = body["fanout"]["nodes"][1]
    assert (missing["node"], missing["ok"], missing["kind"]) == (nodes[1].ready["grpc"], False, kind)
    assert missing["error"]
    assert (body["fanout"]["responded"], body["fanout"]["expected"]) == (2, 3)
    assert body["column_unix_ms"] == whole["column_unix_ms"]
    assert sum(sum(row.values) for row in lost.rows) > 0
    for before, after, own in zip(whole["rows"], body["rows"], lost.rows, strict=True):
        assert after["values"] == [a - b for a, b in zip(before["values"], own.values, strict=True)]
        assert after["conflict"] is False
    again = await ask(gateway, series="reads")
    assert again["fanout"]["responded"] == 2
