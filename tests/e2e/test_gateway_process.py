"""The gateway as a process: its command line, its credentials, and no secret anywhere."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import signal
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from keyviz_grpc.auth import mint_token
from keyviz_grpc.cli.children import Child
from keyviz_grpc.cli.exposing import MAX_CONNECTIONS
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as service
from tests.e2e.conftest import Processes, ask, eventually, finished, refusal_of
from tests.integration.http_clusters import certificate, idle_at

pytestmark = pytest.mark.e2e

LOGIN = "/admin/api/v1/auth/login"
LOGOUT = "/admin/api/v1/auth/logout"
MATRIX = "/admin/api/v1/keyviz/matrix"


@dataclass(frozen=True, slots=True)
class Planted:
    """Secrets in files, and their texts."""

    session_key: Path
    node_key: Path
    users: Path
    secret: str

    @property
    def texts(self) -> list[str]:
        """What must not be seen anywhere."""
        return [self.secret, self.session_key.read_text(), self.node_key.read_text()]


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """New ones for each test."""
    paths = [tmp_path / name for name in ("session.key", "node.key", "users.json")]
    for path in paths[:2]:
        path.write_text(base64.b64encode(secrets.token_bytes(64)).decode())
    secret = "planted-" + secrets.token_hex(8)
    paths[2].write_text(json.dumps({"users": [{"access_key": "ops", "secret_key": secret, "role": "full"}]}))
    return Planted(session_key=paths[0], node_key=paths[1], users=paths[2], secret=secret)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], ["--peers", "--seeds", "none of them"]),
        (["--peers", "127.0.0.1:1", "--seeds", "127.0.0.1:1"], ["not --peers, --seeds"]),
        (["--peers", "127.0.0.1:0"], ["--peers", "127.0.0.1:0"]),
        (["--max-message", "64"], ["--max-message", "'64'"]),
        (["--max-requests", "0"], ["--max-requests", "0"]),
        (["--trusted-proxies", "10.0.0.0/99"], ["--trusted-proxies", "10.0.0.0/99"]),
        (["--metrics", "here"], ["--metrics", "here"]),
        (["--page", "/no/such/folder"], ["--page", "/no/such/folder"]),
        (["--users-file", __file__, "--peers", "127.0.0.1:1"], ["--users-file", "--session-key-file"]),
        (["--previous-session-key-file", __file__, "--peers", "127.0.0.1:1"], ["--session-key-file"]),
        (["--node-id", "", "--peers", "127.0.0.1:1"], ["--node-id", "''"]),
        (
            ["--max-total", "2MiB", "--max-held", "1MiB", "--peers", "127.0.0.1:1"],
            ["--max-total of 2097152", "--max-held of 1048576"],
        ),
        (["--tls-key", __file__, "--peers", "127.0.0.1:1"], ["certificate"]),
    ],
)
def test_a_wrong_command_line_is_status_2(arguments: list[str], named: list[str]) -> None:
    """Option and value are named."""
    status, told, complaint = refusal_of("gateway.__main__", *arguments)
    assert (status, told) == (2, "")
    for words in named:
        assert words in complaint


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--http", "0.0.0.0:0"], ["0.0.0.0:0", "TLS", "credentials", "--insecure"]),
        (["--http", "127.0.0.1:0", "--metrics", "0.0.0.0:0"], ["0.0.0.0:0", "--expose-metrics"]),
        (["--http", "127.0.0.1:0", "--session-key-file", __file__], ["test_gateway_process.py"]),
    ],
)
def test_what_must_not_be_served_is_status_1_with_one_line(arguments: list[str], named: list[str]) -> None:
    """Beyond loopback only with protection or --insecure; keys must be keys."""
    status, told, complaint = finished("gateway", *arguments, "--peers", "127.0.0.1:1")
    assert (status, told, complaint.count("\n")) == (1, "", 1)
    for words in named:
        assert words in complaint


async def test_insecure_is_possible_and_warned_of(processes: Processes) -> None:
    """At every start."""
    gateway = await processes.start("gateway", "--http", "0.0.0.0:0", "--insecure", "--peers", "127.0.0.1:1")
    await gateway.wait_ready()
    assert any("without protection" in line and "0.0.0.0:0" in line for line in processes.log)


async def test_a_seed_leads_to_the_members_that_it_was_told(processes: Processes) -> None:
    """One address is enough for the whole cluster, and a member that ends is missed."""
    others = {name: await processes.node("--node-id", name) for name in ("n2", "n3")}
    members = [f"--member={name}={other.ready['grpc']}" for name, other in others.items()]
    seed = await processes.node("--node-id", "n1", *members)
    gateway = await processes.start("gateway", "--http", "127.0.0.1:0", "--seeds", seed.ready["grpc"])
    await gateway.wait_ready()
    nodes = (await ask(gateway))["fanout"]["nodes"]
    assert [(node["node_id"], node["ok"]) for node in nodes] == [("n1", True), ("n2", True), ("n3", True)]
    others["n3"].kill()
    await others["n3"].wait()
    nodes = (await ask(gateway))["fanout"]["nodes"]
    assert [node["ok"] for node in nodes] == [True, True, False]
    assert nodes[2]["node"] == others["n3"].ready["grpc"]


async def test_a_node_on_every_address_is_told_of_by_the_one_it_was_asked_at(processes: Processes) -> None:
    """Nobody can call 0.0.0.0."""
    node = await processes.start("keyviz_grpc.cli.node", "--listen", "0.0.0.0:0", "--insecure", "--node-id", "n1")
    await node.wait_ready()
    address = f"127.0.0.1:{node.ready['grpc'].rpartition(':')[2]}"
    gateway = await processes.gateway([address])
    async with httpx.AsyncClient(base_url=f"http://{gateway.ready['http']}", trust_env=False) as client:
        told = (await client.get("/admin/api/v1/cluster")).json()["nodes"]
    assert told == [{"node_id": "n1", "grpc_address": address}]


async def test_what_shows_nothing_is_warned_of(processes: Processes, tmp_path: Path) -> None:
    """A list of nodes without a node and a page without an index: each may come later, and is one line."""
    empty = tmp_path / "peers"
    empty.touch()
    arguments = ["--http", "127.0.0.1:0", "--peers-file", str(empty), "--page", str(tmp_path)]
    gateway = await processes.start("gateway", *arguments)
    await gateway.wait_ready()
    warned = [line for line in processes.log if " WARNING " in line]
    assert len(warned) == 2
    assert any("names no node" in line and str(empty) in line for line in warned)
    assert any("no page" in line and "--page" in line for line in warned)


async def test_options_come_from_the_environment_too(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing peer is no reason not to start; it is one not to be ready."""
    status, _, complaint = await asyncio.to_thread(finished, "gateway", env={"KEYVIZ_PEERS": "127.0.0.1"})
    assert (status, "127.0.0.1" in complaint) == (2, True)
    gateway = await processes.gateway(["127.0.0.1:1"])
    async with httpx.AsyncClient(base_url=f"http://{gateway.ready['http']}", trust_env=False) as client:
        assert (await client.get("/admin/healthz")).status_code == 200
        assert (await client.get("/admin/readyz")).status_code == 503
        refused = await client.get(MATRIX)
        assert (refused.status_code, refused.json()["error"]) == (502, "no_peers")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_a_gateway_well(processes: Processes, number: signal.Signals) -> None:
    """Status 0, with browsers still connected."""
    gateway = await processes.gateway(["127.0.0.1:1"])
    async with httpx.AsyncClient(base_url=f"http://{gateway.ready['http']}", trust_env=False) as client:
        await client.get("/admin/healthz")
        gateway.process.send_signal(number)
        await asyncio.wait_for(gateway.wait(), 10)
    assert gateway.process.returncode == 0
    assert not any("Traceback" in line for line in processes.log)


