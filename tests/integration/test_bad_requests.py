"""Every field and every piece of metadata of a gRPC call, wrong in turn; the next call works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.half_open import INTERNAL, NO_MESSAGE
from keyviz_grpc.outcome import Answer, Overview
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as service
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_cluster, serve_node
from tests.integration.http_clusters import counting, http_cluster

Ask = pb.GetKeyVizMatrixRequest
COLUMNAR = [pb.MATRIX_ENCODING_COLUMNAR]
FACES = ("node", "cluster")
READS = pb.KEYVIZ_SERIES_READS
MATRIX = "/keyviz.v1.KeyViz/GetKeyVizMatrix"


@pytest_asyncio.fixture(params=FACES)
async def channel(request: pytest.FixtureRequest) -> AsyncIterator[grpc.aio.Channel]:
    """To a node, then to an aggregator over it."""
    async with AsyncExitStack() as stack:
        sampler = stack.enter_context(counting(1))
        server = await stack.enter_async_context(await serve_node(sampler, listen="127.0.0.1:0"))
        if request.param == "cluster":
            peers = StaticPeers([server.address], ClientShared())
            aggregator = Aggregator(peers, settings=FanoutSettings(), node_id="gw")
            stack.push_async_callback(aggregator.close)
            server = await stack.enter_async_context(await serve_cluster(aggregator, listen="127.0.0.1:0"))
        yield await stack.enter_async_context(grpc.aio.insecure_channel(server.address))


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """Status and words of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


async def works(channel: grpc.aio.Channel, **call: Any) -> pb.GetKeyVizMatrixResponse:
    """A good question, answered with what was counted."""
    answer: pb.GetKeyVizMatrixResponse = await service.KeyVizStub(channel).GetKeyVizMatrix(Ask(series=READS), **call)
    assert sum(sum(row.values) for row in answer.rows) == 30
    return answer


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (Ask(series=99), "series=99"),  # type: ignore[arg-type]
        (Ask(series=-1), "series=-1"),  # type: ignore[arg-type]
        (Ask(from_unix_ms=-1), "from_unix_ms=-1"),
        (Ask(to_unix_ms=-(2**63)), "to_unix_ms=-9223372036854775808"),
        (Ask(from_unix_ms=2, to_unix_ms=1), "from_unix_ms=2"),
        (Ask(via=["x"] * 33), "via=33"),
        (Ask(via=["v" * 1025]), "via='vvv"),
        (Ask(bucket_ids=["b"] * 4097), "bucket_ids=4097"),
        (Ask(bucket_ids=["b" * 100_000]), "bucket_ids='bbb"),
        (Ask(exclude=[pb.LeafKey(node_id="n")] * 4097), "exclude=4097"),
        (Ask(exclude=[pb.LeafKey(node_id="n" * 1025)]), "exclude='nnn"),
        (Ask(node_id="n" * 1025), "node_id='nnn"),
        (Ask(accept=COLUMNAR, known=pb.KnownColumns(node_id="n", incarnation=-1)), "known.incarnation=-1"),
        (Ask(accept=COLUMNAR, known=pb.KnownColumns(incarnation=1, below_unix_ms=1)), "known="),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_field_is_named_with_its_value(channel: grpc.aio.Channel, asked: Ask, named: str) -> None:
    """INVALID_ARGUMENT, one short line; the same on a node and on an aggregator."""
    code, words = await refusal(service.KeyVizStub(channel).GetKeyVizMatrix(asked))
    assert (code, named in words, len(words) < 400, "\n" in words) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        True,
        True,
        False,
    ), words
    await works(channel)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (pb.GetHotKeysRequest(), "route_id=0"),
        (pb.GetHotKeysRequest(route_id=1, series=99), "series=99"),  # type: ignore[arg-type]
        (pb.GetHotKeysRequest(route_id=1, from_unix_ms=-1), "from_unix_ms=-1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_question_for_hot_keys_is_named_too(
    channel: grpc.aio.Channel, asked: pb.GetHotKeysRequest, named: str
) -> None:
    """As for matrices."""
    code, words = await refusal(service.KeyVizStub(channel).GetHotKeys(asked))
    assert (code, named in words) == (grpc.StatusCode.INVALID_ARGUMENT, True), words


