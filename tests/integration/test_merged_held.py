"""A merged answer counts among what all requests hold until it is written, at both faces, however its request ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import httpx
import pytest
import pytest_asyncio

from benchmarks.synthetic import Shape, cluster
from gateway.app import create_app
from gateway.matrix_body import MatrixRenderer
from gateway.serving import http_server
from keyviz_grpc import service
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.codec import answer_bytes
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.outcome import Answer
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.server import ServerSettings, serve_cluster, serve_node
from tests.integration.guarded import Prepared

MATRIX = "/admin/api/v1/keyviz/matrix"
TOTAL_BYTES = 50_000_000
[ANSWER] = cluster(Shape(1, 100, 50, conflict_share=0.0, divergent=False))


@dataclass
class Faces:
    """Both faces of one aggregator, which takes no answer of more than 90 rows over gRPC."""

    aggregator: Aggregator
    grpc_address: str
    http: httpx.AsyncClient

    @property
    def holds(self) -> bool:
        """Whether anything is held right now."""
        return not self.aggregator._held.fits(TOTAL_BYTES)

    async def all_back(self) -> None:
        """Returns once nothing is held: a thread may be at work still."""
        async with asyncio.timeout(30):
            while self.holds:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)

    async def called(self, rows: int) -> None:
        """A call over gRPC."""
        async with grpc.aio.insecure_channel(self.grpc_address) as channel:
            await rpc.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(rows=rows), timeout=30)


@pytest_asyncio.fixture
async def faces() -> AsyncIterator[Faces]:
    async with contextlib.AsyncExitStack() as stack:
        node = await stack.enter_async_context(await serve_node(Prepared(ANSWER), listen="127.0.0.1:0"))
        settings = FanoutSettings(timeout_s=20, max_total_bytes=TOTAL_BYTES, max_held_bytes=TOTAL_BYTES)
        aggregator = Aggregator(StaticPeers([node.address], ClientShared()), settings=settings, node_id="a")
        stack.push_async_callback(aggregator.close)
        bounds = ServerSettings(max_rows=90)
        server = await stack.enter_async_context(await serve_cluster(aggregator, listen="127.0.0.1:0", settings=bounds))
        listener = stack.enter_context(contextlib.closing(bind("127.0.0.1:0")))
        await stack.enter_async_context(http_server(create_app(aggregator), listener, grace_s=1))
        base_url = f"http://{address_of(listener)}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=30))
        yield Faces(aggregator, server.address, http)


async def test_everything_comes_back_however_a_request_ends(faces: Faces) -> None:
    """Well, by HEAD, as a question for a node that is not there, and as an answer that is too large to send."""
    assert (await faces.http.get(MATRIX)).status_code == 200
    await faces.all_back()
    assert (await faces.http.head(MATRIX)).status_code == 200
    await faces.all_back()
    assert (await faces.http.get(MATRIX, params={"node": "nobody"})).status_code == 400
    await faces.all_back()
    await faces.called(80)
    await faces.all_back()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await faces.called(0)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await faces.all_back()


@dataclass
class Held:
    """Work in a thread that does not go on before it is told to."""

    entered: threading.Event
    go: threading.Event

    def up(self) -> None:
        """Waits."""
        self.entered.set()
        assert self.go.wait(30)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """What holds up whoever writes an answer, be it as JSON or as a message."""
    held = Held(threading.Event(), threading.Event())
    render = MatrixRenderer.pieces

    def pieces(self: MatrixRenderer, answer: Answer, *, identity: bool = True) -> list[bytes | memoryview]:
        held.up()
        return render(self, answer, identity=identity)

    def encode(answer: Answer, *, accept: tuple[int, ...] = ()) -> bytes:
        if answer.merged:
            held.up()
        return answer_bytes(answer, accept=accept)

    monkeypatch.setattr(MatrixRenderer, "pieces", pieces)
    monkeypatch.setattr(service, "answer_bytes", encode)
    return held


@pytest.mark.parametrize("face", ["http", "grpc"])
@pytest.mark.parametrize("leaves", [False, True])
async def test_it_is_held_while_it_waits_to_be_written(faces: Faces, held: Held, face: str, *, leaves: bool) -> None:
    """Also when its caller has left and a thread still works with it; then all comes back."""
    asking = asyncio.ensure_future(faces.http.get(MATRIX) if face == "http" else faces.called(80))
    assert await asyncio.to_thread(held.entered.wait, 30)
    if leaves:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert faces.holds
    assert faces.aggregator.fan_outs == 0, "the fan-out itself is over"
    held.go.set()
    if not leaves:
        await asking
    await faces.all_back()


async def test_callers_who_share_a_failure_are_each_told() -> None:
    """It is one error for all of them: letting go of what one's functions held takes nothing away from the others."""
    over = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    address = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    aggregator = Aggregator(StaticPeers([address], ClientShared()), settings=FanoutSettings(timeout_s=1), node_id="a")
    async with (
        await serve_cluster(aggregator, listen="127.0.0.1:0") as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = rpc.KeyVizStub(channel)
        calls = [stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=20) for _ in range(20)]
        told = {(await call.code(), str(await call.details()).partition(":")[0]) for call in calls}
    assert told == {(grpc.StatusCode.UNAVAILABLE, "no_peers")}
    over.set()
    await aggregator.close()
    silent.close()