async def guarded(processes: Processes, planted: Planted, *arguments: str) -> Child:
    """A gateway on which everything needs credentials, over one node."""
    node = await processes.node("--workload", "demo", "--step", "1s", "--history", "10s")
    keys = ["--session-key-file", str(planted.session_key), "--key-file", str(planted.node_key)]
    return await processes.gateway(
        [node.ready["grpc"]], *keys, "--users-file", str(planted.users), "--log-format", "json", *arguments
    )


def logged(processes: Processes) -> list[dict[str, str]]:
    """What the gateway logged so far, as objects."""
    lines = [line.removeprefix("[gateway] ") for line in processes.log if line.startswith("[gateway] ")]
    return [json.loads(line) for line in lines]


async def test_a_session_is_for_browsers_and_a_node_token_for_nodes(processes: Processes, planted: Planted) -> None:
    """A stolen cookie opens no gRPC face, and a node token no HTTP face."""
    gateway = await guarded(processes, planted)
    key = base64.b64decode(planted.node_key.read_text())
    token = mint_token(key, subject="n1", now_unix_s=time.time())
    async with httpx.AsyncClient(base_url=f"http://{gateway.ready['http']}", trust_env=False) as client:
        for headers in ({"cookie": f"admin_session={token}"}, {"authorization": f"Bearer {token}"}):
            assert (await client.get(MATRIX, headers=headers)).status_code == 401
        await client.post(LOGIN, json={"access_key": "ops", "secret_key": planted.secret})
        assert (await client.get(MATRIX)).status_code == 200
        cookie = client.cookies["admin_session"]
    async with grpc.aio.insecure_channel(gateway.ready["grpc"]) as channel:
        stub = service.KeyVizStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=(("authorization", f"Bearer {cookie}"),))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        answer = await stub.GetKeyVizMatrix(
            pb.GetKeyVizMatrixRequest(), metadata=(("authorization", f"Bearer {token}"),)
        )
    assert answer.rows


