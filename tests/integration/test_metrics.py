"""What Prometheus sees of real servers, checked against what was really asked of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge

from benchmarks.synthetic import Shape, cluster
from gateway.metrics import Metrics
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.auth import Refused
from keyviz_grpc.cli import exposing
from keyviz_grpc.cli.exposing import metrics_served
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.hotkeys import HotKeysQuery, HotKeysSettings
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, NoUsablePeers
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as service
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.server import serve_cluster, serve_node
from tests.integration.guarded import Prepared
from tests.integration.http_clusters import counting, idle_at

MATRIX = "keyviz.v1.KeyViz/GetKeyVizMatrix"
OUTCOMES = ("taken", "dropped", "skipped", "no_memory")


def told(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """A sample's value, 0 where it is not there."""
    return registry.get_sample_value(name, labels) or 0.0


async def settled(registry: CollectorRegistry) -> None:
    """Until every call is counted: a caller has its answer a moment earlier."""
    async with asyncio.timeout(10):
        while told(registry, "keyviz_grpc_in_flight"):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.001)


@asynccontextmanager
async def asked(sampler: Sampler | None, **of_node: Any) -> AsyncIterator[tuple[Any, grpc.aio.Channel]]:
    """(stub, channel) of a node that serves."""
    async with (
        await serve_node(sampler, listen="127.0.0.1:0", **of_node) as node,
        grpc.aio.insecure_channel(node.address) as channel,
    ):
        yield service.KeyVizStub(channel), channel


async def test_calls_are_counted_by_method_and_code() -> None:
    """Answers, mistakes, methods that are not there; time and bytes of each, rows and columns of matrices."""
    registry = CollectorRegistry()
    with counting(2) as sampler:
        async with asked(sampler, registry=registry) as (stub, channel):
            answer = await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
            packed = await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(accept=[pb.MATRIX_ENCODING_COLUMNAR]))
            for path in (f"/{MATRIX}", "/keyviz.v1.KeyViz/Nothing", "/some.Where/Else"):
                call: Any = channel.unary_unary(path)
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(pb.GetKeyVizMatrixRequest(from_unix_ms=-1).SerializeToString())
            await settled(registry)
            assert told(registry, "keyviz_grpc_requests_total", method=MATRIX, code="OK") == 2
            assert told(registry, "keyviz_grpc_requests_total", method=MATRIX, code="INVALID_ARGUMENT") == 1
            assert told(registry, "keyviz_grpc_requests_total", method="other", code="UNIMPLEMENTED") == 2
            assert told(registry, "keyviz_grpc_request_seconds_count", method=MATRIX) == 3
            assert told(registry, "keyviz_grpc_answer_bytes_count", method=MATRIX) == 2
            sizes = len(answer.SerializeToString()) + len(packed.SerializeToString())
            assert told(registry, "keyviz_grpc_answer_bytes_sum", method=MATRIX) == sizes
            assert told(registry, "keyviz_grpc_matrix_rows_sum") == 2 * len(answer.rows)
            assert told(registry, "keyviz_grpc_matrix_columns_sum") == 2 * len(answer.column_unix_ms)
            assert told(registry, "keyviz_grpc_encode_seconds_count") == 2
            assert told(registry, "keyviz_grpc_in_flight") == 0


async def test_refused_callers_are_counted_and_their_inventions_are_not() -> None:
    """Credentials fail as UNAUTHENTICATED, and made-up method names make no series."""

    class Nobody:
        def verify(self, authorization: str | None) -> str:
            raise Refused

    registry = CollectorRegistry()
    with counting(1) as sampler:
        async with asked(sampler, registry=registry, verifier=Nobody()) as (stub, channel):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
            for number in range(20):
                call: Any = channel.unary_unary(f"/a.B/C{number}")
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(b"")
            await settled(registry)
            assert told(registry, "keyviz_grpc_requests_total", method=MATRIX, code="UNAUTHENTICATED") == 1
            assert told(registry, "keyviz_grpc_requests_total", method="other", code="UNAUTHENTICATED") == 20
            methods = {s.labels.get("method") for f in registry.collect() for s in f.samples}
            assert methods == {None, MATRIX, "other"}


