"""The HTTP face behind a real listener: connections, their bounds, and work that ends with its client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from gateway import connection, serving
from gateway.app import create_app
from gateway.serving import CertificateFiles, http_server
from gateway.settings import GatewaySettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import SettingError
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.outcome import Member, Overview
from tests.integration.http_clusters import certificate, http_cluster
from tests.unit.gateway.scripted import API, MATRIX, ScriptedCluster, answer_of


@contextlib.asynccontextmanager
async def listening(
    cluster: ScriptedCluster, *, tls: CertificateFiles | None = None, **settings: Any
) -> AsyncIterator[str]:
    """The address of a real listener over the cluster."""
    with contextlib.closing(bind("127.0.0.1:0")) as listener:
        address = address_of(listener)
        app = create_app(cluster, settings=GatewaySettings(**settings))
        async with http_server(app, listener, tls=tls, grace_s=2):
            yield address


def client_of(address: str) -> httpx.AsyncClient:
    """A client of that address."""
    return httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=10)


@contextlib.asynccontextmanager
async def talking(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def common_name(address: str) -> str:
    """Whom the certificate that a listener shows names."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    [name] = x509.load_der_x509_certificate(shown).subject
    return str(name.value)


async def test_a_client_that_leaves_ends_its_work() -> None:
    """The fan-out is cancelled, and the next request works."""
    cluster = ScriptedCluster(held=asyncio.Event())
    async with listening(cluster, max_requests=1) as address:
        async with talking(address) as (_, writer):
            writer.write(f"GET {MATRIX} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            await cluster.asked.wait()
        async with asyncio.timeout(5):
            while not cluster.cancelled:  # noqa: ASYNC110 - nobody announces a cancellation
                await asyncio.sleep(0.01)
        cluster.held = None
        async with client_of(address) as client:
            assert (await client.get(MATRIX)).status_code == 200


async def test_a_client_that_leaves_does_not_end_what_another_waits_for() -> None:
    """Work that is shared goes on for whoever stays."""
    cluster = ScriptedCluster(held=asyncio.Event())
    async with listening(cluster) as address, client_of(address) as client:
        stays = asyncio.create_task(client.get(MATRIX, headers={"accept-encoding": ""}))
        await cluster.asked.wait()
        async with talking(address) as (_, writer):
            writer.write(f"GET {MATRIX} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            await writer.drain()
            await client.get("/admin/healthz")
        await client.get("/admin/healthz")
        assert cluster.held is not None
        cluster.held.set()
        assert (await stays).status_code == 200
    assert (len(cluster.queries), cluster.cancelled) == (1, 0)


class Outspoken(ScriptedCluster):
    """Tells of its nodes even while it holds matrices back."""

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview:
        """See `Cluster`."""
        return Overview(Member("gw", ""), (), ())


async def test_a_client_that_has_left_takes_no_place_while_others_share_its_work() -> None:
    """Of two places, one for who left and one for who stays, the first is free at once."""
    cluster = Outspoken(held=asyncio.Event())
    assert cluster.held is not None
    async with listening(cluster, max_requests=2) as address, client_of(address) as client:
        async with talking(address) as (_, writer):
            writer.write(f"GET {MATRIX} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            await cluster.asked.wait()
            stays = asyncio.create_task(client.get(MATRIX, headers={"accept-encoding": ""}))
            while (await client.get(f"{API}/cluster")).status_code == 200:
                pass  # it has not come yet
        async with asyncio.timeout(5):
            while (await client.get(f"{API}/cluster")).status_code != 200:
                pass  # nobody announces that somebody has left
        cluster.held.set()
        assert (await stays).status_code == 200
        both = await asyncio.gather(*(client.get(f"{MATRIX}?rows={rows}") for rows in (1, 2)))
        assert [each.status_code for each in both] == [200, 200]
    assert (len(cluster.queries), cluster.cancelled) == (3, 0)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_not_http_gets_the_envelope(sent: bytes) -> None:
    """400 with the security headers, then the connection ends."""
    async with listening(ScriptedCluster()) as address, talking(address) as (reader, writer):
        writer.write(sent)
        head, body = (await asyncio.wait_for(reader.read(), 5)).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["error"] == "invalid_request"


@pytest.mark.parametrize("head", [b"GET /" + b"a" * 400_000, b"GET / HTTP/1.1\r\nx: " + b"a" * 400_000])
async def test_a_head_without_an_end_is_cut(head: bytes) -> None:
    """A client cannot fill the memory with it."""
    async with listening(ScriptedCluster()) as address, talking(address) as (reader, writer):
        with contextlib.suppress(ConnectionError):
            writer.write(head)
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            answer = await asyncio.wait_for(reader.read(), 5)
            assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_head_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent connections do not stay for ever; one that is at work does."""
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    cluster = ScriptedCluster(held=asyncio.Event())
    async with listening(cluster) as address, client_of(address) as client:
        working = asyncio.create_task(client.get(MATRIX))
        async with talking(address) as (reader, writer):
            writer.write(b"GET / HT")
            assert await asyncio.wait_for(reader.read(), 5) == b""
        assert cluster.held is not None
        cluster.held.set()
        assert (await working).status_code == 200


async def test_a_reader_that_stopped_reading_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its unread bytes do not stay in memory, and others are not stopped by it."""
    lost = asyncio.Event()

    class Watched(connection.BoundedConnection):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    monkeypatch.setattr(connection, "STALLED_S", 0.2)
    monkeypatch.setattr(serving, "BoundedConnection", Watched)
    cluster = ScriptedCluster(answer_of([[2**60] * 1000] * 900))
    async with listening(cluster) as address, client_of(address) as client:
        assert (await client.get(MATRIX)).status_code == 200
        with socket.create_connection(address.rsplit(":", 1)) as slow:  # type: ignore[arg-type]
            slow.sendall(f"GET {MATRIX} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            await asyncio.wait_for(lost.wait(), 10)
        assert (await client.get(MATRIX)).status_code == 200


async def test_the_end_of_an_answer_does_not_wait_for_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece goes out at once, however small the last one is."""
    at_once: list[int] = []

    class Seen(connection.BoundedConnection):
        def on_response_complete(self) -> None:
            plain = self.transport.get_extra_info("socket")
            at_once.append(plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().on_response_complete()

    monkeypatch.setattr(serving, "BoundedConnection", Seen)
    async with listening(ScriptedCluster()) as address, client_of(address) as client:
        assert (await client.get(MATRIX)).status_code == 200
    assert len(at_once) == 1
    assert all(at_once)


async def test_a_thousand_idle_connections_stop_nobody() -> None:
    """Requests beside them are answered."""
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(listening(ScriptedCluster()))
        host, _, port = address.rpartition(":")
        for _ in range(300):
            stack.enter_context(socket.create_connection((host, int(port))))
        async with client_of(address) as client:
            assert (await client.get(MATRIX)).status_code == 200


async def test_requests_under_way_end_before_the_server_does() -> None:
    """A drain loses no answer."""
    cluster = ScriptedCluster(held=asyncio.Event())
    with contextlib.closing(bind("127.0.0.1:0")) as listener:
        async with client_of(address_of(listener)) as client:
            async with http_server(create_app(cluster), listener, grace_s=5):
                working = asyncio.create_task(client.get(MATRIX))
                await cluster.asked.wait()
                assert cluster.held is not None
                asyncio.get_running_loop().call_later(0.2, cluster.held.set)
            assert (await working).status_code == 200


async def test_a_taken_port_is_named() -> None:
    """And port 0 is a real one afterwards."""
    with contextlib.closing(bind("127.0.0.1:0")) as listener:
        address = address_of(listener)
        assert not address.endswith(":0")
        with pytest.raises(SettingError, match=address):
            bind(address)
    with pytest.raises(SettingError, match=r"no\.such\.host\.invalid:1"):
        bind("no.such.host.invalid:1")


async def test_a_certificate_that_changes_is_shown_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken new one is not; the old one stays until there is a good pair."""
    monkeypatch.setattr(serving, "CERTIFICATE_LOOK_S", 0.02)
    files = certificate(tmp_path, "first")
    async with listening(ScriptedCluster(), tls=files) as address:
        assert await common_name(address) == "first"
        files.key.write_bytes(b"half a pair")
        await asyncio.sleep(0.1)
        assert await common_name(address) == "first"
        certificate(tmp_path, "second")
        async with asyncio.timeout(5):
            while await common_name(address) != "second":  # noqa: ASYNC110 - nobody announces a new certificate
                await asyncio.sleep(0.02)


async def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """By its files, and nothing was served."""
    files = certificate(tmp_path, "x")
    os.truncate(files.key, 0)
    with pytest.raises(SettingError, match=r"certificate\.pem"):
        async with listening(ScriptedCluster(), tls=files):
            pytest.fail("it must not serve")


async def test_a_range_of_keys_opens_what_the_row_budget_folded() -> None:
    """Three routes in one row; asked for the keys of the second alone, that one row is the route, exactly."""
    async with http_cluster() as cluster, httpx.AsyncClient(trust_env=False) as client:
        url = f"{cluster.url}/admin/api/v1/keyviz/matrix"
        whole = (await client.get(url, params={"series": "reads", "rows": 1})).json()
        asked = {"series": "reads", "rows": "1", "start": "Mg==", "end": "Mw=="}
        part = (await client.get(url, params=asked)).json()
    assert [(row["aggregate"], row["values"]) for row in whole["rows"]] == [(True, [180])]
    assert [(row["bucket_id"], row["values"]) for row in part["rows"]] == [("route:2", [60])]
    assert part["column_unix_ms"] == whole["column_unix_ms"]
