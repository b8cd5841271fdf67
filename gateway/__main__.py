"""`keyviz-gateway`: aggregator, JSON gateway and page."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.app import GatewaySettings, create_app
from gateway.page import BUILT_IN
from gateway.serving import address_of, bind, http_server
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.auth import (
    BearerCredentials,
    BearerVerifier,
    Credentials,
    KeyFile,
    TextFile,
    TokenCredentials,
    TokenVerifier,
    Verifier,
)
from keyviz_grpc.cli.logs import LogFormat, configure_logging
from keyviz_grpc.cli.options import (
    ADDRESS,
    ADDRESSES,
    FILE,
    FOLDER,
    PEER_ADDRESS,
    SIZE,
    Duration,
    log_format_option,
    option,
    parse_address,
    until_stdin_closes_option,
)
from keyviz_grpc.cli.running import announce_ready, run, stop_requested
from keyviz_grpc.client import ClientShared, TlsFiles
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.peers import DnsPeers, FilePeers, Membership, SeedPeers, StaticPeers
from keyviz_grpc.server import ServerSettings, check_exposure, serve_cluster
from keyviz_grpc.version import VERSION


@dataclass(frozen=True, slots=True)
class _Choice:
    """Exactly one way to know the peers."""

    peers: tuple[str, ...] | None
    peers_dns: str | None
    peers_file: Path | None
    seeds: tuple[str, ...] | None

    def __post_init__(self) -> None:
        given = [name for name in ("peers", "peers_dns", "peers_file", "seeds") if getattr(self, name) is not None]
        if len(given) != 1:
            told = ", ".join("--" + name.replace("_", "-") for name in given) or "none of them"
            raise click.UsageError(f"exactly one of --peers, --peers-dns, --peers-file, --seeds is needed, not {told}")

    def membership(self, shared: ClientShared) -> Membership:
        """Raises SettingError for a peers file that cannot be read."""
        if self.peers is not None:
            return StaticPeers(self.peers, shared)
        if self.peers_dns is not None:
            return DnsPeers(self.peers_dns, shared)
        if self.peers_file is not None:
            return FilePeers(self.peers_file, shared, parse=parse_address)
        return SeedPeers(self.seeds or (), shared)


@dataclass(frozen=True, slots=True)
class _Run:
    """All that serving needs, checked."""

    choice: _Choice
    fanout: FanoutSettings
    shared: ClientShared
    http: str
    grpc: str | None
    node_id: str
    page: Path
    server: ServerSettings
    verifier: Verifier | None
    until_stdin_closes: bool


@click.command("keyviz-gateway")
@option("--http", type=ADDRESS, default="127.0.0.1:8080", help="Where the page and its API listen; port 0 = any.")
@option("--grpc", type=ADDRESS, default=None, show_default="not served", help="Where the cluster's KeyViz service is.")
@option("--peers", type=ADDRESSES, default=None, help="The nodes, HOST:PORT, separated by commas.")
@option("--peers-dns", type=PEER_ADDRESS, default=None, help="NAME:PORT, every address of the name is a node.")
@option("--peers-file", type=FILE, default=None, help="A file of one HOST:PORT a line, read again when it changes.")
@option("--seeds", type=ADDRESSES, default=None, help="Nodes that know the others, HOST:PORT, separated by commas.")
@option("--timeout", type=Duration(at_most_s=600), default="2s", help="How long one node may take to answer.")
@option("--max-message", type=SIZE, default="64MiB", help="Cap on one node's answer; one byte more is not used.")
@option("--max-total", type=SIZE, default="512MiB", help="What all answers of one request may hold together.")
@option("--node-id", type=str, default=None, show_default="random", help="What this aggregator is called in trees.")
@option("--page", type=FOLDER, default=None, show_default="built in", help="A built page to serve instead.")
@option("--key-file", type=FILE, default=None, help="Shared key (64 bytes, base64) for node tokens, both ways.")
@option("--previous-key-file", type=FILE, default=None, help="Key whose tokens still count during a rotation.")
@option("--token-file", type=FILE, default=None, help="Static bearer token that the nodes expect.")
@option("--peer-ca", type=FILE, default=None, help="PEM of the authority of the nodes' certificates: TLS to nodes.")
@option("--peer-certificate", type=FILE, default=None, help="PEM that this gateway shows to nodes (mTLS).")
@option("--peer-key", type=FILE, default=None, help="PEM of the key that goes with --peer-certificate.")
@option("--tls-certificate", type=FILE, default=None, help="PEM that both listeners show.")
@option("--tls-key", type=FILE, default=None, help="PEM of the key that goes with --tls-certificate.")
@option("--insecure", is_flag=True, default=False, help="Listen beyond loopback without TLS or credentials.")
@until_stdin_closes_option
@log_format_option
def command(  # noqa: PLR0913 - one parameter an option
    *,
    http: str,
    grpc: str | None,
    peers: tuple[str, ...] | None,
    peers_dns: str | None,
    peers_file: Path | None,
    seeds: tuple[str, ...] | None,
    timeout: float,
    max_message: int,
    max_total: int,
    node_id: str | None,
    page: Path | None,
    key_file: Path | None,
    previous_key_file: Path | None,
    token_file: Path | None,
    peer_ca: Path | None,
    peer_certificate: Path | None,
    peer_key: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    insecure: bool,
    until_stdin_closes: bool,
    log_format: LogFormat,
) -> None:
    """The one true heatmap of a cluster: asks every node, merges, and serves the result as JSON, gRPC and a page."""
    choice = _Choice(peers, peers_dns, peers_file, seeds)
    if key_file is not None and token_file is not None:
        raise click.UsageError("--key-file and --token-file exclude each other")
    if previous_key_file is not None and key_file is None:
        raise click.UsageError("--previous-key-file goes with --key-file")
    if (peer_certificate is None) != (peer_key is None):
        raise click.UsageError("--peer-certificate and --peer-key go together")
    configure_logging(log_format)
    name = node_id or f"gateway-{secrets.token_hex(4)}"
    credentials, verifier = _credentials(key_file, previous_key_file, token_file, name)
    tls = TlsFiles(peer_ca, peer_certificate, peer_key) if peer_ca is not None else None
    asyncio.run(
        _serve(
            _Run(
                choice=choice,
                fanout=FanoutSettings(timeout_s=timeout, max_message_bytes=max_message, max_total_bytes=max_total),
                shared=ClientShared(max_message_bytes=max_message, credentials=credentials, tls=tls),
                http=http,
                grpc=grpc,
                node_id=name,
                page=page or BUILT_IN,
                server=ServerSettings(certificate=tls_certificate, key=tls_key, insecure=insecure),
                verifier=verifier,
                until_stdin_closes=until_stdin_closes,
            )
        )
    )


def _credentials(
    key_file: Path | None, previous: Path | None, token_file: Path | None, name: str
) -> tuple[Credentials | None, Verifier | None]:
    if key_file is not None:
        key = KeyFile(key_file)
        keys = [key] if previous is None else [key, KeyFile(previous)]
        return TokenCredentials(key, subject=name), TokenVerifier(keys)
    if token_file is not None:
        token = TextFile(token_file)
        return BearerCredentials(token), BearerVerifier(token)
    return None, None


async def _serve(settings: _Run) -> None:
    tls = settings.server.certificate is not None
    # People cannot sign in yet, so the page and its API count as open whatever protects the gRPC side.
    check_exposure(settings.http, tls=tls, guarded=False, insecure=settings.server.insecure)
    listener = bind(settings.http)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(listener.close)
        aggregator = Aggregator(
            settings.choice.membership(settings.shared),
            settings=settings.fanout,
            node_id=settings.node_id,
            version=VERSION,
        )
        stack.push_async_callback(aggregator.close)
        grpc_address = ""
        if settings.grpc is not None:
            serving = serve_cluster(
                aggregator, listen=settings.grpc, settings=settings.server, verifier=settings.verifier
            )
            grpc_address = (await stack.enter_async_context(await serving)).address
        await _serve_http(settings, aggregator, listener, grpc_address=grpc_address)


async def _serve_http(settings: _Run, aggregator: Aggregator, listener: socket.socket, *, grpc_address: str) -> None:
    longest_s = settings.fanout.timeout_s / 0.8 + 5.0
    app = create_app(aggregator, settings=GatewaySettings(page=settings.page, timeout_s=longest_s))
    serving = http_server(app, listener, certificate=settings.server.certificate, key=settings.server.key)
    async with stop_requested(until_stdin_closes=settings.until_stdin_closes) as stop, serving:
        announce_ready(grpc=grpc_address, http=address_of(listener))
        await stop.wait()


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