async def test_the_sampler_behind_a_node_is_shown() -> None:
    """Operations by direction, exactly; columns, windows, routes; and whether there is a sampler at all."""
    registry = CollectorRegistry()
    with counting(2) as sampler:
        async with asked(sampler, registry=registry):
            assert told(registry, "keyviz_sampler_on") == 1
            assert told(registry, "keyviz_sampler_observed_total", op="read") == 60
            assert told(registry, "keyviz_sampler_observed_total", op="write") == 10
            assert told(registry, "keyviz_sampler_windows_closed_total") == 1
            assert told(registry, "keyviz_sampler_columns") == 1
            assert told(registry, "keyviz_sampler_columns_limit") == 1440
            assert told(registry, "keyviz_sampler_windows_open") == 1
            assert told(registry, "keyviz_sampler_routes") == 3
            newest = told(registry, "keyviz_sampler_newest_column_seconds")
            assert newest == told(registry, "keyviz_sampler_oldest_column_seconds") > 0
            assert told(registry, "keyviz_sampler_drains_total") >= 1


async def test_the_recorder_of_hot_keys_is_shown_where_prometheus_looks() -> None:
    """Over HTTP, as a scrape reads it: what became of each operation, sketches, memory, windows, and their limits."""
    registry = CollectorRegistry()
    now_s = 1000.5
    settings = HotKeysSettings(max_key_bytes=32, memory_bytes=1 << 20, max_pending=5000, windows=3)
    with Sampler(
        node_id="n", step_ms=1000, clock=lambda: now_s, stall_s=9, drain_interval_s=3600, hot_keys=settings
    ) as sampler:
        sampler.register_routes([Route(n, b"%04d" % n, b"%04d" % (n + 1)) for n in range(1, 61)])
        async with asked(sampler, registry=registry), metrics_served(registry, "127.0.0.1:0") as address:

            async def scraped() -> dict[str, float]:
                async with httpx.AsyncClient() as client:
                    text = (await client.get(f"http://{address}/metrics")).text
                samples = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("keyviz_hot_keys"))
                return {name.removeprefix("keyviz_hot_keys_"): float(value) for name, value in samples}

            assert sampler._counting.hot is not None
            for route_id in range(1, 61):
                for number in range(80):
                    sampler.observe(route_id, b"%032d" % number, Op.READ, 1)
            for _ in range(300):
                sampler.observe(1, b"x", Op.WRITE, 1)
            sampler.observe_many([7, 7], [b"x" * 33, b"y"], [1, 1], [1, 1])
            assert (await scraped())["pending"] == 5000
            for _ in range(20):  # the buffer has been claimed: one more window's worth, all of the hottest route
                sampler._counting.hot.recorder.tick()
                for number in range(400):
                    sampler.observe(60, b"%032d" % number, Op.READ, 1)
                sampler.tick()
            sampler._counting.hot.recorder.tick()
            told = await scraped()
            outcomes = {name: told[f'operations_total{{outcome="{name}"}}'] for name in OUTCOMES}
            assert (outcomes["dropped"], outcomes["skipped"]) == (4800 + 300 + 1 - 5000, 1)
            assert sum(outcomes.values()) == 4800 + 300 + 2 + 20 * 400
            assert outcomes["no_memory"] > 0
            assert told["sketches_evicted_total"] > 0
            assert told["without_sketch"] > 0
            assert told["sketches"] + told["without_sketch"] == 60 + 2, "reads of each, writes of two"
            assert 0 < told['bytes{windows="open"}'] <= told['bytes_limit{windows="open"}'] == 1 << 19
            assert (told["pending"], told["pending_limit"], told["windows"], told["windows_limit"]) == (0, 5000, 0, 3)
            now_s = 1001.5
            sampler.tick()
            sampler._counting.hot.recorder.tick()
            told = await scraped()
            assert (told["on"], told["windows"], told["sketches"], told["without_sketch"]) == (1, 1, 0, 0)
            assert told['bytes{windows="open"}'] == 0
            assert 0 < told['bytes{windows="closed"}'] <= told['bytes_limit{windows="closed"}']


async def test_hot_keys_that_are_off_are_shown_as_off() -> None:
    """One number and no others."""
    registry = CollectorRegistry()
    with counting(1) as sampler:
        async with asked(sampler, registry=registry):
            shown = {sample.name: sample.value for family in registry.collect() for sample in family.samples}
            assert {name: value for name, value in shown.items() if "hot_keys" in name} == {"keyviz_hot_keys_on": 0}


