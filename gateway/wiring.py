"""From checked options to a running gateway: aggregator, HTTP face, the cluster's gRPC face, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.app import create_app
from gateway.metrics import Metrics
from gateway.serving import CertificateFiles, http_server
from gateway.session import Sessions
from gateway.settings import GatewaySettings
from gateway.users import Users
from keyviz_grpc.addresses import parse_address
from keyviz_grpc.aggregator import Aggregator, FailureLog, Observers
from keyviz_grpc.allocator import give_back_when_idle, keep_freed_memory
from keyviz_grpc.auth import Verifier
from keyviz_grpc.cli.exposing import metrics_served
from keyviz_grpc.cli.running import announce_ready, stop_requested
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.errors import SettingError
from keyviz_grpc.exposure import check_exposure, check_metrics_exposure
from keyviz_grpc.garbage import collect_rarely
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.peers import (
    DnsPeers,
    DnsServerResolver,
    FilePeers,
    Membership,
    Resolver,
    SeedPeers,
    StaticPeers,
    resolve,
)
from keyviz_grpc.server import ServerSettings, serve_cluster
from keyviz_grpc.tracing import start_tracing
from keyviz_grpc.version import VERSION

log = logging.getLogger(__name__)

OPEN_FILES: Final = 65_536


@dataclass(frozen=True, slots=True)
class PeersChoice:
    """How the peers are known: exactly one of the first four is not None. dns_server: IP:PORT, goes with peers_dns."""

    peers: tuple[str, ...] | None = None
    peers_dns: str | None = None
    peers_file: Path | None = None
    seeds: tuple[str, ...] | None = None
    dns_server: str | None = None

    @property
    def given(self) -> list[str]:
        """The options that were given, as they are written."""
        names = ("peers", "peers_dns", "peers_file", "seeds")
        return ["--" + name.replace("_", "-") for name in names if getattr(self, name) is not None]

    def membership(self, shared: ClientShared) -> Membership:
        """Raises SettingError for a peers file that cannot be read, and for a DNS server that is no IP address."""
        if self.peers is not None:
            return StaticPeers(self.peers, shared)
        if self.peers_dns is not None:
            return DnsPeers(self.peers_dns, shared, resolver=self._resolver())
        if self.peers_file is not None:
            return FilePeers(self.peers_file, shared, parse=parse_address)
        return SeedPeers(self.seeds or (), shared)

    def _resolver(self) -> Resolver:
        if self.dns_server is None:
            return resolve
        try:
            return DnsServerResolver(self.dns_server)
        except ValueError as error:
            raise SettingError(f"--dns-server {self.dns_server!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """All that a gateway process needs, checked. grpc, metrics: HOST:PORT or None = not served.

    expose_metrics: also where others can reach it. otlp: where traces go, `http://HOST:4317`, or None.
    """

    http: str
    grpc: str | None
    metrics: str | None
    expose_metrics: bool
    node_id: str
    choice: PeersChoice
    fanout: FanoutSettings
    shared: ClientShared
    server: ServerSettings
    verifier: Verifier | None
    otlp: str | None
    settings: GatewaySettings
    sessions: Sessions
    users: Users | None
    drain_s: float
    until_stdin_closes: bool

    @property
    def tls(self) -> CertificateFiles | None:
        """What the HTTP face shows."""
        if self.server.certificate is None or self.server.key is None:
            return None
        return CertificateFiles(self.server.certificate, self.server.key)


def run_gateway(plan: GatewayPlan) -> None:
    """Serves until a signal, then drains. Raises SettingError for what cannot be served as planned."""
    _allow_many_connections()
    keep_freed_memory()
    collect_rarely()
    asyncio.run(_serve(plan))


async def _serve(plan: GatewayPlan) -> None:
    secured, insecure = plan.tls is not None, plan.server.insecure
    check_exposure(plan.http, tls=secured, guarded=plan.sessions.required, insecure=insecure)
    if plan.metrics is not None:
        check_metrics_exposure(plan.metrics, exposed=plan.expose_metrics, insecure=insecure)
    if not (plan.settings.page / "index.html").is_file():
        log.warning(
            "there is no page yet: run `make ui`, or name a built one by --page",
            extra={"folder": str(plan.settings.page)},
        )
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        stop = await stack.enter_async_context(stop_requested(until_stdin_closes=plan.until_stdin_closes))
        if plan.otlp is not None:
            stack.callback(start_tracing(plan.otlp, service="keyviz-gateway"))
        listener = bind(plan.http)
        stack.callback(listener.close)
        plan.shared.received = metrics.received
        aggregator = Aggregator(
            plan.choice.membership(plan.shared),
            settings=plan.fanout,
            node_id=plan.node_id,
            version=VERSION,
            observer=Observers([metrics, FailureLog()]),
            remembered=plan.shared.remembered,
        )
        stack.push_async_callback(aggregator.close)
        metrics.watch_fan_outs(lambda: aggregator.fan_outs)
        if (shelf := plan.shared.remembered) is not None:
            metrics.watch_remembered(lambda: shelf.used_bytes)
        giving_back = asyncio.create_task(give_back_when_idle(lambda: aggregator.fan_outs_begun))
        stack.callback(giving_back.cancel)
        grpc_address = await _serve_grpc(plan, aggregator, metrics, stack)
        if plan.metrics is not None:
            await stack.enter_async_context(metrics_served(metrics.registry, plan.metrics))
        app = create_app(
            aggregator,
            settings=plan.settings,
            sessions=plan.sessions,
            users=plan.users,
            metrics=metrics,
            remembered=plan.shared.remembered,
        )
        await stack.enter_async_context(http_server(app, listener, tls=plan.tls, grace_s=plan.drain_s))
        announce_ready(grpc=grpc_address, http=address_of(listener))
        await stop.wait()


async def _serve_grpc(
    plan: GatewayPlan, aggregator: Aggregator, metrics: Metrics, stack: contextlib.AsyncExitStack
) -> str:
    if plan.grpc is None:
        return ""
    server = await serve_cluster(
        aggregator, listen=plan.grpc, settings=plan.server, verifier=plan.verifier, registry=metrics.registry
    )
    stack.push_async_callback(server.drain, plan.drain_s)
    return server.address


def _allow_many_connections() -> None:
    # A thousand idle browsers must not use up the files that peers need.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
