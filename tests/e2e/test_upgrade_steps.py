"""Steps of docs/upgrade.md: a real gateway beside nodes that fan out themselves, then behind a real proxy."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from gateway.embedding import serve_gateway
from gateway.session import Sessions
from keyviz_grpc.auth import BearerCredentials, BearerVerifier, KeyFile, TextFile
from keyviz_grpc.client import ClientShared
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.sampler import Sampler
from keyviz_grpc.server import serve_node
from tests.e2e.conftest import Processes, eventually
from tests.e2e.nginx import Nginx
from tests.integration.http_clusters import counting

pytestmark = pytest.mark.e2e

API = "/admin/api/v1"
MATRIX = f"{API}/keyviz/matrix"
PAIR = {"access_key": "ops", "secret_key": "planted-secret"}


@dataclass
class Secrets:
    """The files that nodes have already, and those who may sign in."""

    folder: Path
    raw: bytes = field(default_factory=lambda: secrets.token_bytes(64))

    def __post_init__(self) -> None:
        self.token, self.key, self.users = (self.folder / name for name in ("token", "session.key", "users.json"))
        self.token.write_text(secrets.token_hex(16))
        self.key.write_text(base64.b64encode(self.raw).decode())
        self.users.write_text(json.dumps({"users": [{**PAIR, "role": "full"}]}))

    def cookie(self) -> dict[str, str]:
        """As a node mints it."""
        now = int(time.time())
        claims = {"sub": "ops", "role": "read_only", "iat": now, "exp": now + 3600, "jti": "1"}
        return {"admin_session": jwt.encode(claims, self.raw, "HS256")}


@dataclass
class Existing:
    """Three nodes, of which the first fans out itself. page: where it serves the old page while it does."""

    own: Secrets
    stack: contextlib.AsyncExitStack
    page: str = "127.0.0.1:0"
    peers: list[str] = field(default_factory=list)
    samplers: list[Sampler] = field(default_factory=list)
    fanning_out: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def start(self) -> None:
        """All of it."""
        self.samplers += [self.stack.enter_context(counting(number)) for number in (1, 2, 3)]
        verifier = BearerVerifier(TextFile(self.own.token))
        for sampler in self.samplers:
            node = await serve_node(sampler, listen="127.0.0.1:0", verifier=verifier)
            self.peers.append((await self.stack.enter_async_context(node)).address)
        await self.switch_on()
        self.stack.push_async_callback(self.switch_off)

    async def switch_on(self) -> None:
        """The first node asks the others, and serves what they say, from now on."""
        credentials = BearerCredentials(TextFile(self.own.token))
        others = StaticPeers(self.peers[1:], ClientShared(credentials=credentials))
        sessions = Sessions([KeyFile(self.own.key)])
        page = serve_gateway(self.samplers[0], node_id="in-node", http=self.page, peers=others, sessions=sessions)
        self.page = await self.fanning_out.enter_async_context(page)

    async def switch_off(self) -> None:
        """It answers for itself alone from now on, over gRPC."""
        await self.fanning_out.aclose()


@contextlib.asynccontextmanager
async def existing(own: Secrets) -> AsyncIterator[Existing]:
    """A cluster as it was before."""
    async with contextlib.AsyncExitStack() as stack:
        made = Existing(own, stack)
        await made.start()
        yield made


def leading_to(upstream: str) -> Callable[[int], str]:
    """A site whose /admin/ is there."""
    return lambda port: (
        f"server {{ listen 127.0.0.1:{port};\n"
        f"location /admin/ {{ proxy_pass http://{upstream}; proxy_http_version 1.1; }} }}"
    )


@dataclass
class Viewer:
    """Somebody who signed in at a node long ago and looks all the time, at whatever the proxy shows."""

    client: httpx.AsyncClient
    polls: int = 0
    nodes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    async def watch(self) -> None:
        """For ever."""
        while True:
            try:
                answer = await self.client.get(MATRIX)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # The proxy let go of a connection that nobody used; a browser asks again on a new one.
                answer = await self.client.get(MATRIX)
            if answer.status_code != 200 or answer.json()["fanout"]["responded"] != 3:
                self.problems.append(answer.text)
            else:
                self.nodes = [node["node"] for node in answer.json()["fanout"]["nodes"]]
            self.polls += 1

    async def sees(self, nodes: list[str]) -> None:
        """Returns once these are the nodes shown."""
        await eventually(lambda: self.nodes == nodes or bool(self.problems))
        assert not self.problems, self.problems[0]


def at(address: str, **arguments: Any) -> httpx.AsyncClient:
    """A browser."""
    return httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=30, **arguments)


def picture(answer: httpx.Response) -> list[tuple[str, list[int]]]:
    """What both pages must show alike."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [node["ok"] for node in body["fanout"]["nodes"]] == [True] * 3
    return [(row["bucket_id"], row["values"]) for row in body["rows"]]


