"""`keyviz-gateway`: aggregator, JSON gateway and page."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.session import Sessions
from gateway.settings import BUILT_IN_PAGE, GatewaySettings, Network, parse_networks
from gateway.users import Users
from gateway.wiring import GatewayPlan, PeersChoice, run_gateway
from keyviz_grpc.auth import KeyFile
from keyviz_grpc.cli.logs import LogFormat, configure_logging
from keyviz_grpc.cli.node_secrets import NodeSecrets
from keyviz_grpc.cli.options import (
    ADDRESS,
    ADDRESSES,
    FILE,
    FOLDER,
    MEMORY,
    NODE_ID,
    PEER_ADDRESS,
    SIZE,
    Duration,
    Size,
    check_otlp,
    given_options,
    log_format_option,
    option,
    until_stdin_closes_option,
    version_option,
)
from keyviz_grpc.cli.running import as_usage_error, run
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.exposure import is_loopback
from keyviz_grpc.remembered import Shelf
from keyviz_grpc.server import ServerSettings
from keyviz_grpc.tls import TlsFiles


class _Networks(click.ParamType[tuple[Network, ...]]):
    """Text such as `10.0.0.0/8,192.0.2.7` to networks."""

    name = "network,…"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Network, ...]:
        """Fails with a usage error that names option and value."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_networks(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class _PeoplesSecrets:
    """The files by which people are known, as given."""

    session_key: Path | None
    previous_session_key: Path | None
    users: Path | None

    def __post_init__(self) -> None:
        if self.previous_session_key is not None and self.session_key is None:
            raise click.UsageError("--previous-session-key-file goes with --session-key-file")
        if self.users is not None and self.session_key is None:
            raise click.UsageError("--users-file goes with --session-key-file, which signs the sessions of users")

    def sessions(self) -> tuple[Sessions, Users | None]:
        """Who may look, and who may sign in."""
        if self.session_key is None:
            return Sessions.not_required(), None
        keys = [KeyFile(path) for path in (self.session_key, self.previous_session_key) if path is not None]
        return Sessions(keys), None if self.users is None else Users(self.users)


