"""A node gives what is ready without a thread: questions that take long do not hold up those that do not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import grpc
import pytest

from keyviz_grpc.outcome import Answer, Overview
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.server import ServerSettings, serve_node
from tests.unit.sampler.clocks import Clock

PACKED = pb.GetKeyVizMatrixRequest(series=pb.KEYVIZ_SERIES_WRITES, accept=[pb.MATRIX_ENCODING_COLUMNAR])
ROWS = pb.GetKeyVizMatrixRequest(series=pb.KEYVIZ_SERIES_WRITES)


class Held:
    """A sampler whose answers wait, once they are made to, for being let go; what it has at once does not wait."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.matrix_at_once, self.standing = sampler.matrix_at_once, sampler.standing
        self.go_on, self.asked = threading.Event(), threading.Event()
        self.go_on.set()

    def matrix(self, query: MatrixQuery) -> Answer:
        """After a while."""
        self.asked.set()
        self.go_on.wait(30)
        return self._sampler.matrix(query)

    def overview(self) -> Overview:
        """Its name."""
        return self._sampler.overview()


@pytest.fixture
def source() -> Iterator[Held]:
    """With one closed window."""
    clock = Clock()
    with Sampler(node_id="n1", step_ms=1000, clock=clock, stall_s=60, drain_interval_s=3600.0) as sampler:
        sampler.register_routes([Route(1, b"", b"", 1)])
        sampler.observe(1, b"k", Op.WRITE, 10)
        clock.now_s += 1
        yield Held(sampler)


async def test_what_is_ready_does_not_wait_for_a_thread(source: Held) -> None:
    """The only one is busy with an answer in rows; a packed one that was given before comes all the same."""
    settings = ServerSettings(threads=1)
    async with (
        await serve_node(source, listen="127.0.0.1:0", settings=settings) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = rpc.KeyVizStub(channel)
        first = await stub.GetKeyVizMatrix(PACKED)
        source.go_on.clear()
        source.asked.clear()
        slow = asyncio.ensure_future(stub.GetKeyVizMatrix(ROWS))
        await asyncio.to_thread(source.asked.wait, 10)
        again = await stub.GetKeyVizMatrix(PACKED, timeout=10)
        assert not slow.done()
        assert again.columnar == first.columnar
        assert sum((await _let_go(source, slow)).rows[0].values) == 1


async def _let_go(source: Held, slow: asyncio.Future[pb.GetKeyVizMatrixResponse]) -> pb.GetKeyVizMatrixResponse:
    source.go_on.set()
    return await slow
