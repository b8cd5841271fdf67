"""The files that docs/production.md hands out: against their schemas, and as real processes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import secrets
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from gateway.settings import GatewaySettings
from keyviz_grpc.cli.children import Child
from keyviz_grpc.cli.options import parse_size
from keyviz_grpc.codec import known, met_rows, row_heads
from tests.conftest import require_tool
from tests.e2e.conftest import Processes, finished
from tests.e2e.nginx import Nginx
from tests.integration.http_clusters import certificate
from tests.unit.test_commands_page import commands

pytestmark = pytest.mark.e2e

DEPLOY = Path(__file__).resolve().parents[2] / "docs" / "deploy"
PRODUCTION = DEPLOY.parent / "production.md"
MODULES = {
    "keyviz-node": "keyviz_grpc.cli.node",
    "keyviz-gateway": "gateway",
    "keyviz-health": "keyviz_grpc.cli.health",
}
MATRIX = "/admin/api/v1/keyviz/matrix"


def manifest() -> list[dict[str, Any]]:
    """The documents of the manifest."""
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))


def container(kind: str) -> dict[str, Any]:
    """The one container of the one resource of this kind."""
    [resource] = [one for one in manifest() if one["kind"] == kind]
    [only] = resource["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def container_replicas(kind: str) -> int:
    """How many pods of it there are."""
    [resource] = [one for one in manifest() if one["kind"] == kind]
    return int(resource["spec"]["replicas"])


def unit_command() -> list[str]:
    """ExecStart of the unit, as systemd would split it."""
    text = (DEPLOY / "keyviz-gateway.service").read_text(encoding="utf-8").replace("\\\n", " ")
    [line] = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    return shlex.split(line.removeprefix("ExecStart="))


def test_the_manifest_is_what_kubernetes_takes() -> None:
    """Each document against its schema, strictly: an unknown field is an error; ports and volumes go together."""
    documents = manifest()
    assert [one["kind"] for one in documents] == ["Service", "StatefulSet", "Service", "Deployment"]
    for one in documents:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
        assert one["kind"] == "Service" or one["spec"]["selector"]["matchLabels"].items() <= (
            one["spec"]["template"]["metadata"]["labels"].items()
        )
    broken = json.loads(json.dumps(documents[1]))
    broken["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, kubernetes_validate.latest_version(), strict=True)


def test_every_option_is_one_of_its_command() -> None:
    """In the unit and in the manifest's command lines and probes."""
    node, gateway = container("StatefulSet"), container("Deployment")
    lines = [one["command"] + one["args"] for one in (node, gateway)]
    lines += [node[probe]["exec"]["command"] for probe in ("livenessProbe", "readinessProbe")]
    lines.append(unit_command())
    known = {one.name: {flag for option in one.params for flag in option.opts} for one in commands()}
    for command, *arguments in lines:
        flags = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}
        assert flags
        assert flags <= known[Path(command).name], command


def test_the_gateways_memory_limit_fits_its_bounds() -> None:
    """What docs/production.md adds up: a gateway at all of its bounds is not killed for them."""
    only = container("Deployment")
    [command] = [one for one in commands() if one.name == only["command"][0]]
    context = command.make_context(
        "gateway", [f for f in only["args"] if f.startswith("--max")], resilient_parsing=True
    )
    given = {name: value for name, value in context.params.items() if value is not None}
    limit = parse_size(only["resources"]["limits"]["memory"] + "B")
    bodies, itself = GatewaySettings().max_unsent_bytes, 100 << 20
    rows = known.CATALOGUE_BYTES + known.RECENT_BYTES + row_heads.MET_BYTES + met_rows.MET_BYTES
    described = rows + known.TABLE_BYTES + known.TOLD_BYTES + known.LAYOUT_BYTES + 2 * known.COLUMNS_BYTES
    answering = (container_replicas("StatefulSet") * 3 + 2 * 20) * given["max_message"]
    assert given["max_held"] == 1 << 30
    assert f" {described >> 20} MiB at most for what nodes describe" in PRODUCTION.read_text(encoding="utf-8")
    assert given["max_held"] + given["remember"] + bodies + answering + described + itself <= limit


