"""`keyviz-node`: one node as a process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, Literal

import click

from keyviz_grpc.cli.feeding import Place, SamplerSettings, TrafficSettings, feeder_of
from keyviz_grpc.cli.logs import LogFormat, configure_logging
from keyviz_grpc.cli.node_secrets import NodeSecrets
from keyviz_grpc.cli.options import (
    ADDRESS,
    FILE,
    MEMBER,
    NODE_ID,
    SPEED,
    Duration,
    Size,
    check_goes_with,
    check_otlp,
    given_options,
    log_format_option,
    option,
    until_stdin_closes_option,
    version_option,
)
from keyviz_grpc.cli.running import as_usage_error, run
from keyviz_grpc.cli.serving import Plan, serve
from keyviz_grpc.errors import SettingError
from keyviz_grpc.exposure import check_metrics_exposure
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.outcome import Member
from keyviz_grpc.sampler import MAX_SLICES
from keyviz_grpc.server import ServerSettings

_HOT_KEYS: Final = tuple(f"--hot-keys-{name}" for name in ("sample", "max-key", "memory", "windows", "counters"))
_COUNTED: Final = ("--hot-keys", "--trace", "--leadership", "--trace-start", "--workload", "--member")
"""What a node without a sampler has no use for."""


@click.command("keyviz-node")
@option("--listen", type=ADDRESS, default="127.0.0.1:50051", help="Where gRPC is served; port 0 = any free one.")
@option(
    "--node-id", type=NODE_ID, default=None, show_default="n1 for node index 0, …", help="What this node is called."
)
@option(
    "--member",
    type=MEMBER,
    multiple=True,
    show_default="none",
    help="Another node of the cluster, once for each (a variable: with spaces between): for gateways with --seeds.",
)
@option("--step", type=Duration(at_least_s=0.01, at_most_s=86400), default="60s", help="Length of a column.")
@option("--columns", type=click.IntRange(1, 1_000_000), default=1440, help="How many closed columns are held.")
@option("--max-routes", type=click.IntRange(1), default=10_000, help="Routes counted one by one; more are aggregated.")
@option("--slices", type=click.IntRange(1, MAX_SLICES), default=1, help="Rows of a route; --max-routes counts them.")
@option("--sampler/--no-sampler", default=True, help="Without a sampler a node says that it has none.")
@option("--hot-keys", is_flag=True, default=False, help="Record hot keys; answers then hold user keys.")
@option("--hot-keys-sample", type=click.IntRange(1, 1 << 20), default=1, help="Look at one in so many operations.")
@option(
    "--hot-keys-max-key",
    type=Size(at_most=64 << 10),
    default="1KiB",
    help="Keys longer than this are counted as skipped.",
)
@option("--hot-keys-memory", type=Size(at_least=1 << 20), default="128MiB", help="What hot keys may take in memory.")
@option("--hot-keys-windows", type=click.IntRange(1, 1_000_000), default=1440, help="Closed windows held, if they fit.")
@option(
    "--hot-keys-counters",
    type=click.IntRange(8, 1 << 16),
    default=1024,
    help="Size of a sketch, a power of two: it is off by at most 3.5 / this of the operations.",
)
@option("--workload", type=click.Choice(["demo", "none"]), default="none", help="Synthetic traffic, or none.")
@option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, help="Seed of --workload demo, the same on all nodes.")
@option(
    "--rate", type=click.IntRange(1, 100_000), default=1000, help="Of --workload demo: operations a second and node."
)
@option(
    "--history", type=Duration(at_least_s=0), default="10m", help="Of --workload demo: the past made up at the start."
)
@option("--trace", type=FILE, default=None, help="Replay this trace (CSV, plain or .gz).")
@option("--leadership", type=FILE, default=None, help="Leadership changes that go with --trace (CSV, plain or .gz).")
@option("--node-index", type=click.IntRange(0), default=0, help="Which of --nodes this one is, from 0.")
@option("--nodes", type=click.IntRange(1), default=1, help="How many nodes share the traffic.")
@option("--speed", type=SPEED, default="max", help="Of the replay: a multiple of real time, or max for all at once.")
@option(
    "--trace-start",
    type=click.IntRange(1),
    default=None,
    help="Of the replay: the moment of its time 0 in unix milliseconds, rounded down to the step.",
)
@option("--key-file", type=FILE, default=None, help="Shared key (64 bytes, base64): callers need a node token.")
@option("--previous-key-file", type=FILE, default=None, help="Key whose tokens still count during a rotation.")
@option("--token-file", type=FILE, default=None, help="Static bearer token that callers need.")
@option("--tls-certificate", type=FILE, default=None, help="PEM that this node shows: TLS.")
@option("--tls-key", type=FILE, default=None, help="PEM of the key that goes with --tls-certificate.")
@option("--tls-client-ca", type=FILE, default=None, help="PEM of whom callers' certificates must come from: mTLS.")
@option("--max-calls", type=click.IntRange(1), default=64, help="Calls at once; one more is refused, health is not.")
@option("--max-answer-rows", type=click.IntRange(1), default=100_000, help="A larger answer is refused, not sent.")
@option("--max-answer-columns", type=click.IntRange(1), default=20_000, help="The same; gateways then ask in slices.")
@option("--metrics", type=ADDRESS, default=None, show_default="not served", help="Where /metrics (Prometheus) is.")
@option(
    "--expose-metrics",
    is_flag=True,
    default=False,
    help="Let --metrics, and nothing else, be beyond loopback without TLS and credentials.",
)
@option("--otlp", type=str, default=None, show_default="no traces", help="Collector, http://HOST:4317 (extra `otel`).")
@option("--insecure", is_flag=True, default=False, help="Listen beyond loopback without TLS or credentials.")
@until_stdin_closes_option
@log_format_option
@version_option
def command(  # noqa: PLR0913 - one parameter an option
    *,
    listen: str,
    node_id: str | None,
    member: tuple[Member, ...],
    step: float,
    columns: int,
    max_routes: int,
    slices: int,
    sampler: bool,
    hot_keys: bool,
    hot_keys_sample: int,
    hot_keys_max_key: int,
    hot_keys_memory: int,
    hot_keys_windows: int,
    hot_keys_counters: int,
    workload: Literal["demo", "none"],
    seed: int,
    rate: int,
    history: float,
    trace: Path | None,
    leadership: Path | None,
    node_index: int,
    nodes: int,
    speed: float,
    trace_start: int | None,
    key_file: Path | None,
    previous_key_file: Path | None,
    token_file: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    max_calls: int,
    max_answer_rows: int,
    max_answer_columns: int,
    metrics: str | None,
    expose_metrics: bool,
    otlp: str | None,
    insecure: bool,
    until_stdin_closes: bool,
    log_format: LogFormat,
) -> None:
    """One node of a cluster as a process: counts its share of some traffic and serves what it counted over gRPC."""
    check_goes_with("--hot-keys", *_HOT_KEYS, met=hot_keys)
    check_goes_with("--workload demo", "--seed", "--rate", "--history", met=workload == "demo")
    check_goes_with("--trace", "--speed", met=trace is not None)
    _check_counted(sampler)
    recorded = _hot_keys(
        hot_keys,
        sample=hot_keys_sample,
        max_key_bytes=hot_keys_max_key,
        counters=hot_keys_counters,
        memory_bytes=hot_keys_memory,
        windows=hot_keys_windows,
    )
    place = _place(node_id, node_index, nodes)
    traffic = TrafficSettings(workload, seed, rate, history, trace, leadership, speed, trace_start)
    _check_traffic(traffic)
    secrets = NodeSecrets(key_file, previous_key_file, token_file)
    check_otlp(otlp)
    with as_usage_error():
        server = ServerSettings(
            max_concurrent=max_calls,
            max_rows=max_answer_rows,
            max_columns=max_answer_columns,
            certificate=tls_certificate,
            key=tls_key,
            client_ca=tls_client_ca,
            insecure=insecure,
        )
    configure_logging(log_format)
    own_id = place.node_ids[place.index]
    _check_members(own_id, member)
    feeder = None
    if sampler:
        settings = SamplerSettings(own_id, round(step * 1000), columns, max_routes, recorded, slices)
        feeder = feeder_of(settings, place, traffic)
        feeder.sampler.set_members(member)
    verifier = secrets.verifier()
    if metrics is not None:
        check_metrics_exposure(metrics, exposed=expose_metrics, insecure=insecure)
    plan = Plan(listen, server, verifier, metrics, otlp, until_stdin_closes=until_stdin_closes)
    asyncio.run(serve(feeder, plan))


def _check_counted(sampler: bool) -> None:
    """Raises UsageError for an option of what is counted, where nothing is."""
    for flag in () if sampler else given_options():
        if flag in _COUNTED:
            raise click.UsageError(f"{flag} and --no-sampler exclude each other")


def _place(node_id: str | None, index: int, count: int) -> Place:
    """This node among all, which are called n1, n2, … unless it has a name of its own."""
    if index >= count:
        raise click.UsageError(f"--node-index {index} is not below --nodes {count}")
    ids = [f"n{number + 1}" for number in range(count)]
    ids[index] = node_id or ids[index]
    return Place(index, count, tuple(ids))


def _check_traffic(traffic: TrafficSettings) -> None:
    """Raises UsageError for half a replay, and for traffic of two kinds."""
    given = {part is not None for part in (traffic.trace, traffic.leadership, traffic.trace_start_unix_ms)}
    if len(given) > 1:
        raise click.UsageError("--trace, --leadership and --trace-start go together")
    if traffic.trace is not None and traffic.workload != "none":
        raise click.UsageError(f"--workload {traffic.workload} and --trace exclude each other")


def _check_members(own_id: str, members: tuple[Member, ...]) -> None:
    """Raises UsageError for this node itself among the others, and for one of them that is told twice."""
    seen: dict[str, Member] = {}
    for member in members:
        told = f"--member {member.node_id}={member.address}"
        if member.node_id == own_id:
            raise click.UsageError(f"{told}: {own_id} is this node itself (--node-id), only the others are told")
        for key in (member.node_id, member.address):
            if (other := seen.setdefault(key, member)) is not member:
                raise click.UsageError(f"{told}: {key} is in --member {other.node_id}={other.address} already")


def _hot_keys(
    wanted: bool, *, sample: int, max_key_bytes: int, counters: int, memory_bytes: int, windows: int
) -> HotKeysSettings | None:
    if not wanted:
        return None
    try:
        return HotKeysSettings(sample, max_key_bytes, counters, memory_bytes, windows)
    except SettingError as error:
        raise click.UsageError(f"--hot-keys-counters, --hot-keys-memory and --hot-keys-max-key: {error}") from None


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
