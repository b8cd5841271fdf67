"""Certificates that change while everybody serves, on both ends of calls between gateway and nodes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest_asyncio
from cryptography import x509

from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.client import PeerClient
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_node
from tests.integration.guarded import ANSWERS, Gateway, Prepared
from tests.integration.odd_nodes import serving
from tests.integration.secured import Secured


@pytest_asyncio.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    """Certificates on the lower hop as well."""
    async with contextlib.AsyncExitStack() as stack:
        yield Secured(tmp_path, stack)


async def serial_of(address: str, secured: Secured) -> int:
    """The serial number of the certificate that a server shows to a new connection."""
    assert secured.tls is not None
    context = ssl.create_default_context(cafile=str(secured.authority.ca))
    stranger = secured.authority.pair("looker")
    context.load_cert_chain(stranger.certificate, stranger.key)
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown_now = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(shown_now).serial_number


def serial_in(path: Path) -> int:
    """Of a certificate file."""
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


@contextlib.asynccontextmanager
async def asking_all_the_time(gateway: Gateway) -> AsyncIterator[list[Any]]:
    """Two viewers without a pause; what they were told."""
    seen: list[Any] = []
    ended = asyncio.Event()

    async def view() -> None:
        while not ended.is_set():
            answer = await gateway.get()
            seen.append((answer.status_code, answer.json().get("fanout", {}).get("responded")))

    viewers = [asyncio.create_task(view()) for _ in range(2)]
    try:
        yield seen
    finally:
        ended.set()
        await asyncio.gather(*viewers)


async def more(seen: list[Any], count: int = 6) -> None:
    """Waits for so many further answers."""
    until = len(seen) + count
    async with asyncio.timeout(20):
        while len(seen) < until:  # noqa: ASYNC110 - the viewers append
            await asyncio.sleep(0.01)


async def test_a_nodes_certificate_is_replaced_under_calls(secured: Secured) -> None:
    """New connections see the new one, a pair that does not go together yet is not shown, and no request fails."""
    node = await secured.node(0)
    gateway = await secured.gateway(node.address)
    certificate, key = secured.node_settings.certificate, secured.node_settings.key
    assert certificate is not None
    assert key is not None
    first, old_pem, old_key = serial_in(certificate), certificate.read_bytes(), key.read_bytes()
    async with asking_all_the_time(gateway) as seen:
        await more(seen)
        assert await serial_of(node.address, secured) == first
        secured.authority.pair("node")
        new_pem = certificate.read_bytes()
        certificate.write_bytes(old_pem)  # only the new key is there yet
        assert await serial_of(node.address, secured) == first
        certificate.write_bytes(new_pem)
        assert await serial_of(node.address, secured) == serial_in(certificate) != first
        key.write_bytes(old_key)  # and never a pair that does not go together
        assert await serial_of(node.address, secured) == serial_in(certificate)
        await more(seen)
    assert set(seen) == {(200, 1)}


async def test_the_gateways_certificate_is_replaced_under_calls(secured: Secured) -> None:
    """The node is shown the new one on a new connection, while no request fails."""
    shown_to_node: list[int] = []

    class Noting(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            handler = await continuation(handler_call_details)
            inner = handler.unary_unary

            async def noting(request: Any, context: Any) -> Any:
                [pem] = context.auth_context()["x509_pem_cert"]
                shown_to_node.append(x509.load_pem_x509_certificate(pem).serial_number)
                return await inner(request, context)

            return grpc.unary_unary_rpc_method_handler(
                noting,
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )

    settings, mine = secured.node_settings, secured.tls
    assert mine is not None
    assert mine.certificate is not None
    assert settings.certificate is not None
    assert settings.key is not None
    credentials = grpc.ssl_server_credentials(
        [(settings.key.read_bytes(), settings.certificate.read_bytes())],
        root_certificates=secured.authority.ca.read_bytes(),
        require_client_auth=True,
    )
    address = await serving(secured, Noting(), credentials)
    gateway = await secured.gateway(address)
    first = serial_in(mine.certificate)
    async with asking_all_the_time(gateway) as seen:
        await more(seen)
        assert set(shown_to_node) == {first}
        secured.authority.pair("gateway")
        await more(seen)
    assert shown_to_node[-1] == serial_in(mine.certificate) != first
    assert set(seen) == {(200, 1)}


class HeldUp(Prepared):
    """A source that tells of each question and answers none before it is told to."""

    entered: threading.Semaphore
    go: threading.Event

    def matrix(self, query: MatrixQuery) -> Answer:
        """See Source."""
        self.entered.release()
        assert self.go.wait(30)
        return super().matrix(query)


async def test_a_connection_that_gave_way_ends_with_its_client(secured: Secured) -> None:
    """Its calls fail at once as the peer's, as those of the new one do, and nothing of it is left behind."""
    source = HeldUp(ANSWERS[0])
    source.entered, source.go = threading.Semaphore(0), threading.Event()
    secured.stack.callback(source.go.set)
    node = await secured.stack.enter_async_context(
        await serve_node(source, listen="127.0.0.1:0", settings=secured.node_settings)
    )
    client = PeerClient(node.address, secured.shared())
    calls, channels = [], []
    for _ in range(2):
        calls.append(asyncio.create_task(client.matrix(MatrixQuery(), Deadline.after(30), BytesBudget(1 << 30))))
        assert await asyncio.to_thread(source.entered.acquire, timeout=30)
        channels.append(client._connection._channel)
        secured.authority.pair("gateway")
    assert channels[0] is not channels[1]
    async with asyncio.timeout(5):
        await client.close()
        ended = await asyncio.gather(*calls)
    assert [one.kind for one in ended if isinstance(one, Outcome)] == ["unreachable"] * 2
    for channel in channels:
        assert channel is not None
        assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN
    source.go.set()
