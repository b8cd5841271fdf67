"""The gRPC server of a node or of a cluster: binding, credentials, health, reflection, draining."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from keyviz_grpc.answer_bounds import AnswerBounds
from keyviz_grpc.auth import Verifier
from keyviz_grpc.cluster import Cluster
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import SettingError
from keyviz_grpc.exposure import check_exposure
from keyviz_grpc.half_open import MESSAGE_S, STREAM_S, Promptness
from keyviz_grpc.health import Health
from keyviz_grpc.interceptors import Admission, Barrier, Gate
from keyviz_grpc.layers import Layers
from keyviz_grpc.metrics import Meter, ServerMetrics
from keyviz_grpc.proto import admin_pb2, keyviz_pb2
from keyviz_grpc.reflection import add_reflection
from keyviz_grpc.service import ClusterServicer, NodeServicer, Servicer
from keyviz_grpc.source import Source
from keyviz_grpc.tls import server_credentials

READY_S: Final = 5.0
SPARE_CALLS: Final = 4096
"""For health checks, for calls that are being refused, and for what nobody reads."""

MIN_AGE_S: Final = 0.1
MAX_AGE_S: Final = 1_000_000.0
"""In milliseconds a number of 31 bits, as gRPC takes it."""

SERVICES: Final = (
    keyviz_pb2.DESCRIPTOR.services_by_name["KeyViz"].full_name,
    admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name,
)
METHODS: Final = frozenset(
    f"{service.full_name}/{method.name}"
    for file in (keyviz_pb2, admin_pb2, health_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server serves. Raises SettingError for bounds below 1 and for half a TLS pair.

    max_concurrent: calls in flight, and answers that are being sent; one more is refused at once with
    RESOURCE_EXHAUSTED; health checks do not count. max_unsent_bytes: of answers that their callers have not taken;
    while more wait, calls are refused too. max_connection_age_s: a caller is then asked to connect anew, which
    clients do by themselves; calls that have not ended connection_grace_s later are cut off. message_s: within which
    the message of a call must come; stream_s: how long a reflection stream lasts at most.
    max_rows, max_columns: of one answer; a larger one is refused and not sent. certificate, key: PEM files;
    client_ca: PEM of whom client certificates must come from (mTLS). insecure: allow plain text or no credentials
    on addresses that others can reach.
    """

    max_concurrent: int = 64
    max_rows: int = 100_000
    max_columns: int = 20_000
    max_request_bytes: int = 1 << 20
    max_answer_bytes: int = (1 << 31) - 1
    max_unsent_bytes: int = 256 << 20
    max_connection_age_s: float = 600.0
    connection_grace_s: float = 60.0
    message_s: float = MESSAGE_S
    stream_s: float = STREAM_S
    threads: int = 2
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        bounds = (
            "max_concurrent",
            "max_rows",
            "max_columns",
            "max_request_bytes",
            "max_answer_bytes",
            "max_unsent_bytes",
            "threads",
        )
        for name in bounds:
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("max_connection_age_s", "connection_grace_s", "message_s", "stream_s"):
            if not MIN_AGE_S <= getattr(self, name) <= MAX_AGE_S:
                raise SettingError(f"{name}={getattr(self, name)} must be from {MIN_AGE_S} to {MAX_AGE_S} seconds")
        if (self.certificate is None) != (self.key is None):
            raise SettingError("a TLS certificate and its key go together")
        if self.client_ca is not None and self.certificate is None:
            raise SettingError("client certificates can only be asked for over TLS")


class RunningServer:
    """A server that serves; `address` is HOST:PORT as really bound. An async context manager that drains at its end."""

    def __init__(
        self,
        server: grpc.aio.Server,
        address: str,
        health: Health,
        threads: ThreadPoolExecutor,
        metrics: ServerMetrics | None = None,
    ) -> None:
        self.address = address
        self._server = server
        self._health = health
        self._threads = threads
        self._metrics = metrics

    async def drain(self, grace_s: float = 5.0) -> None:
        """Says NOT_SERVING, takes no new calls, lets those under way end for up to `grace_s` seconds."""
        await self._health.drain()
        await self._server.stop(grace_s)
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._metrics is not None:
            self._metrics.forget()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain()