def test_the_nodes_memory_is_what_was_measured() -> None:
    """Its request holds a full ring that one gateway has asked, its limit the highest peak of the page's table."""
    page = PRODUCTION.read_text(encoding="utf-8")
    measured = dict(re.findall(r"^\| (one gateway|sixteen) \| (.*) MiB \|$", page, re.MULTILINE))
    after, _ = measured["one gateway"].split(" MiB | ")
    _, peak = measured["sixteen"].split(" MiB | ")
    resources = container("StatefulSet")["resources"]
    assert int(after) << 20 <= parse_size(resources["requests"]["memory"] + "B")
    assert int(peak) << 20 <= parse_size(resources["limits"]["memory"] + "B")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """As its own checker says, with the command where it really is."""
    checker = require_tool("systemd-analyze", "apt-get install systemd")
    unit = tmp_path / "keyviz-gateway.service"
    real = shutil.which("keyviz-gateway", path=str(Path(sys.executable).parent))
    assert real is not None
    text = (DEPLOY / unit.name).read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/keyviz/bin/keyviz-gateway", real).replace("User=keyviz", "User=root"))
    checked = subprocess.run(
        [checker, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in checked.stderr.splitlines() if unit.name in line]
    assert (checked.returncode, complaints) == (0, [])


class Secrets:
    """The two Secrets of the manifest as folders, with everything in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("tls", "keys"):
            (folder / name).mkdir()
        files = certificate(folder / "tls", "keyviz-nodes")
        self.ca = folder / "tls" / "ca.crt"
        for path, name in ((files.certificate, "tls.crt"), (files.certificate, "ca.crt"), (files.key, "tls.key")):
            shutil.copy(path, folder / "tls" / name)
        for name in ("node.key", "session.key"):
            (folder / "keys" / name).write_text(base64.b64encode(secrets.token_bytes(64)).decode())
        self.pair = {"access_key": "ops", "secret_key": secrets.token_hex(8)}
        (folder / "keys" / "users.json").write_text(json.dumps({"users": [{**self.pair, "role": "full"}]}))

    def arguments(self, given: list[str], **changed: str) -> list[str]:
        """A command line of the manifest with mounts, names and ports as they are here."""
        there = []
        for argument in given:
            flag, _, value = argument.partition("=")
            if flag.removeprefix("--") in changed:
                value = changed[flag.removeprefix("--")]
            if value.startswith(("/tls/", "/keys/")):
                value = f"{self.folder}{value}"
            there.append(f"{flag}={value}" if value else flag)
        return there


async def test_the_manifests_command_lines_and_probes_work(processes: Processes, tmp_path: Path) -> None:
    """Node and gateway as they are started there: TLS, keys, names; the probes say what the kubelet has to know."""
    mounted, node_of, gateway_of = Secrets(tmp_path), container("StatefulSet"), container("Deployment")
    local = {"listen": "127.0.0.1:0", "http": "127.0.0.1:0", "metrics": "0.0.0.0:0", "node-id": "n1"}
    node = await processes.start(MODULES[node_of["command"][0]], *mounted.arguments(node_of["args"], **local))
    await node.wait_ready()
    for probe in ("livenessProbe", "readinessProbe"):
        command, *arguments = node_of[probe]["exec"]["command"]
        asked = mounted.arguments(arguments, target=node.ready["grpc"])
        assert await asyncio.to_thread(finished, MODULES[command], *asked) == (0, "SERVING\n", "")
    local["peers-dns"] = f"localhost:{node.ready['grpc'].rpartition(':')[2]}"
    gateway = await processes.start(MODULES[gateway_of["command"][0]], *mounted.arguments(gateway_of["args"], **local))
    await gateway.wait_ready()
    trusting = ssl.create_default_context(cafile=str(mounted.ca))
    url = f"https://{gateway.ready['http']}"
    async with httpx.AsyncClient(base_url=url, verify=trusting, trust_env=False, timeout=20) as client:
        for probe in ("livenessProbe", "readinessProbe"):
            assert (await client.get(gateway_of[probe]["httpGet"]["path"])).status_code == 200
        assert (await client.get(MATRIX)).status_code == 401
        await client.post("/admin/api/v1/auth/login", json=mounted.pair)
        answer = (await client.get(MATRIX)).json()
    exposed = [json.loads(line.split("] ", 1)[1]) for line in processes.log if "serving metrics" in line]
    assert len(exposed) == 2
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        for one in exposed:  # in plain text, as Prometheus asks, beyond loopback
            where = one["address"].replace("0.0.0.0", "127.0.0.1")  # noqa: S104
            assert "process_resident_memory_bytes" in (await client.get(f"http://{where}/metrics")).text
    # localhost may have two addresses, of which the node listens on one.
    assert [one["node_id"] for one in answer["fanout"]["nodes"] if one["ok"]] == ["n1"]


@contextlib.asynccontextmanager
async def nginx(gateway: Child, mounted: Secrets) -> AsyncIterator[str]:
    """A real nginx with the site of docs/deploy in front of a real gateway; its HOST:PORT."""

    def site(port: int) -> str:
        text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
        for there, here in (
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            ("http://127.0.0.1:8080", f"http://{gateway.ready['http']}"),
            ("/etc/keyviz/tls.", f"{mounted.folder}/tls/tls."),
        ):
            assert there in text
            text = text.replace(there, here)
        return text

    server = Nginx(mounted.folder)
    try:
        await server.start(site)
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.end()


async def test_behind_a_real_nginx_clients_are_told_apart_and_cookies_are_for_https(
    processes: Processes, tmp_path: Path
) -> None:
    """The proxy's word about the client counts, the client's own does not; sign-in and matrix work through it."""
    mounted = Secrets(tmp_path)
    node = await processes.node("--workload", "demo", "--step", "1s", "--history", "10s")
    keys = ("--session-key-file", str(tmp_path / "keys/session.key"), "--users-file", str(tmp_path / "keys/users.json"))
    [flag, networks] = unit_command()[-2:]
    gateway = await processes.gateway([node.ready["grpc"]], *keys, flag, networks, "--log-format", "json")
    async with nginx(gateway, mounted) as address:
        trusting = ssl.create_default_context(cafile=str(mounted.ca))
        for own in ("127.0.0.5", "127.0.0.6"):
            transport = httpx.AsyncHTTPTransport(verify=trusting, local_address=own)
            async with httpx.AsyncClient(base_url=f"https://{address}", transport=transport, timeout=20) as client:
                lied = {"X-Forwarded-For": "192.0.2.77", "X-Forwarded-Proto": "http"}
                wrong = {**mounted.pair, "secret_key": "no"}
                login = "/admin/api/v1/auth/login"
                for _ in range(4):
                    assert (await client.post(login, json=wrong, headers=lied)).status_code == 401
                signed_in = await client.post(login, json=mounted.pair, headers=lied)
                assert signed_in.status_code == 200
                assert all("; Secure" in line for line in signed_in.headers.get_list("set-cookie"))
                assert (await client.get("/")).headers["location"].endswith("/admin/")
                assert (await client.get(MATRIX)).json()["rows"]
                assert (await client.post(login, json=wrong, headers=lied)).status_code == 429
                assert (await client.post(login, content=b"x" * 20_000)).status_code == 413
    seen = [json.loads(line.removeprefix("[gateway] ")) for line in processes.log if line.startswith("[gateway] ")]
    assert {one["client"] for one in seen if one["logger"] == "keyviz.audit"} == {"127.0.0.5", "127.0.0.6"}
