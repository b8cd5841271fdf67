"""The benchmark of polls with memory: three gateways ask the same nodes, and two of them say the same."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from benchmarks.counted import Counted
from benchmarks.measure import FEWEST_SAMPLES
from benchmarks.roles.passing import Newest
from benchmarks.synthetic import Shape, cluster
from benchmarks.warm import run_case
from keyviz_grpc.codec import encode_query
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_node


@pytest.mark.parametrize("steps", [False, True])
def test_all_sides_are_timed(*, steps: bool) -> None:
    """Warm against cold, and beside them the gateway without work."""
    rows = {row.metric: row for row in run_case(Shape(2, 60, 12), steps=steps, samples=FEWEST_SAMPLES)}
    whole, least = rows["p50 ms"], rows["p50 ms of a gateway without work"]
    assert whole.ours > 0
    assert least.ours > 0
    assert whole.floor == least.floor
    assert "a new column each" in whole.case if steps else "nothing new" in whole.case


async def test_the_gateway_without_work_asks_for_the_newest_columns_alone() -> None:
    """All of them at first, then what closed since: nothing, or one."""
    told: list[pb.GetKeyVizMatrixResponse] = []
    counted = Counted(cluster(Shape(1, 60, 14, flips=False))[0], 12)
    asked = encode_query(MatrixQuery(), accept=(pb.MATRIX_ENCODING_COLUMNAR,)).SerializeToString()
    async with (
        await serve_node(counted.sampler, listen="127.0.0.1:0") as node,
        grpc.aio.insecure_channel(node.address) as channel,
    ):
        method: Any = channel.unary_unary("/keyviz.v1.KeyViz/GetKeyVizMatrix")

        async def call(question: bytes) -> bytes:
            raw: bytes = await method(question)
            told.append(pb.GetKeyVizMatrixResponse.FromString(raw))
            return raw

        newest = Newest(call, asked)
        await newest.ask()
        await newest.ask()
        counted.step()
        await newest.ask()
    counted.sampler.close()
    assert [answer.history.left_out_columns for answer in told] == [0, 12, 11]
