"""`keyviz-demo`: a whole cluster on loopback in one command."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from keyviz_grpc.cli.children import Child, ChildFailed, end_all
from keyviz_grpc.cli.logs import LogFormat, configure_logging
from keyviz_grpc.cli.options import ADDRESS, FILE, SPEED, Duration, log_format_option, option, version_option
from keyviz_grpc.cli.running import announce_ready, run, stop_requested
from keyviz_grpc.listening import bind
from keyviz_grpc.replay import read_leadership, read_trace
from keyviz_grpc.sampler import MAX_SLICES

# By its name: started as a module it is `__main__`.
log = logging.getLogger("gateway.demo")

_GRACE_S: Final = 10.0
_POLL_S: Final = 0.1
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What the command line says; `trace` and `leadership` come together or not at all, `speed` inf = at once."""

    nodes: int
    http: str
    step_s: float
    slices: int
    seed: int
    trace: Path | None
    leadership: Path | None
    speed: float
    log_format: LogFormat


@click.command("keyviz-demo")
@option("--nodes", type=click.IntRange(1, 64), default=3, help="How many node processes.")
@option("--http", type=ADDRESS, default="127.0.0.1:8080", help="Where the page and its API listen.")
@option(
    "--step",
    type=Duration(at_least_s=0.1, at_most_s=86400),
    default=None,
    show_default="1s, with a trace 1m",
    help="Length of a column.",
)
@option("--slices", type=click.IntRange(1, MAX_SLICES), default=4, help="Rows of a route.")
@option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, help="Seed of the synthetic traffic.")
@option("--trace", type=FILE, default=None, help="Replay this trace (CSV, plain or .gz) in place of synthetic traffic.")
@option("--leadership", type=FILE, default=None, help="Leadership changes that go with --trace (CSV, plain or .gz).")
@option("--speed", type=SPEED, default="max", help="Of the replay: a multiple of real time, or max for all at once.")
@log_format_option
@version_option
def command(
    *,
    nodes: int,
    http: str,
    step: float | None,
    slices: int,
    seed: int,
    trace: Path | None,
    leadership: Path | None,
    speed: float,
    log_format: LogFormat,
) -> None:
    """A cluster of node processes with traffic, and a gateway with the heatmap page, on loopback."""
    if (trace is None) != (leadership is None):
        raise click.UsageError("--trace and --leadership go together")
    configure_logging(log_format)
    step_s = step if step is not None else 1.0 if trace is None else 60.0
    settings = DemoSettings(
        nodes=nodes,
        http=http,
        step_s=step_s,
        slices=slices,
        seed=seed,
        trace=trace,
        leadership=leadership,
        speed=speed,
        log_format=log_format,
    )
    # Looked at before nodes make their past; the gateway binds it for itself.
    bind(http).close()
    asyncio.run(_demo(settings))


def main() -> None:
    """Entry point."""
    run(command)


async def _demo(settings: DemoSettings) -> None:
    children: list[Child] = []
    async with stop_requested() as stop:
        starting = asyncio.create_task(_start(settings, children))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                _announce(children)
                await _watch(children, stopping)
        finally:
            for task in (starting, stopping):
                task.cancel()
            await asyncio.gather(starting, stopping, return_exceptions=True)
            await end_all(children, grace_s=_GRACE_S)


async def _start(settings: DemoSettings, children: list[Child]) -> None:
    """Starts the nodes, then the gateway (the last of `children`), and waits for the first column."""
    traffic = await asyncio.to_thread(_traffic_arguments, settings)

    def forward(name: str, line: str) -> None:
        sys.stderr.write(line + "\n" if settings.log_format == "json" else f"[{name}] {line}\n")
        sys.stderr.flush()

    shared = ["--log-format", settings.log_format, "--until-stdin-closes"]
    for index in range(settings.nodes):
        own = ["--listen", "127.0.0.1:0", "--node-index", str(index), "--nodes", str(settings.nodes)]
        size = ["--step", _written(settings.step_s), "--slices", str(settings.slices)]
        arguments = [*own, *size, "--hot-keys", *traffic, *shared]
        children.append(await Child.start(f"n{index + 1}", "keyviz_grpc.cli.node", arguments, forward=forward))
    nodes = list(children)
    await asyncio.gather(*(node.wait_ready() for node in nodes))
    peers = ",".join(node.ready["grpc"] for node in nodes)
    arguments = ["--http", settings.http, "--grpc", "127.0.0.1:0", "--peers", peers, *shared]
    gateway = await Child.start("gateway", "gateway", arguments, forward=forward)
    children.append(gateway)
    await gateway.wait_ready()
    await _first_column(children)


