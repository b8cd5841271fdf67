"""Clients that do not take what they asked for, and connections on which nothing is asked, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from benchmarks.synthetic import Shape, cluster
from gateway import connection, serving
from gateway.app import create_app
from gateway.serving import CertificateFiles, http_server
from gateway.settings import GatewaySettings
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.server import serve_node
from tests.integration.certificates import Authority
from tests.integration.guarded import Prepared
from tests.unit.gateway.scripted import ScriptedCluster

MATRIX = "/admin/api/v1/keyviz/matrix"


@contextlib.asynccontextmanager
async def served(settings: GatewaySettings) -> AsyncIterator[str]:
    """A gateway over one node whose matrix is six megabytes of JSON."""
    [large] = cluster(Shape(1, 1000, 700, conflict_share=0.0, divergent=False))
    async with contextlib.AsyncExitStack() as stack:
        node = await stack.enter_async_context(await serve_node(Prepared(large), listen="127.0.0.1:0"))
        aggregator = Aggregator(
            StaticPeers([node.address], ClientShared()), settings=FanoutSettings(timeout_s=20), node_id="g"
        )
        stack.push_async_callback(aggregator.close)
        listener = stack.enter_context(contextlib.closing(bind("127.0.0.1:0")))
        await stack.enter_async_context(http_server(create_app(aggregator, settings=settings), listener, grace_s=1))
        yield address_of(listener)


async def test_bodies_that_nobody_takes_are_bounded() -> None:
    """Whoever asks at the same moment: those beyond are refused in clear words, and all get theirs when readers go.

    Small answers are given meanwhile, one body that many want counts once beside a piece for each, and one alone is
    given whatever its size.
    """
    async with (
        served(GatewaySettings(timeout_s=30, max_unsent_bytes=20 << 20)) as address,
        httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=60) as client,
        asyncio.timeout(120),
    ):
        plain = {"accept-encoding": "identity"}
        size = len((await client.get(MATRIX, headers=plain)).content)
        assert 4 << 20 < size < 7 << 20
        readers = [slow_reader(address, f"?from_unix_ms={1 + number}") for number in range(6)]
        refused = [answer for answer in await asyncio.gather(*map(first_bytes, readers)) if b" 503 " in answer]
        assert len(refused) == 4
        answer = await client.get(MATRIX, headers=plain)
        assert (answer.status_code, answer.json()["error"]) == (503, "overloaded")
        assert "bytes wait for readers" in answer.json()["message"]
        assert (await client.get(MATRIX, params={"rows": 1})).status_code == 200
        assert (await client.get("/admin/healthz")).status_code == 200
        for reader in readers:
            reader.close()
        while (await client.get(MATRIX, headers=plain)).status_code != 200:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.05)
        viewers = [slow_reader(address) for _ in range(12)]
        assert not any(b" 503 " in answer for answer in await asyncio.gather(*map(first_bytes, viewers)))
        for reader in viewers:
            reader.close()


async def test_bodies_that_nobody_takes_over_tls_are_bounded_too(tmp_path: Path) -> None:
    """Those that are sent in one piece as well, and no more of them is encrypted than a part."""
    [large] = cluster(Shape(1, 1000, 80, conflict_share=0.0, divergent=False))
    authority = Authority(tmp_path, "ours")
    pair, trusting = authority.pair("gateway"), ssl.create_default_context(cafile=authority.ca)
    app = create_app(ScriptedCluster(replace(large, merged=True)), settings=GatewaySettings(max_unsent_bytes=1))
    files = CertificateFiles(pair.certificate, pair.key)
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(30):
        listener = stack.enter_context(contextlib.closing(bind("127.0.0.1:0")))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await stack.enter_async_context(http_server(app, listener, tls=files, grace_s=1))
        host, _, port = address_of(listener).rpartition(":")
        statuses = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(host, int(port), ssl=trusting, limit=1024)
            stack.callback(writer.transport.abort)
            stack.callback(writer.close)
            writer.write(f"GET {MATRIX} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            statuses.append((await reader.readline()).split()[1])
        assert statuses == [b"200", b"503"]


def slow_reader(address: str, query: str = "") -> socket.socket:
    """Somebody who has asked for the matrix and takes no more of it than one looks at."""
    host, _, port = address.rpartition(":")
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect((host, int(port)))
    reader.setblocking(False)
    reader.send(f"GET {MATRIX}{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return reader


async def first_bytes(reader: socket.socket) -> bytes:
    """The first line of what comes."""
    return await asyncio.get_running_loop().sock_recv(reader, 30)


async def received(address: str, sip_bytes: int, pause_s: float, **options: int) -> tuple[int, bool]:
    """How much of one body came to a reader with such habits, and whether it was cut off."""
    host, _, port = address.rpartition(":")
    loop, came = asyncio.get_running_loop(), 0
    with socket.socket() as reader:
        for name, value in options.items():
            reader.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        reader.setblocking(False)
        await loop.sock_connect(reader, (host, int(port)))
        await loop.sock_sendall(reader, f"GET {MATRIX} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        try:
            while data := await loop.sock_recv(reader, sip_bytes):
                came += len(data)
                await asyncio.sleep(pause_s)
                if reader.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # told before what is still to be read
                    return came, True
        except ConnectionResetError:
            return came, True
    return came, False


async def test_a_reader_must_take_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then, or too little of what waits: it is let go; one that reads steadily has it all."""
    monkeypatch.setattr(connection, "STALLED_S", 0.3)
    async with served(GatewaySettings(timeout_s=30)) as address, asyncio.timeout(30):
        sippers = (received(address, sip_bytes, 0.05, SO_RCVBUF=4096) for sip_bytes in (1, 2000))
        for came, cut in await asyncio.gather(*sippers):
            assert cut
            assert came < 1 << 20
        came, cut = await received(address, 1 << 20, 0.0)
        assert not cut
        assert came > 4 << 20


OK = b"GET /admin/healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /admin/healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (OK, b""),
        (OK, b"\r\n"),
        (OK, b"GET /x HTTP/1.1\r\n"),
        (POST + b"Content-Length: 100\r\n\r\n", b"x"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["idle", "an empty line", "half a head", "half a body", "half of the chunks"],
)
async def test_a_connection_on_which_nothing_is_asked_ends(
    monkeypatch: pytest.MonkeyPatch, first: bytes, then: bytes
) -> None:
    """After an answer, whatever is sent that is no request."""
    monkeypatch.setattr(serving, "KEEP_ALIVE_S", 1)
    monkeypatch.setattr(connection, "HEAD_S", 1.0)
    async with served(GatewaySettings()) as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(first)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 ")
        writer.write(then)
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()