@pytest.mark.parametrize(("via", "named"), [(["x"] * 33, "via=33"), (["v" * 1025], "via='vvv")], ids=["many", "long"])
async def test_a_wrong_way_to_the_overview_is_named_too(channel: grpc.aio.Channel, via: list[str], named: str) -> None:
    """As for matrices, on a node and on an aggregator."""
    asked = pb.GetClusterOverviewRequest(via=via)
    code, words = await refusal(service.KeyVizStub(channel).GetClusterOverview(asked))
    assert (code, named in words) == (grpc.StatusCode.INVALID_ARGUMENT, True), words


@pytest.mark.parametrize(
    "asked",
    [
        Ask(series=READS, rows=2**32 - 1),
        Ask(series=READS, accept=[99]),  # type: ignore[list-item]
        Ask(series=READS, to_unix_ms=2**63 - 1),
        Ask(series=READS, via=["x"] * 31),
    ],
    ids=["rows", "encoding", "to", "via"],
)
async def test_what_is_odd_but_sound_is_answered(channel: grpc.aio.Channel, asked: Ask) -> None:
    """The largest budget, an encoding of a later version, the end of time, a long way."""
    answer = await service.KeyVizStub(channel).GetKeyVizMatrix(asked)
    assert sum(sum(row.values) for row in answer.rows) == 30


async def test_bytes_that_are_no_message_and_messages_that_are_too_long_are_refused(channel: grpc.aio.Channel) -> None:
    """Without a word about our insides; fields of a later version are passed over."""
    raw: Any = channel.unary_unary(MATRIX)
    code, words = await refusal(raw(b"\xff\xff\xff\xff"))
    assert (code, words) == (grpc.StatusCode.INVALID_ARGUMENT, NO_MESSAGE)
    code, words = await refusal(raw(Ask(node_id="n" * (1 << 20)).SerializeToString()))
    assert (code, "larger than max" in words) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
    assert await raw(Ask(series=READS).SerializeToString() + b"\xf2\x3f\x03new")
    await works(channel)


@pytest.mark.parametrize(
    "metadata",
    [
        (("x-request-id", "a b c"),),
        (("x-request-id", "x" * 5000),),
        (("x-request-id", "one"), ("x-request-id", "two")),
        (("x-request-id-bin", b"\xff\x00"),),
        (("traceparent", "00-zz-zz-zz"),),
        (("traceparent", "x" * 5000),),
        (("grpc-timeout-of-mine", "soon"),),
    ],
    ids=lambda value: value[0][0],
)
async def test_strange_metadata_does_no_harm(channel: grpc.aio.Channel, metadata: Any) -> None:
    """Whatever it says, a good question is answered."""
    await works(channel, metadata=metadata)


