"""Real nodes, a real aggregator and a real HTTP listener in one loop; certificates made at run time."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import math
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.app import create_app
from gateway.serving import CertificateFiles, http_server
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.server import RunningServer, serve_node

START_MS = 1_777_290_300_000
STEP_MS = 60_000


@dataclass(frozen=True, slots=True)
class HttpCluster:
    """url: of the gateway. nodes: their servers, in configured order."""

    url: str
    nodes: list[RunningServer]


def counting(number: int, *, hot_keys: HotKeysSettings | None = None) -> Sampler:
    """Node n<number>: leads group <number>, has seen 10 * number reads of each route and its own group's writes."""
    clock = SteppedClock(START_MS)
    sampler = Sampler(node_id=f"n{number}", clock=clock, wall_clock=clock, stall_s=math.inf, hot_keys=hot_keys)
    sampler.register_routes(
        Route(route, b"%d" % route, b"%d" % (route + 1), raft_group_id=route) for route in range(1, 4)
    )
    for group in range(1, 4):
        sampler.set_leader(group, 7, leader_node_id=f"n{group}")
    for route in range(1, 4):
        for _ in range(10 * number):
            sampler.observe(route, b"%d" % route, Op.READ, 100)
    for _ in range(5 * number):
        sampler.observe(number, b"%d" % number, Op.WRITE, 100)
    clock.move_to(START_MS + STEP_MS)
    sampler.advance_to(START_MS + STEP_MS)
    return sampler


@contextlib.asynccontextmanager
async def http_cluster(*, nodes: int = 3, samplers_on: bool = True, **of_app: Any) -> AsyncIterator[HttpCluster]:
    """A cluster that counted one window, with a gateway; `of_app` goes to create_app."""
    async with contextlib.AsyncExitStack() as stack:
        servers = []
        for number in range(1, nodes + 1):
            sampler = stack.enter_context(counting(number)) if samplers_on else None
            servers.append(await stack.enter_async_context(await serve_node(sampler, listen="127.0.0.1:0")))
        aggregator = Aggregator(
            StaticPeers([server.address for server in servers], ClientShared()),
            settings=FanoutSettings(),
            node_id="gateway",
            wall_clock=lambda: (START_MS + STEP_MS) / 1000,
        )
        stack.push_async_callback(aggregator.close)
        listener = stack.enter_context(contextlib.closing(bind("127.0.0.1:0")))
        await stack.enter_async_context(http_server(create_app(aggregator, **of_app), listener, grace_s=2))
        yield HttpCluster(f"http://{address_of(listener)}", servers)


def certificate(folder: Path, name: str) -> CertificateFiles:
    """A certificate for 127.0.0.1 and for the name that was made just now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName([address, x509.DNSName(name)]), critical=False)
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    files = CertificateFiles(folder / "certificate.pem", folder / "key.pem")
    files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def idle_at(address: str, sent: bytes, count: int) -> list[socket.socket]:
    """So many connections to HOST:PORT that have sent this, and read nothing."""
    host, _, port = address.rpartition(":")
    made = []
    for _ in range(count):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect((host, int(port)))
        one.sendall(sent)
        made.append(one)
    return made
