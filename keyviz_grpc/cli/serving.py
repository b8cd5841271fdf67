"""How a node process lives: it takes in the past, then counts and serves until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from keyviz_grpc.addresses import is_wildcard
from keyviz_grpc.auth import Verifier
from keyviz_grpc.cli.exposing import metrics_served, process_registry
from keyviz_grpc.cli.feeding import Feeder
from keyviz_grpc.cli.running import announce_ready, stop_requested
from keyviz_grpc.server import ServerSettings, serve_node
from keyviz_grpc.tracing import start_tracing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a node serves. metrics: HOST:PORT, otlp: where traces go, each None for neither."""

    listen: str
    server: ServerSettings
    verifier: Verifier | None
    metrics: str | None
    otlp: str | None
    until_stdin_closes: bool


async def serve(feeder: Feeder | None, plan: Plan) -> None:
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
            if await _until(stop, feeder.prepare):
                log.info("asked to stop before the past was taken in")
                return
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
        await _until(stop, feeder.run)
        await stop.wait()  # one that has fed everything does not end the node
        log.info("draining", extra={"address": node.address})


async def _until(stop: asyncio.Event, work: Callable[[threading.Event], None]) -> bool:
    """Works in a thread until that is done, or somebody asks to stop, which the work is told; whether somebody did."""
    ended = threading.Event()
    working = asyncio.create_task(asyncio.to_thread(work, ended))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    ended.set()
    await working
    return stop.is_set()