def _traffic_arguments(settings: DemoSettings) -> list[str]:
    if settings.trace is None or settings.leadership is None:
        return ["--workload", "demo", "--seed", str(settings.seed)]
    # Read here too, so that a bad line is told once and not by every node.
    last_ms = read_trace(settings.trace).last_ms
    read_leadership(settings.leadership)
    step_ms = round(settings.step_s * 1000)
    length_ms = (last_ms // step_ms + 1) * step_ms if settings.speed == float("inf") else 0
    start = (round(time.time() * 1000) - length_ms) // step_ms * step_ms
    speed = "max" if settings.speed == float("inf") else repr(settings.speed)
    files = ["--trace", str(settings.trace), "--leadership", str(settings.leadership)]
    return [*files, "--speed", speed, "--trace-start", str(start)]


def _written(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


async def _first_column(children: list[Child]) -> None:
    """Waits until the gateway shows a column. Raises ChildFailed when one of the processes ends before."""
    address = children[-1].ready["http"]
    while not await asyncio.to_thread(_has_columns, f"http://{address}/admin/api/v1/keyviz/matrix?rows=1"):
        for child in children:
            if not child.running:
                raise ChildFailed(f"{child.name} ended ({child.how_it_ended}): {child.last_line}")
        await asyncio.sleep(_POLL_S)


def _has_columns(url: str) -> bool:
    try:
        with _NO_PROXY.open(url, timeout=10) as answer:
            return bool(json.load(answer)["column_unix_ms"])
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (OSError, ValueError, KeyError):
        return False


def _announce(children: list[Child]) -> None:
    *nodes, gateway = children
    http, grpc = gateway.ready["http"], gateway.ready["grpc"]
    announce_ready(grpc=grpc, http=http)
    victim = nodes[-1]
    asked = '{"series": "KEYVIZ_SERIES_READS", "rows": 20}'
    click.echo(f"""
  page     http://{http}/admin/
  curl     curl -s 'http://{http}/admin/api/v1/keyviz/matrix?series=reads&rows=20'
  grpcurl  grpcurl -plaintext -d '{asked}' {grpc} keyviz.v1.KeyViz/GetKeyVizMatrix
  nodes    {", ".join(f"{node.name} = {node.ready['grpc']}" for node in nodes)}

Things to try:
  - switch the series on the page; hover a cell for its range, time and value; watch the hot spot wander
  - curl -s 'http://{http}/admin/api/v1/keyviz/hotkeys?route_id=1&series=reads&top=5'   the hot keys of a route
  - kill -9 {victim.process.pid} ends node {victim.name}: only its share goes missing, and the page says so
  - grpcurl -plaintext {nodes[0].ready["grpc"]} list   asks one node alone; the line above asks the whole cluster

Ctrl-C ends everything.""")
    sys.stdout.flush()


async def _watch(children: list[Child], stopping: asyncio.Task[bool]) -> None:
    """Until asked to stop: a node that ends is told and done without; raises ChildFailed when the gateway ends."""
    *nodes, gateway = children
    ends: dict[asyncio.Task[bool] | asyncio.Task[None], Child] = {
        asyncio.create_task(child.wait()): child for child in children
    }
    pending = {stopping, *ends}
    try:
        while True:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if stopping in done:
                return
            for child in (ends[task] for task in done if task in ends):
                if child is gateway:
                    raise ChildFailed(f"the gateway ended ({gateway.how_it_ended}): {gateway.last_line}")
                left = sum(node.running for node in nodes)
                log.warning("a node ended", extra={"node": child.name, "how": child.how_it_ended, "nodes_left": left})
    finally:
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


if __name__ == "__main__":
    main()