async def serve_node(
    source: Source | None,
    *,
    listen: str,
    settings: ServerSettings | None = None,
    verifier: Verifier | None = None,
    registry: CollectorRegistry | None = None,
) -> RunningServer:
    """Serves one node's own view on `listen` (HOST:PORT, port 0 = any free one).

    source None: the sampler is off; health then says NOT_SERVING for the services and SERVING for the process ("").

    registry: where the metrics of the server and its sampler are shown until it is drained, such as
    `prometheus_client.REGISTRY`; one server a registry.
    Raises SettingError when the address cannot be bound, and for an address that others can reach without TLS and
    credentials unless `settings.insecure`.
    """
    settings = settings or ServerSettings()

    def servicer(threads: ThreadPoolExecutor, metrics: ServerMetrics | None) -> NodeServicer:
        if metrics is not None:
            metrics.watch(source)
        return NodeServicer(source, threads, metrics, bounds=_answer_bounds(settings))

    return await _serve(
        servicer, listen=listen, settings=settings, verifier=verifier, registry=registry, ready=source is not None
    )


async def serve_cluster(
    cluster: Cluster,
    *,
    listen: str,
    settings: ServerSettings | None = None,
    verifier: Verifier | None = None,
    registry: CollectorRegistry | None = None,
) -> RunningServer:
    """Serves a whole cluster's view, as `serve_node` does one node's. Health follows `cluster.ready`."""
    settings = settings or ServerSettings()

    def servicer(threads: ThreadPoolExecutor, metrics: ServerMetrics | None) -> ClusterServicer:
        return ClusterServicer(cluster, threads, metrics, bounds=_answer_bounds(settings))

    async def ready() -> bool:
        return await cluster.ready(Deadline.after(READY_S))

    return await _serve(servicer, listen=listen, settings=settings, verifier=verifier, registry=registry, ready=ready)


def _answer_bounds(settings: ServerSettings) -> AnswerBounds:
    return AnswerBounds(settings.max_rows, settings.max_columns)


async def _serve(
    make_servicer: Callable[[ThreadPoolExecutor, ServerMetrics | None], Servicer],
    *,
    listen: str,
    settings: ServerSettings,
    verifier: Verifier | None,
    registry: CollectorRegistry | None,
    ready: bool | Callable[[], Awaitable[bool]],
) -> RunningServer:
    threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="keyviz-serve")
    metrics = None if registry is None else ServerMetrics(registry, METHODS)
    servicer = make_servicer(threads, metrics)
    check_exposure(
        listen,
        tls=settings.certificate is not None,
        guarded=verifier is not None or settings.client_ca is not None,
        insecure=settings.insecure,
    )
    layers = _layers(settings, verifier, metrics)
    health = Health(SERVICES)
    _add_services(layers, servicer, health)
    server = _grpc_server(layers, settings)
    address = _bind(server, listen, settings)
    await server.start()
    if isinstance(ready, bool):
        await health.start(ready=ready)
    else:
        await health.follow(ready)
    return RunningServer(server, address, health, threads, metrics)


def _layers(settings: ServerSettings, verifier: Verifier | None, metrics: ServerMetrics | None) -> Layers:
    return Layers(
        [
            Promptness(message_s=settings.message_s, stream_s=settings.stream_s),
            Barrier(),
            Admission(settings.max_concurrent, settings.max_unsent_bytes),
        ],
        gate=None if verifier is None else Gate(verifier),
        meter=None if metrics is None else Meter(metrics),
    )


def _add_services(layers: Layers, servicer: Servicer, health: Health) -> None:
    """Ours under both names, health, and reflection of all of them."""
    methods = servicer.methods()
    layers.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods) for service in SERVICES])
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, layers)
    add_reflection(layers, [*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name])


def _grpc_server(layers: Layers, settings: ServerSettings) -> grpc.aio.Server:
    return grpc.aio.server(
        handlers=[layers],
        # The last resort: beyond this gRPC itself refuses whatever comes, health checks too.
        maximum_concurrent_rpcs=2 * settings.max_concurrent + SPARE_CALLS,
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", settings.max_request_bytes),
            ("grpc.max_send_message_length", settings.max_answer_bytes),
            # So that a single connection never takes all that gRPC itself allows.
            ("grpc.max_concurrent_streams", 2 * settings.max_concurrent),
            # A call without a deadline whose caller does not read would last as long as its connection.
            ("grpc.max_connection_age_ms", round(settings.max_connection_age_s * 1000)),
            ("grpc.max_connection_age_grace_ms", round(settings.connection_grace_s * 1000)),
        ],
    )


def _bind(server: grpc.aio.Server, listen: str, settings: ServerSettings) -> str:
    host = listen.rpartition(":")[0]
    try:
        if settings.certificate is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(
                listen, server_credentials(settings.certificate, settings.key, settings.client_ca)
            )
    except RuntimeError as error:
        raise SettingError(
            f"cannot listen on {listen}: the port is taken, or the address is not of this machine"
        ) from error
    if port == 0:
        raise SettingError(f"cannot listen on {listen}")
    return f"{host}:{port}"