async def test_a_sampler_that_is_off_is_shown_as_off_and_the_registry_can_be_used_again() -> None:
    """Two servers one after the other; between them there is nothing in the store's registry."""
    registry = CollectorRegistry()
    for _ in range(2):
        async with asked(None, registry=registry) as (stub, _channel):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
            assert registry.get_sample_value("keyviz_sampler_on") == 0
            await settled(registry)
            assert told(registry, "keyviz_grpc_requests_total", method=MATRIX, code="UNAVAILABLE") == 1
        assert list(registry.collect()) == []


async def test_calls_under_way_are_shown_and_one_whose_caller_left_is_cancelled() -> None:
    """The gauge goes up while a call is served, and down when it ends, however it ends."""
    registry = CollectorRegistry()
    entered, let_go = threading.Event(), threading.Event()

    class Slow:
        def matrix(self, query: MatrixQuery) -> Answer:
            entered.set()
            let_go.wait(10)
            return sampler.matrix(query)

        def overview(self) -> Any:
            return sampler.overview()

    with counting(1) as sampler:
        async with asked(Slow(), registry=registry) as (stub, _channel):  # type: ignore[arg-type]
            call = stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
            waiting = asyncio.ensure_future(call)
            await asyncio.to_thread(entered.wait, 10)
            assert told(registry, "keyviz_grpc_in_flight") == 1
            call.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await settled(registry)
            let_go.set()
            assert told(registry, "keyviz_grpc_requests_total", method=MATRIX, code="CANCELLED") == 1


@asynccontextmanager
async def over(*peers: str) -> AsyncIterator[tuple[Aggregator, Metrics]]:
    """An aggregator that tells its metrics everything."""
    metrics = Metrics()
    shared = ClientShared(received=metrics.received)
    aggregator = Aggregator(StaticPeers(peers, shared), settings=FanoutSettings(), node_id="gw", observer=metrics)
    try:
        yield aggregator, metrics
    finally:
        await aggregator.close()


async def test_the_fan_out_is_counted_peer_by_peer() -> None:
    """Outcomes by kind, each peer's time and bytes, time to merge, and what the latest matrix was like."""
    async with AsyncExitStack() as stack:
        samplers = [stack.enter_context(counting(number)) for number in (1, 2)]
        nodes = [await stack.enter_async_context(await serve_node(one, listen="127.0.0.1:0")) for one in samplers]
        peers = [nodes[0].address, nodes[1].address, "127.0.0.1:1"]
        aggregator, metrics = await stack.enter_async_context(over(*peers))
        for _ in range(3):
            answer = await aggregator.matrix(MatrixQuery(), Deadline.after(10))
        seen = metrics.registry
        assert told(seen, "keyviz_peer_outcomes_total", kind="ok") == 6
        assert told(seen, "keyviz_peer_outcomes_total", kind="unreachable") == 3
        assert [told(seen, "keyviz_peer_latency_seconds_count", peer=peer) for peer in peers] == [3, 3, 3]
        assert [told(seen, "keyviz_peer_answer_bytes_count", peer=peer) for peer in peers] == [3, 3, 0]
        assert told(seen, "keyviz_peer_answer_bytes_sum", peer=peers[0]) > 0
        assert told(seen, "keyviz_merge_seconds_count") == 3
        assert [told(seen, f"keyviz_matrix_{name}") for name in ("rows", "columns")] == list(answer.matrix.shape)
        assert told(seen, "keyviz_matrix_nodes_responded") == 2
        assert told(seen, "keyviz_matrix_nodes_expected") == 3
        assert told(seen, "keyviz_peer_warnings_total", code="clock_skew") == 6


async def test_conflicts_of_the_latest_matrix_are_shown() -> None:
    """As many as it has cells in doubt, and none once there are none."""
    async with AsyncExitStack() as stack:
        made = cluster(Shape(2, 30, 20, conflict_share=0.3, divergent=False))
        nodes = [await stack.enter_async_context(await serve_node(Prepared(one), listen="127.0.0.1:0")) for one in made]
        aggregator, metrics = await stack.enter_async_context(over(*(node.address for node in nodes)))
        answer = await aggregator.matrix(MatrixQuery(), Deadline.after(10))
        assert answer.matrix.conflicts is not None
        assert told(metrics.registry, "keyviz_matrix_conflicts") == answer.matrix.conflicts.sum() > 0
        await aggregator.matrix(MatrixQuery(Series.READS), Deadline.after(10))
        assert metrics.registry.get_sample_value("keyviz_matrix_conflicts") == 0