async def test_more_metadata_than_fits_is_refused(channel: grpc.aio.Channel) -> None:
    """And the connection is good for the next call."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await works(channel, metadata=(("x-long", "x" * 200_000),))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await works(channel)


async def test_a_bug_of_ours_tells_the_caller_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """INTERNAL with a stable text; the log has the rest."""

    class Broken:
        def matrix(self, query: MatrixQuery) -> Answer:
            raise ZeroDivisionError("secret-inside")

        def overview(self) -> Overview:
            raise ZeroDivisionError("secret-inside")

        def hot_keys(self, query: object, given_up: object = None) -> Any:
            raise ZeroDivisionError("secret-inside")

    async with (
        await serve_node(Broken(), listen="127.0.0.1:0") as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = service.KeyVizStub(channel)
        for call in (stub.GetKeyVizMatrix(Ask()), stub.GetClusterOverview(pb.GetClusterOverviewRequest())):
            assert await refusal(call) == (grpc.StatusCode.INTERNAL, INTERNAL)
    assert "secret-inside" in caplog.text


async def test_a_verifier_that_breaks_tells_the_caller_nothing_either(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody comes in, and nobody learns why."""

    class Broken:
        def verify(self, authorization: str | None) -> str:
            raise ZeroDivisionError("secret-inside")

    with counting(1) as sampler:
        async with (
            await serve_node(sampler, listen="127.0.0.1:0", verifier=Broken()) as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            assert await refusal(service.KeyVizStub(channel).GetKeyVizMatrix(Ask())) == (
                grpc.StatusCode.INTERNAL,
                INTERNAL,
            )
    assert "secret-inside" in caplog.text


async def test_a_thousand_idle_connections_stop_nobody() -> None:
    """Connections that say nothing, and one that said half a preface: calls beside them are answered."""
    writers: list[asyncio.StreamWriter] = []
    async with AsyncExitStack() as stack:
        sampler = stack.enter_context(counting(1))
        server = await stack.enter_async_context(await serve_node(sampler, listen="127.0.0.1:0"))
        host, _, port = server.address.rpartition(":")
        for _ in range(1000):
            _, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            writers.append(writer)
        writers[0].write(b"PRI * HTTP/2.0\r\n\r\nSM")
        async with grpc.aio.insecure_channel(server.address) as fresh:
            await works(fresh)


API = "/admin/api/v1/keyviz"


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        (f"{API}/matrix?to_unix_ms={2**63 - 1}&from_unix_ms={2**63 - 2}", 200, ""),
        (f"{API}/matrix?to_unix_ms={2**63}", 400, "to_unix_ms"),
        (f"{API}/matrix?from_unix_ms=5&to_unix_ms=4", 400, "from_unix_ms"),
        (f"{API}/matrix?rows=" + "9" * 3000, 200, ""),
        (f"{API}/matrix?series=%FF%FE", 400, "series"),
        (f"{API}/matrix?node=" + "n" * 1025, 400, "node"),
        (f"{API}/matrix?" + "&".join(["x=1"] * 5000), 200, ""),
        (f"{API}/cell?bucket_id=route:1&column_unix_ms={2**63 - 1}", 200, ""),
        (f"{API}/cell?bucket_id=" + "b" * 1025 + "&column_unix_ms=1", 400, "bucket_id"),
        (f"{API}/cell?bucket_id=route:1&column_unix_ms=-1", 400, "column_unix_ms"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else str(value),
)
async def test_the_ends_of_every_parameter_through_the_whole_path(path: str, status: int, named: str) -> None:
    """HTTP, aggregator, real nodes: an answer, or 400 that names the parameter; never our bug."""
    async with http_cluster() as cluster, httpx.AsyncClient(base_url=cluster.url, trust_env=False) as client:
        answer = await client.get(path)
        assert answer.status_code == status, answer.text[:300]
        assert named in (answer.json()["message"] if status == 400 else "")
        assert (await client.get(f"{API}/matrix")).json()["fanout"]["responded"] == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": "admin_session=\xff; " + "; ".join(f"c{n}=v" for n in range(500))},
        {"cookie": 'admin_session="unclosed'},
        {"accept-encoding": "br;q=nonsense, *;q=2, gzip;q=-1"},
        {"x-forwarded-for": ", ,[::1]:x, 999.1.1.1"},
        {"x-request-id": "\x80" * 50},
        {"authorization": "Bearer " + "x" * 20_000},
    ],
    ids=lambda headers: f"{next(iter(headers))}-{len(next(iter(headers.values())))}",
)
async def test_strange_headers_do_no_harm(headers: dict[str, str]) -> None:
    """Bytes that are no text, quotes that never close, qualities that are none: answered as without them."""
    async with http_cluster() as cluster, httpx.AsyncClient(base_url=cluster.url, trust_env=False) as client:
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = await client.get(f"{API}/matrix", headers=sent)
        assert answer.status_code == 200
        assert answer.json()["fanout"]["responded"] == 3
