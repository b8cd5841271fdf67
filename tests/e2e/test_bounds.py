"""Every bound that is set by command line holds in the real processes, and says its own value where it is met."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import grpc
import httpx
import pytest

from keyviz_grpc.cli.children import Child
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from tests.e2e.conftest import Processes
from tests.integration.unread import Unread

pytestmark = pytest.mark.e2e

PAST = ("--workload", "demo", "--step", "1s", "--history", "20s")
API = "/admin/api/v1/keyviz/matrix"


async def asked(gateway: Child, **parameters: str) -> httpx.Response:
    """One request to a gateway."""
    async with httpx.AsyncClient(base_url=f"http://{gateway.ready['http']}", trust_env=False, timeout=30) as client:
        return await client.get(API, params=parameters)


@pytest.mark.parametrize(
    ("of_node", "of_gateway", "words"),
    [
        (["--max-answer-rows", "3"], [], "max_rows=3"),
        ([], ["--max-message", "300B"], "cap of 300 bytes"),
        ([], ["--max-total", "2KiB"], "2048"),
    ],
    ids=["rows", "message", "total"],
)
async def test_an_answer_beyond_a_bound_is_told_with_it(
    processes: Processes, of_node: list[str], of_gateway: list[str], words: str
) -> None:
    """As that node's failure, `message_too_large`."""
    node = await processes.node(*PAST, *of_node)
    gateway = await processes.gateway([node.ready["grpc"]], *of_gateway)
    answer = await asked(gateway)
    assert (answer.status_code, answer.json()["error"]) == (502, "no_peers")
    [told] = answer.json()["fanout"]["nodes"]
    assert (told["kind"], words in told["error"]) == ("message_too_large", True), told


async def test_the_clusters_own_grpc_face_is_bounded_as_a_nodes_is(processes: Processes) -> None:
    """Rows and columns of an answer, and calls of those who do not read; each in the words of a node."""
    node = await processes.node(*PAST)
    bounds = ("--max-answer-rows", "3", "--max-answer-columns", "5", "--max-calls", "1")
    gateway = await processes.gateway([node.ready["grpc"]], "--grpc", "127.0.0.1:0", *bounds)
    path, request = "/keyviz.v1.KeyViz/GetKeyVizMatrix", pb.GetKeyVizMatrixRequest
    where = gateway.ready["grpc"]
    async with grpc.aio.insecure_channel(where) as channel, Unread.connected(where) as caller:
        ask = rpc.KeyVizStub(channel).GetKeyVizMatrix
        assert "max_rows=3 of this server" in str(await ask(request(), timeout=30).details())
        assert "max_columns=5 of this server" in str(await ask(request(rows=3), timeout=30).details())
        now_ms = int(time.time() * 1000)
        assert 0 < len((await ask(request(rows=3, from_unix_ms=now_ms - 4000), timeout=30)).rows) <= 3
        async with asyncio.timeout(30):
            while "callers that do not read" not in str(await ask(request(), timeout=30).details()):
                caller.call(where, path, request(rows=3, from_unix_ms=now_ms - 4000))


async def test_a_nodes_columns_are_bounded_and_asked_for_in_slices(processes: Processes) -> None:
    """Twenty columns by five at most: all of them in the end, and a caller that asks plainly is told."""
    node = await processes.node(*PAST, "--max-answer-columns", "5")
    async with grpc.aio.insecure_channel(node.ready["grpc"]) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="max_columns=5"):
            await rpc.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=30)
    gateway = await processes.gateway([node.ready["grpc"]])
    answer = await asked(gateway)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["column_unix_ms"]) >= 19


async def test_calls_at_a_node_are_bounded(processes: Processes) -> None:
    """Callers who do not take what they asked for fill it; the gateway says why that node is missing."""
    node = await processes.node(*PAST, "--max-calls", "1")
    gateway = await processes.gateway([node.ready["grpc"]])
    assert (await asked(gateway)).status_code == 200
    path, request = "/keyviz.v1.KeyViz/GetKeyVizMatrix", pb.GetKeyVizMatrixRequest()
    async with Unread.connected(node.ready["grpc"]) as caller, asyncio.timeout(30):
        while True:
            caller.call(node.ready["grpc"], path, request)
            answer = await asked(gateway)
            if answer.status_code != 200:
                break
    assert answer.json()["fanout"]["nodes"][0]["kind"] == "overloaded"


@pytest.mark.parametrize("bound", ["--max-fanouts", "--max-requests"])
async def test_questions_at_the_gateway_are_bounded(processes: Processes, bound: str) -> None:
    """Its node is frozen, so that questions stay; one more than fits is refused at once, those before are not."""
    node = await processes.node(*PAST)
    gateway = await processes.gateway([node.ready["grpc"]], "--timeout", "3s", bound, "2")
    os.kill(node.process.pid, signal.SIGSTOP)
    try:
        answers = await asyncio.gather(*(asked(gateway, rows=str(rows)) for rows in range(1, 5)))
    finally:
        os.kill(node.process.pid, signal.SIGCONT)
    told = sorted((answer.status_code, answer.json()["error"]) for answer in answers)
    assert told == [(502, "no_peers")] * 2 + [(503, "overloaded")] * 2
    refused = [answer for answer in answers if answer.status_code == 503]
    assert all("2 requests are under way" in answer.json()["message"] for answer in refused), [
        answer.text for answer in refused
    ]
    assert all(answer.elapsed.total_seconds() < 3 for answer in refused)


async def test_peers_asked_at_the_same_moment_are_bounded(processes: Processes) -> None:
    """One at a time: behind a frozen one there is no time left for the other."""
    nodes = [await processes.node(*PAST, "--node-id", name) for name in ("n1", "n2")]
    peers = [node.ready["grpc"] for node in nodes]
    narrow = await processes.gateway(peers, "--timeout", "1s", "--max-peers", "1")
    wide = await processes.gateway(peers, "--timeout", "1s")
    for gateway in (narrow, wide):  # both have their connections, which a frozen node keeps
        assert (await asked(gateway)).json()["fanout"]["responded"] == 2
    os.kill(nodes[0].process.pid, signal.SIGSTOP)
    try:
        answers = [await asked(gateway) for gateway in (narrow, wide)]
    finally:
        os.kill(nodes[0].process.pid, signal.SIGCONT)
    assert [answer.status_code for answer in answers] == [502, 200]
    frozen, other = (node["kind"] for node in answers[1].json()["fanout"]["nodes"])
    assert (frozen in ("deadline_exceeded", "unreachable"), other) == (True, "")