async def test_over_tls_cookies_are_for_https_alone(processes: Processes, planted: Planted) -> None:
    """The certificate that was given is shown, and both cookies are Secure."""
    files = certificate(planted.users.parent, "gateway")
    tls = ["--tls-certificate", str(files.certificate), "--tls-key", str(files.key)]
    keys = ["--session-key-file", str(planted.session_key), "--users-file", str(planted.users)]
    gateway = await processes.start("gateway", "--http", "127.0.0.1:0", "--peers", "127.0.0.1:1", *tls, *keys)
    await gateway.wait_ready()
    trusting = ssl.create_default_context(cafile=str(files.certificate))
    async with httpx.AsyncClient(
        base_url=f"https://{gateway.ready['http']}", verify=trusting, trust_env=False
    ) as client:
        signed_in = await client.post(LOGIN, json={"access_key": "ops", "secret_key": planted.secret})
        assert all("; Secure" in line for line in signed_in.headers.get_list("set-cookie"))
        assert (await client.get(MATRIX)).json()["error"] == "no_peers"


async def test_no_secret_is_seen_anywhere(processes: Processes, planted: Planted) -> None:
    """Not in the log, in answers, in metrics, in the process's command line or environment."""
    gateway = await guarded(processes, planted, "--metrics", "127.0.0.1:0")
    await eventually(lambda: any(line["message"] == "serving metrics" for line in logged(processes)))
    [metrics] = [line["address"] for line in logged(processes) if line["message"] == "serving metrics"]
    seen: list[str] = []
    async with httpx.AsyncClient(base_url=f"http://{gateway.ready['http']}", trust_env=False) as client:

        async def note(answer: httpx.Response) -> None:
            await answer.aread()
            headers = [line for line in answer.headers.multi_items() if line[0] != "set-cookie"]
            seen.append(f"{answer.status_code} {headers} {answer.text}")

        client.event_hooks["response"] = [note]
        pair = {"access_key": "ops", "secret_key": planted.secret}
        await client.post(LOGIN, json=pair)
        texts = [*planted.texts, client.cookies["admin_session"], client.cookies["admin_csrf"]]
        await client.post(LOGIN, json={**pair, "access_key": "other"})
        await client.post(LOGIN, content=json.dumps(pair)[:-1], headers={"content-type": "application/json"})
        await client.post(LOGIN, content=json.dumps(pair), headers={"content-type": "text/plain"})
        for path in (MATRIX, "/admin/api/v1/cluster", "/admin/", "/x", f"{MATRIX}?series=1"):
            await client.get(path)
            await client.get(path, headers={"authorization": f"Bearer {planted.secret}"})
        await client.post(LOGOUT, headers={"X-Admin-CSRF": client.cookies["admin_csrf"]})
        await client.get(f"http://{metrics}/metrics")
    process = psutil.Process(gateway.process.pid)
    seen += [str(process.cmdline()), str(process.environ())]
    planted.users.write_text('{"users": [{"secret_key": "' + planted.secret + '"}]}')
    async with httpx.AsyncClient(base_url=f"http://{gateway.ready['http']}", trust_env=False) as client:
        await client.post(LOGIN, json=pair)
    gateway.ask_to_end()
    await asyncio.wait_for(gateway.wait(), 10)
    seen += processes.log
    assert any('"outcome": "ok"' in line and '"who": "ops"' in line for line in processes.log)
    assert any("users file" in line for line in processes.log)
    assert any("keyviz_http_requests_total" in text for text in seen)
    for text in texts:
        assert not [line[:200] for line in seen if text in line]


async def test_a_request_id_goes_from_the_browser_into_the_log(processes: Processes) -> None:
    """One line tells which request it was."""
    gateway = await processes.gateway(["127.0.0.1:1"], "--log-format", "json")
    async with httpx.AsyncClient(base_url=f"http://{gateway.ready['http']}", trust_env=False) as client:
        await client.get(MATRIX, headers={"X-Request-Id": "seen-at-the-edge"})
    gateway.ask_to_end()
    await asyncio.wait_for(gateway.wait(), 10)
    assert any('"request_id": "seen-at-the-edge"' in line for line in processes.log)


async def test_a_node_alone_is_asked_for_by_name(processes: Processes) -> None:
    """node= gives what that node says."""
    demo = ("--workload", "demo", "--step", "1s", "--history", "10s")
    nodes = [await processes.node("--node-index", str(number), "--nodes", "2", *demo) for number in range(2)]
    gateway = await processes.gateway([node.ready["grpc"] for node in nodes])
    whole = await ask(gateway, series="reads")
    alone = await ask(gateway, series="reads", node="n1")
    assert sum(map(sum, (row["values"] for row in alone["rows"]))) < sum(map(sum, (r["values"] for r in whole["rows"])))
    assert alone["rows"]


