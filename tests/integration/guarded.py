"""A cluster with credentials on both hops: a session to the gateway, and a token (or mTLS too) to the nodes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.synthetic import Shape, cluster
from gateway.app import create_app
from gateway.serving import http_server
from gateway.session import Role, Sessions
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.auth import KeyFile, TokenCredentials, TokenVerifier
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.merge.columns import select_columns
from keyviz_grpc.outcome import Answer, Member, Overview
from keyviz_grpc.peers import Membership, StaticPeers
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import RunningServer, ServerSettings, serve_node
from keyviz_grpc.tls import TlsFiles

TIMEOUT_S = 1.0
ANSWERS = cluster(Shape(3, 20, 6, conflict_share=0.0, divergent=False))


@dataclass
class Prepared:
    """A source with one answer to whatever is asked, in the window asked for."""

    answer: Answer
    asked: int = 0

    def matrix(self, query: MatrixQuery) -> Answer:
        """As a sampler does."""
        self.asked += 1
        matrix = select_columns(self.answer.matrix, query.window.bounds(self.answer.matrix.columns))
        return replace(self.answer, matrix=matrix)

    def overview(self) -> Overview:
        """Its own name."""
        return Overview(Member(self.answer.node_id, ""), incarnation=self.answer.incarnation)


def new_key(path: Path) -> KeyFile:
    """A key that was made just now."""
    path.write_text(base64.b64encode(secrets.token_bytes(64)).decode())
    return KeyFile(path)


@dataclass(slots=True)
class Gateway:
    """A gateway's HTTP face, seen by somebody who signed in."""

    url: str
    client: httpx.AsyncClient
    aggregator: Aggregator

    async def get(self, **parameters: Any) -> httpx.Response:
        """The matrix endpoint's response."""
        return await self.client.get("/admin/api/v1/keyviz/matrix", params=parameters)

    async def ask(self, **parameters: Any) -> dict[str, Any]:
        """The body of a 200 answer."""
        answer = await self.get(**parameters)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def whole_within(self, expected: int, *, seconds: float = 5.0) -> dict[str, Any]:
        """The first answer to which so many nodes contributed."""
        async with asyncio.timeout(seconds):
            while True:
                answer = await self.get()
                if answer.status_code == 200 and answer.json()["fanout"]["responded"] == expected:
                    return dict(answer.json())
                await asyncio.sleep(0.05)


@dataclass
class Guarded:
    """Keys, servers and gateways of one test; `stack` closes them."""

    folder: Path
    stack: contextlib.AsyncExitStack
    node_settings: ServerSettings = field(default_factory=ServerSettings)
    tls: TlsFiles | None = None

    def __post_init__(self) -> None:
        self.key, self.session_key = new_key(self.folder / "node.key"), new_key(self.folder / "session.key")

    async def node(
        self,
        number: int,
        listen: str = "127.0.0.1:0",
        *,
        source: Prepared | None = None,
        settings: ServerSettings | None = None,
        key: KeyFile | None = None,
    ) -> RunningServer:
        """A node that wants a token."""
        server = await serve_node(
            source or Prepared(ANSWERS[number]),
            listen=listen,
            settings=settings or self.node_settings,
            verifier=TokenVerifier([key or self.key]),
        )
        self.stack.push_async_callback(server.drain, 0)
        return server

    async def gateway(self, *addresses: str, **settings: Any) -> Gateway:
        """A gateway over these nodes."""
        shared = ClientShared(
            max_message_bytes=settings.get("max_message_bytes", 64 << 20),
            credentials=TokenCredentials(self.key, subject="gateway"),
            tls=self.tls,
        )
        return await self.gateway_over(StaticPeers(addresses, shared), **settings)

    async def gateway_over(self, membership: Membership, **settings: Any) -> Gateway:
        """A gateway over whoever the membership knows."""
        fanout = FanoutSettings(**{"timeout_s": TIMEOUT_S, **settings})
        aggregator = Aggregator(membership, settings=fanout, node_id="gateway")
        self.stack.push_async_callback(aggregator.close)
        sessions = Sessions([self.session_key])
        listener = self.stack.enter_context(contextlib.closing(bind("127.0.0.1:0")))
        await self.stack.enter_async_context(
            http_server(create_app(aggregator, sessions=sessions), listener, grace_s=2)
        )
        url = f"http://{address_of(listener)}"
        cookies = {"admin_session": sessions.mint("ops", Role.READ_ONLY)[0]}
        client = httpx.AsyncClient(base_url=url, cookies=cookies, trust_env=False, timeout=30)
        return Gateway(url, await self.stack.enter_async_context(client), aggregator)

    def shared(self, **changes: Any) -> ClientShared:
        """What clients of this cluster show."""
        return ClientShared(
            **{"credentials": TokenCredentials(self.key, subject="gateway"), "tls": self.tls, **changes}
        )


def picture(body: dict[str, Any]) -> list[tuple[Any, ...]]:
    """All that the rows say, columns included."""
    return [
        (row["bucket_id"], tuple(body["column_unix_ms"]), tuple(row["values"]), row["conflict"]) for row in body["rows"]
    ]


def outcomes(body: dict[str, Any]) -> list[tuple[bool, str]]:
    """(ok, kind) of each node."""
    return [(node["ok"], node["kind"]) for node in body["fanout"]["nodes"]]
