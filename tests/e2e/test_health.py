"""The standard health service and readiness of real processes, at every turn."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyviz_grpc.cli.children import Child
from keyviz_grpc.health import MAX_WATCHERS
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as service
from tests.e2e.conftest import Processes, finished
from tests.integration.http_clusters import certificate

pytestmark = pytest.mark.e2e

KEYVIZ = "keyviz.v1.KeyViz"
NODE = ("--workload", "demo", "--step", "1s", "--history", "10s")


async def check(child: Child, service: str) -> str:
    """What health says now."""
    async with grpc.aio.insecure_channel(child.ready["grpc"]) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


@asynccontextmanager
async def watching(child: Child, service: str) -> AsyncIterator[asyncio.Queue[str]]:
    """What health says from now on, whenever it changes."""
    said: asyncio.Queue[str] = asyncio.Queue()

    async def watch(channel: grpc.aio.Channel) -> None:
        stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))
        try:
            async for answer in stream:
                said.put_nowait(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
            said.put_nowait("ended")
        except grpc.aio.AioRpcError:
            said.put_nowait("gone")

    async with grpc.aio.insecure_channel(child.ready["grpc"]) as channel:
        task = asyncio.create_task(watch(channel))
        try:
            yield said
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def next_of(said: asyncio.Queue[str]) -> str:
    """The next thing said."""
    return await asyncio.wait_for(said.get(), 20)


async def ready(gateway: Child) -> int:
    """The status of /admin/readyz."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return (await client.get(f"http://{gateway.ready['http']}/admin/readyz")).status_code


async def test_a_node_serves_until_it_drains(processes: Processes) -> None:
    """Process and services SERVING; NOT_SERVING is said before the end, to whoever watches."""
    node = await processes.node(*NODE)
    assert [await check(node, name) for name in ("", KEYVIZ, "Admin")] == ["SERVING"] * 3
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await check(node, "no.such.Service")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    async with watching(node, KEYVIZ) as said:
        assert await next_of(said) == "SERVING"
        node.process.send_signal(signal.SIGTERM)
        assert [await next_of(said), await next_of(said)] == ["NOT_SERVING", "ended"]
        await asyncio.wait_for(node.wait(), 4)  # the drain does not wait for watchers
    assert node.process.returncode == 0
    # gRPC itself notes, once in a while, that a call which ended at the drain was cancelled.
    notes = [line for line in processes.log if "_handle_exceptions" in line and "CancelledError" in line]
    assert len([line for line in processes.log if "Traceback" in line]) <= len(notes)


async def test_watchers_cannot_take_what_matrices_need(processes: Processes) -> None:
    """Health is open to everybody: beyond a few watchers each is refused at once, and questions are answered."""
    node = await processes.node(*NODE)
    async with grpc.aio.insecure_channel(node.ready["grpc"]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        calls = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(100)]
        first = await asyncio.gather(*(call.read() for call in calls), return_exceptions=True)
        refused = [one for one in first if isinstance(one, grpc.aio.AioRpcError)]
        assert len(refused) == 100 - MAX_WATCHERS
        assert {one.code() for one in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        answer = await service.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
        assert answer.rows
        for call in calls:
            call.cancel()


async def test_a_node_without_a_sampler_is_alive_and_has_nothing_to_show(processes: Processes) -> None:
    """An orchestrator must not restart it, and nobody needs to send it questions."""
    node = await processes.node("--no-sampler")
    assert [await check(node, name) for name in ("", KEYVIZ, "Admin")] == ["SERVING", "NOT_SERVING", "NOT_SERVING"]


async def test_a_gateway_is_ready_exactly_while_some_node_answers(processes: Processes) -> None:
    """No node yet, one, one that is frozen, that goes on, that is gone: health and readiness go along."""
    node = await processes.node(*NODE)
    address = node.ready["grpc"]
    node.process.kill()
    await node.wait()
    gateway = await processes.gateway([address], "--timeout", "500ms")
    assert await check(gateway, "") == "SERVING"
    async with watching(gateway, KEYVIZ) as said:
        assert (await next_of(said), await ready(gateway)) == ("NOT_SERVING", 503)
        node = await processes.start("keyviz_grpc.cli.node", "--listen", address, *NODE)
        await node.wait_ready()
        assert (await next_of(said), await ready(gateway)) == ("SERVING", 200)
        node.process.send_signal(signal.SIGSTOP)
        assert (await next_of(said), await ready(gateway)) == ("NOT_SERVING", 503)
        node.process.send_signal(signal.SIGCONT)
        assert (await next_of(said), await ready(gateway)) == ("SERVING", 200)
        node.process.kill()
        assert (await next_of(said), await ready(gateway)) == ("NOT_SERVING", 503)
        assert await check(gateway, "") == "SERVING"
        gateway.process.send_signal(signal.SIGTERM)
        assert await next_of(said) == "ended"  # NOT_SERVING was said before, and is not said twice
        await asyncio.wait_for(gateway.wait(), 15)
    assert gateway.process.returncode == 0
    assert [line for line in processes.log if "Traceback" in line] == []


async def test_the_probe_command_tells_by_its_status(processes: Processes, tmp_path: Path) -> None:
    """0 while serving, 1 with one line otherwise: not serving, not there, not trusted; TLS by another name too."""
    files = certificate(tmp_path, "node")
    tls = ("--tls-certificate", str(files.certificate), "--tls-key", str(files.key))
    node = await processes.node("--no-sampler", *tls)
    probe = ("keyviz_grpc.cli.health", "--target", node.ready["grpc"])
    trusting = ("--peer-ca", str(files.certificate))
    assert await asyncio.to_thread(finished, *probe, *trusting) == (0, "SERVING\n", "")
    for arguments, words in (
        ((*trusting, "--service", KEYVIZ), "NOT_SERVING"),
        ((*trusting, "--service", "no.such.Service"), "NOT_FOUND"),
        ((*trusting, "--peer-tls-name", "somebody.else", "--timeout", "1s"), "keyviz-health"),
        (("--timeout", "1s"), "keyviz-health"),
        (("--target", "127.0.0.1:1", "--timeout", "1s"), "127.0.0.1:1"),
    ):
        status, said, complaint = await asyncio.to_thread(finished, *probe, *arguments)
        assert (status, said, complaint.count("\n")) == (1, "", 1), complaint
        assert words in complaint
    status, _, complaint = await asyncio.to_thread(finished, *probe, "--peer-tls-name", "x")
    assert (status, "--peer-ca" in complaint) == (2, True)