async def exposed(processes: Processes, name: str) -> str:
    """What a process shows to Prometheus."""
    where = f"[{name}] "
    told = [line for line in processes.log if line.startswith(where) and "serving metrics" in line]
    address = told[0].rpartition("address=")[2]
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{address}/metrics")
        assert (await client.get(f"http://{address}/")).status_code == 404
        idle = idle_at(address, b"", MAX_CONNECTIONS)
        async with asyncio.timeout(30):  # the process takes them in while it answers
            while (await client.get(f"http://{address}/metrics")).status_code != 503:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for one in idle:
            one.close()
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


async def test_nodes_and_gateway_show_metrics(processes: Processes) -> None:
    """Of one request, on both sides; a node beyond loopback only with --expose-metrics."""
    bare = ("--listen", "127.0.0.1:0", "--metrics", "0.0.0.0:0")
    status, _, complaint = await asyncio.to_thread(finished, "keyviz_grpc.cli.node", *bare)
    assert (status, "0.0.0.0:0" in complaint, "--expose-metrics" in complaint) == (1, True, True)
    node = await processes.node("--workload", "demo", "--step", "1s", "--history", "10s", "--metrics", "127.0.0.1:0")
    gateway = await processes.gateway([node.ready["grpc"], "127.0.0.1:1"], "--metrics", "127.0.0.1:0")
    await ask(gateway)
    await eventually(lambda: sum("serving metrics" in line for line in processes.log) == 2)
    of_node = await exposed(processes, "keyviz_grpc.cli.node")
    assert 'keyviz_grpc_requests_total{code="OK",method="keyviz.v1.KeyViz/GetKeyVizMatrix"} 1.0' in of_node
    assert 'keyviz_sampler_observed_total{op="write"} ' in of_node
    assert "process_resident_memory_bytes" in of_node
    of_gateway = await exposed(processes, "gateway")
    assert 'keyviz_peer_outcomes_total{kind="unreachable"} 1.0' in of_gateway
    assert f'keyviz_peer_answer_bytes_count{{peer="{node.ready["grpc"]}"}} 1.0' in of_gateway
    assert 'keyviz_http_requests_total{method="GET",route="matrix",status="200"} 1.0' in of_gateway
    assert any("peer failed" in line and "peer=127.0.0.1:1" in line for line in processes.log)


async def test_no_secret_is_seen_on_a_node(processes: Processes, planted: Planted) -> None:
    """Not in its log, metrics, answers, command line, environment or help; nor in those of whoever is refused by it."""
    node = await processes.node(
        *("--workload", "demo", "--step", "1s", "--history", "10s", "--metrics", "127.0.0.1:0"),
        *("--key-file", str(planted.node_key), "--log-format", "json"),
    )
    token = mint_token(base64.b64decode(planted.node_key.read_text()), subject="n1", now_unix_s=time.time())
    seen: list[str] = []
    async with grpc.aio.insecure_channel(node.ready["grpc"]) as channel:
        stub = service.KeyVizStub(channel)
        good = await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=(("authorization", f"Bearer {token}"),))
        assert good.rows
        for wrong in (f"Bearer {token}x", f"Basic {token}", planted.secret):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=(("authorization", wrong),))
            seen.append(str(refused.value.details()))
    [metrics] = [json.loads(line.partition("] ")[2])["address"] for line in processes.log if "serving metrics" in line]
    async with httpx.AsyncClient(trust_env=False) as client:
        seen.append((await client.get(f"http://{metrics}/metrics")).text)
    process = psutil.Process(node.process.pid)
    seen += [str(process.cmdline()), str(process.environ())]
    node.ask_to_end()
    await asyncio.wait_for(node.wait(), 10)
    for module in ("keyviz_grpc.cli.node", "gateway"):
        status, said, complaint = await asyncio.to_thread(
            finished, module, "--help", env={"KEYVIZ_KEY_FILE": str(planted.node_key)}
        )
        assert status == 0
        seen += [said, complaint]
    broken = planted.node_key.parent / "broken.key"
    broken.write_text(planted.secret)
    status, said, complaint = await asyncio.to_thread(finished, "keyviz_grpc.cli.node", "--key-file", str(broken))
    assert (status, "broken.key" in complaint) == (1, True)
    seen += [said, complaint, *processes.log]
    assert any('"outcome": "unauthenticated"' in line for line in seen)
    assert any('code="UNAUTHENTICATED"' in line for line in seen)
    for text in (planted.secret, token, planted.node_key.read_text()):
        assert not [line[:200] for line in seen if text in line]