async def test_a_gateway_beside_the_nodes_takes_over_and_gives_back(processes: Processes, tmp_path: Path) -> None:
    """Steps 1 to 4 and 6 and the way back, under the eyes of a viewer who is never refused and signs in only once."""
    own = Secrets(tmp_path)
    proxy = Nginx(tmp_path)
    async with existing(own) as before:
        page, peers = before.page, before.peers
        await proxy.start(leading_to(page))
        watching = None
        try:
            async with at(f"127.0.0.1:{proxy.port}", cookies=own.cookie()) as browser, at(page) as old:
                viewer = Viewer(browser)
                watching = asyncio.create_task(viewer.watch())
                await viewer.sees(["self", *peers[1:]])

                # 1 and 2: beside the cluster with its token; on loopback everybody may look, and it shows the same.
                gateway = await processes.gateway(peers, "--token-file", str(own.token))
                old.cookies.update(own.cookie())
                async with at(gateway.ready["http"]) as new:
                    for series in ("reads", "writes"):
                        shown = picture(await new.get(MATRIX, params={"series": series}))
                        assert shown == picture(await old.get(MATRIX, params={"series": series}))
                        assert any(any(values) for _, values in shown)
                gateway.ask_to_end()
                await asyncio.wait_for(gateway.wait(), 15)

                # 3: with the nodes' key, cookies count on both sides.
                spa = tmp_path / "spa"
                spa.mkdir()
                (spa / "index.html").write_text("<!doctype html><title>our own</title>")
                keys = ("--session-key-file", str(own.key), "--users-file", str(own.users), "--page", str(spa))
                gateway = await processes.gateway(peers, "--token-file", str(own.token), *keys)
                async with at(gateway.ready["http"]) as new:
                    assert (await new.get(MATRIX)).status_code == 401
                    assert (await new.post(f"{API}/auth/login", json=PAIR)).status_code == 200
                    minted = {"admin_session": new.cookies["admin_session"]}
                for address, cookies in ((gateway.ready["http"], own.cookie()), (page, minted)):
                    async with at(address, cookies=cookies) as known:
                        assert (await known.get(MATRIX)).status_code == 200

                # 4: the proxy leads to the gateway, back to the node, and to the gateway for good.
                for upstream, nodes in (
                    (gateway.ready["http"], peers),
                    (page, ["self", *peers[1:]]),
                    (gateway.ready["http"], peers),
                ):
                    proxy.change(leading_to(upstream))
                    await viewer.sees(nodes)

                # 6: the nodes no longer fan out, and on the way back they do; nobody behind the proxy notices.
                await before.switch_off()
                with pytest.raises(httpx.ConnectError):
                    await old.get(MATRIX)
                seen = viewer.polls
                await eventually(lambda: viewer.polls > seen + 5 or bool(viewer.problems))
                assert (viewer.nodes, viewer.problems) == (peers, [])
                await before.switch_on()
                assert picture(await old.get(MATRIX)) == picture(await browser.get(MATRIX))
                assert "our own" in (await browser.get("/admin/keyviz")).text
                assert viewer.polls > 10
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            await proxy.end()
    assert viewer.problems == []
