"""`keyviz-node`: one node as a process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click

from keyviz_grpc.addresses import is_wildcard
from keyviz_grpc.auth import BearerVerifier, KeyFile, TextFile, TokenVerifier, Verifier
from keyviz_grpc.cli.exposing import metrics_served, process_registry
from keyviz_grpc.cli.feeding import Feeder, Place, SamplerSettings, TrafficSettings, feeder_of
from keyviz_grpc.cli.logs import LogFormat, configure_logging
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
from keyviz_grpc.cli.running import announce_ready, as_usage_error, run, stop_requested
from keyviz_grpc.errors import SettingError
from keyviz_grpc.exposure import check_metrics_exposure
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.outcome import Member
from keyviz_grpc.sampler import MAX_SLICES
from keyviz_grpc.server import ServerSettings, serve_node
from keyviz_grpc.tracing import start_tracing

# By its name: started as a module it is `__main__`.
log = logging.getLogger("keyviz_grpc.cli.node")

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
    for flag in () if sampler else given_options():
        if flag in _COUNTED:
            raise click.UsageError(f"{flag} and --no-sampler exclude each other")
    recorded = _hot_keys(
        hot_keys,
        sample=hot_keys_sample,
        max_key_bytes=hot_keys_max_key,
        counters=hot_keys_counters,
        memory_bytes=hot_keys_memory,
        windows=hot_keys_windows,
    )
    if node_index >= nodes:
        raise click.UsageError(f"--node-index {node_index} is not below --nodes {nodes}")
    if {trace is None, leadership is None, trace_start is None} == {True, False}:
        raise click.UsageError("--trace, --leadership and --trace-start go together")
    if trace is not None and workload != "none":
        raise click.UsageError(f"--workload {workload} and --trace exclude each other")
    if key_file is not None and token_file is not None:
        raise click.UsageError("--key-file and --token-file exclude each other")
    if previous_key_file is not None and key_file is None:
        raise click.UsageError("--previous-key-file goes with --key-file")
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
    ids = tuple(f"n{number + 1}" for number in range(nodes))
    own_id = node_id or ids[node_index]
    ids = (*ids[:node_index], own_id, *ids[node_index + 1 :])
    _check_members(own_id, member)
    feeder = None
    if sampler:
        feeder = feeder_of(
            SamplerSettings(own_id, round(step * 1000), columns, max_routes, recorded, slices),
            Place(node_index, nodes, ids),
            TrafficSettings(workload, seed, rate, history, trace, leadership, speed, trace_start),
        )
        feeder.sampler.set_members(member)
    verifier = _verifier(key_file, previous_key_file, token_file)
    if metrics is not None:
        check_metrics_exposure(metrics, exposed=expose_metrics, insecure=insecure)
    plan = _Plan(listen, server, verifier, metrics, otlp, until_stdin_closes=until_stdin_closes)
    asyncio.run(_serve(feeder, plan))


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


def _verifier(key_file: Path | None, previous: Path | None, token_file: Path | None) -> Verifier | None:
    if key_file is not None:
        return TokenVerifier([KeyFile(path) for path in (key_file, previous) if path is not None])
    return BearerVerifier(TextFile(token_file)) if token_file is not None else None


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a node serves. metrics: HOST:PORT, otlp: where traces go, each None for neither."""

    listen: str
    server: ServerSettings
    verifier: Verifier | None
    metrics: str | None
    otlp: str | None
    until_stdin_closes: bool


async def _serve(feeder: Feeder | None, plan: _Plan) -> None:
    """Takes in the past, then counts and serves until asked to stop."""
    source = None if feeder is None else feeder.sampler
    registry = process_registry()
    async with contextlib.AsyncExitStack() as stack:
        stop = await stack.enter_async_context(stop_requested(until_stdin_closes=plan.until_stdin_closes))
        if plan.otlp is not None:
            stack.callback(start_tracing(plan.otlp, service="keyviz-node"))
        if feeder is not None:
            stack.callback(feeder.sampler.close)
            # Nobody may see half a past: whoever asked would count it, and remember it as closed.
            await asyncio.to_thread(feeder.prepare)
        node = await stack.enter_async_context(
            await serve_node(
                source, listen=plan.listen, settings=plan.server, verifier=plan.verifier, registry=registry
            )
        )
        if plan.metrics is not None:
            await stack.enter_async_context(metrics_served(registry, plan.metrics))
        if feeder is None:
            announce_ready(grpc=node.address)
            await stop.wait()
            return
        # A wildcard is where one listens, not where one is found: then those who ask know better.
        feeder.sampler.grpc_address = "" if is_wildcard(node.address) else node.address
        log.info("serving", extra={"address": node.address, "node_id": feeder.sampler.node_id})
        announce_ready(grpc=node.address)
        await _feed(feeder, stop)
        log.info("draining", extra={"address": node.address})


async def _feed(feeder: Feeder, stop: asyncio.Event) -> None:
    ended = threading.Event()
    feeding = asyncio.create_task(asyncio.to_thread(feeder.run, ended))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({feeding, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if feeding.done():
        await feeding  # a feeder that broke ends the node, one that has fed everything does not
        await stopping
    ended.set()
    await feeding


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
