"""Traces of a real gateway, as a collector gets them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.e2e.conftest import Processes, ask

pytestmark = pytest.mark.e2e


@contextlib.asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, list[Any]]]:
    """(address, spans that came in)."""
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc")
    messages = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    spans: list[Any] = []

    class Collector(service.TraceServiceServicer):  # type: ignore[misc, name-defined]
        async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name on the wire
            """Keeps what comes."""
            spans.extend(s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans)
            return messages.ExportTraceServiceResponse()

    server = grpc.aio.server()
    service.add_TraceServiceServicer_to_server(Collector(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield address, spans
    finally:
        await server.stop(None)


async def test_what_nodes_do_for_a_request_is_part_of_its_trace(processes: Processes) -> None:
    """Served under the gateway's span for that peer; reading and encoding under that, on each of two nodes."""
    async with collector() as (address, spans):
        otlp = ("--otlp", f"http://{address}")
        nodes = [await processes.node("--workload", "demo", "--step", "1s", "--history", "10s", *otlp) for _ in "ab"]
        gateway = await processes.gateway([node.ready["grpc"] for node in nodes], *otlp)
        await ask(gateway)
        for process in (gateway, *nodes):
            process.ask_to_end()
            await asyncio.wait_for(process.wait(), 15)
    by_id = {span.span_id: span for span in spans}
    served = [span for span in spans if span.name == "keyviz.serve" and span.parent_span_id in by_id]
    assert [by_id[span.parent_span_id].name for span in served] == ["keyviz.peer"] * 2
    assert len({span.parent_span_id for span in served}) == 2
    for span in served:
        below = sorted(one.name for one in spans if one.parent_span_id == span.span_id)
        assert below == ["keyviz.encode", "keyviz.read"]
    assert len({span.trace_id for span in served}) == 1


async def test_a_request_is_one_trace(processes: Processes) -> None:
    """Matrix over fan-out over each peer, then merge, then encode; what is left is sent when the gateway ends."""
    async with collector() as (address, spans):
        nodes = [await processes.node("--workload", "demo", "--step", "1s", "--history", "10s") for _ in range(2)]
        peers = [node.ready["grpc"] for node in nodes]
        gateway = await processes.gateway(peers, "--otlp", f"http://{address}")
        await ask(gateway)
        gateway.ask_to_end()
        await asyncio.wait_for(gateway.wait(), 15)
        assert gateway.process.returncode == 0
    by_id = {span.span_id: span for span in spans}
    chains = sorted((span.name, getattr(by_id.get(span.parent_span_id), "name", "")) for span in spans)
    assert chains == [
        ("keyviz.encode", "keyviz.matrix"),
        ("keyviz.fan_out", "keyviz.matrix"),
        ("keyviz.matrix", ""),
        ("keyviz.merge", "keyviz.matrix"),
        ("keyviz.peer", "keyviz.fan_out"),
        ("keyviz.peer", "keyviz.fan_out"),
    ]
    assert len({span.trace_id for span in spans}) == 1
    told = [{a.key: a.value.string_value for a in span.attributes} for span in spans if span.name == "keyviz.peer"]
    assert sorted(one["peer"] for one in told) == sorted(peers)
    assert {one["outcome"] for one in told} == {"ok"}