@click.command("keyviz-gateway")
@option("--http", type=ADDRESS, default="127.0.0.1:8080", help="Where the page and its API listen; port 0 = any.")
@option("--grpc", type=ADDRESS, default=None, show_default="not served", help="Where the cluster's KeyViz service is.")
@option("--metrics", type=ADDRESS, default=None, show_default="not served", help="Where /metrics (Prometheus) is.")
@option("--peers", type=ADDRESSES, default=None, help="The nodes, HOST:PORT, separated by commas.")
@option("--peers-dns", type=PEER_ADDRESS, default=None, help="NAME:PORT, every address of the name is a node.")
@option(
    "--dns-server", type=PEER_ADDRESS, default=None, show_default="the system's", help="IP:PORT to ask for --peers-dns."
)
@option("--peers-file", type=FILE, default=None, help="A file of one HOST:PORT a line, read again when it changes.")
@option("--seeds", type=ADDRESSES, default=None, help="Nodes that know the others, HOST:PORT, separated by commas.")
@option("--timeout", type=Duration(at_most_s=600), default="2s", help="How long one node may take to answer.")
@option("--max-message", type=SIZE, default="64MiB", help="Cap on one node's answer; one byte more is not used.")
@option(
    "--max-total",
    type=MEMORY,
    default="2GiB",
    help="Memory for all answers of one request and their merging; a cell takes 16 bytes, merged 24.",
)
@option("--max-held", type=MEMORY, default="2GiB", help="The same of all requests that are under way together.")
@option("--remember", type=Size(at_least=0), default="128MiB", help="Memory for columns that are closed; 0 = off.")
@option("--max-peers", type=click.IntRange(1), default=256, help="How many nodes are asked at the same moment.")
@option("--max-fanouts", type=click.IntRange(1), default=32, help="Different questions to the nodes at once.")
@option("--max-requests", type=click.IntRange(1), default=256, help="HTTP requests to the API at once; more get 503.")
@option("--max-calls", type=click.IntRange(1), default=64, help="Of --grpc: calls at once; health checks are apart.")
@option("--max-answer-rows", type=click.IntRange(1), default=100_000, help="Of --grpc: a larger answer is refused.")
@option(
    "--max-answer-columns", type=click.IntRange(1), default=20_000, help="The same; aggregators then ask in slices."
)
@option("--node-id", type=NODE_ID, default=None, show_default="random", help="What this aggregator is called in trees.")
@option("--page", type=FOLDER, default=None, show_default="built in", help="A built page to serve instead.")
@option("--session-key-file", type=FILE, default=None, help="Key (64 bytes, base64) of sessions: looking needs one.")
@option("--previous-session-key-file", type=FILE, default=None, help="Key whose sessions still count in a rotation.")
@option("--users-file", type=FILE, default=None, help="JSON file of who may sign in, read again when it changes.")
@option("--trusted-proxies", type=_Networks(), default="", help="Networks whose X-Forwarded-For and -Proto count.")
@option("--key-file", type=FILE, default=None, help="Shared key (64 bytes, base64) for node tokens, both ways.")
@option("--previous-key-file", type=FILE, default=None, help="Key whose tokens still count during a rotation.")
@option("--token-file", type=FILE, default=None, help="Static bearer token that the nodes expect.")
@option("--peer-ca", type=FILE, default=None, help="PEM of the authority of the nodes' certificates: TLS to nodes.")
@option("--peer-tls-name", type=str, default="", show_default="the host", help="Whom the nodes' certificates name.")
@option("--peer-certificate", type=FILE, default=None, help="PEM that this gateway shows to nodes (mTLS).")
@option("--peer-key", type=FILE, default=None, help="PEM of the key that goes with --peer-certificate.")
@option("--tls-certificate", type=FILE, default=None, help="PEM that both listeners show.")
@option("--tls-key", type=FILE, default=None, help="PEM of the key that goes with --tls-certificate.")
@option("--client-ca", type=FILE, default=None, help="PEM of the authority of gRPC callers' certificates (mTLS).")
@option(
    "--expose-metrics",
    is_flag=True,
    default=False,
    help="Let --metrics, and nothing else, be beyond loopback without TLS and credentials.",
)
@option("--otlp", type=str, default=None, show_default="no traces", help="Collector, http://HOST:4317 (extra `otel`).")
@option("--insecure", is_flag=True, default=False, help="Listen beyond loopback without TLS or credentials.")
@option("--drain", type=Duration(at_most_s=600), default="5s", help="How long requests under way may take to end.")
@until_stdin_closes_option
@log_format_option
@version_option
def command(  # noqa: PLR0913 - one parameter an option
    *,
    http: str,
    grpc: str | None,
    metrics: str | None,
    peers: tuple[str, ...] | None,
    peers_dns: str | None,
    dns_server: str | None,
    peers_file: Path | None,
    seeds: tuple[str, ...] | None,
    timeout: float,
    max_message: int,
    max_total: int,
    max_held: int,
    remember: int,
    max_peers: int,
    max_fanouts: int,
    max_requests: int,
    max_calls: int,
    max_answer_rows: int,
    max_answer_columns: int,
    node_id: str | None,
    page: Path | None,
    session_key_file: Path | None,
    previous_session_key_file: Path | None,
    users_file: Path | None,
    trusted_proxies: tuple[Network, ...],
    key_file: Path | None,
    previous_key_file: Path | None,
    token_file: Path | None,
    peer_ca: Path | None,
    peer_tls_name: str,
    peer_certificate: Path | None,
    peer_key: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    expose_metrics: bool,
    otlp: str | None,
    insecure: bool,
    drain: float,
    until_stdin_closes: bool,
    log_format: LogFormat,
) -> None:
    """The one true heatmap of a cluster: asks every node, merges, and serves the result as JSON, gRPC and a page."""
    choice = _one_of(PeersChoice(peers, peers_dns, peers_file, seeds, dns_server))
    of_nodes = NodeSecrets(key_file, previous_key_file, token_file)
    of_people = _PeoplesSecrets(session_key_file, previous_session_key_file, users_file)
    check_otlp(otlp)
    if (peer_certificate is None) != (peer_key is None):
        raise click.UsageError("--peer-certificate and --peer-key go together")
    if peer_ca is None and (peer_certificate is not None or peer_tls_name):
        raise click.UsageError("--peer-certificate and --peer-tls-name go with --peer-ca")
    if max_total > max_held and "--max-total" in given_options():
        raise click.UsageError(
            f"--max-total of {max_total} bytes is above --max-held of {max_held} bytes, of all requests"
        )
    configure_logging(log_format)
    name = node_id or f"gateway-{secrets.token_hex(4)}"
    with as_usage_error():
        fanout = FanoutSettings(
            timeout_s=timeout,
            max_message_bytes=max_message,
            max_total_bytes=min(max_total, max_held),
            max_held_bytes=max_held,
            max_in_flight_peers=max_peers,
            max_requests=max_fanouts,
        )
        server = ServerSettings(
            max_concurrent=max_calls,
            max_rows=max_answer_rows,
            max_columns=max_answer_columns,
            certificate=tls_certificate,
            key=tls_key,
            client_ca=client_ca,
            insecure=insecure,
        )
    credentials, verifier = of_nodes.credentials(name), of_nodes.verifier()
    sessions, users = of_people.sessions()
    run_gateway(
        GatewayPlan(
            http=http,
            grpc=grpc,
            metrics=metrics,
            expose_metrics=expose_metrics,
            node_id=name,
            choice=choice,
            fanout=fanout,
            shared=ClientShared(
                node_id=name,
                max_message_bytes=max_message,
                credentials=credentials,
                tls=None if peer_ca is None else TlsFiles(peer_ca, peer_certificate, peer_key, peer_tls_name),
                remembered=Shelf(remember) if remember else None,
            ),
            server=server,
            verifier=verifier,
            otlp=otlp,
            settings=GatewaySettings(
                page=page or BUILT_IN_PAGE,
                # A peer may have all of its time although it gets 80 % of ours; rendering needs some as well.
                timeout_s=timeout / 0.8 + 5.0,
                max_requests=max_requests,
                secure_cookies=tls_certificate is not None or not (is_loopback(http) or insecure),
                trusted_proxies=trusted_proxies,
            ),
            sessions=sessions,
            users=users,
            drain_s=drain,
            until_stdin_closes=until_stdin_closes,
        )
    )


def _one_of(choice: PeersChoice) -> PeersChoice:
    if len(choice.given) != 1:
        told = ", ".join(choice.given) or "none of them"
        raise click.UsageError(f"exactly one of --peers, --peers-dns, --peers-file, --seeds is needed, not {told}")
    if choice.dns_server is not None and choice.peers_dns is None:
        raise click.UsageError("--dns-server goes with --peers-dns")
    return choice


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