async def test_questions_for_hot_keys_are_counted_apart() -> None:
    """One node that records them, one on which they are off, one that is dead."""
    async with AsyncExitStack() as stack:
        on = stack.enter_context(counting(1, hot_keys=HotKeysSettings()))
        off = stack.enter_context(counting(1))
        nodes = [await stack.enter_async_context(await serve_node(one, listen="127.0.0.1:0")) for one in (on, off)]
        peers = [nodes[0].address, nodes[1].address, "127.0.0.1:1"]
        aggregator, metrics = await stack.enter_async_context(over(*peers))
        await asyncio.gather(*(aggregator.hot_keys(HotKeysQuery(1, top=top), Deadline.after(10)) for top in (1, 2)))
        seen = metrics.registry
        kinds = [told(seen, "keyviz_hot_keys_peer_outcomes_total", kind=k) for k in ("ok", "disabled", "unreachable")]
        assert kinds == [1, 1, 1]
        latencies = [told(seen, "keyviz_hot_keys_peer_latency_seconds_count", peer=peer) for peer in peers]
        assert latencies == [1, 1, 1]
        assert told(seen, "keyviz_coalesced_requests_total", stage="fan_out") == 1
        assert told(seen, "keyviz_peer_outcomes_total", kind="ok") == 0


async def test_a_dead_cluster_is_counted_too() -> None:
    """Just when there is no answer, its reasons are wanted."""
    async with over("127.0.0.1:1") as (aggregator, metrics):
        with pytest.raises(NoUsablePeers):
            await aggregator.matrix(MatrixQuery(), Deadline.after(10))
        assert told(metrics.registry, "keyviz_peer_outcomes_total", kind="unreachable") == 1
        assert metrics.registry.get_sample_value("keyviz_matrix_nodes_responded") == 0
        assert told(metrics.registry, "keyviz_matrix_nodes_expected") == 1


async def test_identical_questions_are_counted_as_coalesced() -> None:
    """Five at once: one fan-out, four that joined it."""
    with counting(1) as sampler:
        async with await serve_node(sampler, listen="127.0.0.1:0") as node, over(node.address) as (aggregator, metrics):
            metrics.watch_fan_outs(lambda: aggregator.fan_outs)
            waiting = [asyncio.ensure_future(aggregator.matrix(MatrixQuery(), Deadline.after(10))) for _ in range(5)]
            await asyncio.sleep(0)
            assert told(metrics.registry, "keyviz_fan_outs_in_flight") == 1
            await asyncio.gather(*waiting)
            assert told(metrics.registry, "keyviz_coalesced_requests_total", stage="fan_out") == 4
            assert told(metrics.registry, "keyviz_peer_outcomes_total", kind="ok") == 1


async def test_a_gateways_own_grpc_face_and_its_fan_out_share_a_registry() -> None:
    """One place to look at."""
    with counting(1) as sampler:
        async with await serve_node(sampler, listen="127.0.0.1:0") as node, over(node.address) as (aggregator, metrics):
            server = await serve_cluster(aggregator, listen="127.0.0.1:0", registry=metrics.registry)
            async with server, grpc.aio.insecure_channel(server.address) as channel:
                await service.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
                assert told(metrics.registry, "keyviz_grpc_requests_total", method=MATRIX, code="OK") == 1
                assert told(metrics.registry, "keyviz_peer_outcomes_total", kind="ok") == 1


async def test_the_listener_of_metrics_has_few_connections_and_keeps_none_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that ask for nothing, or do not take their answer, are in the way of others for a while and no longer."""
    monkeypatch.setattr(exposing, "HEAD_S", 1.5)
    monkeypatch.setattr(exposing, "ANSWER_S", 1.5)
    monkeypatch.setattr(exposing, "MAX_CONNECTIONS", 4)
    registry = CollectorRegistry()
    Gauge("filler", "x" * (16 << 20), registry=registry)  # more than sockets take in on the way
    async with metrics_served(registry, "127.0.0.1:0") as address, httpx.AsyncClient(trust_env=False) as client:
        for asked in (b"", b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
            others = idle_at(address, asked, exposing.MAX_CONNECTIONS)
            async with asyncio.timeout(60):
                for expected in (503, 200):
                    while (await client.get(f"http://{address}/metrics", timeout=30)).status_code != expected:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
            for other in others:
                other.close()
