"""The id of a request, from the edge through the aggregator to the nodes."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from keyviz_grpc.auth import KeyFile, TokenVerifier, mint_token
from keyviz_grpc.caller import CALLER
from keyviz_grpc.outcome import Answer, Overview
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.request_id import REQUEST_ID
from keyviz_grpc.sampler import Sampler
from keyviz_grpc.server import serve_node
from tests.integration import http_clusters
from tests.integration.guarded import ANSWERS, Prepared, new_key
from tests.integration.http_clusters import http_cluster


async def test_a_request_id_crosses_to_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the browser or a proxy calls a request, every node's log calls it too; without a name it gets one."""
    seen: list[str] = []
    inner = http_clusters.counting

    def counting(number: int) -> Sampler:
        sampler = inner(number)
        overview = sampler.overview

        def noted() -> Overview:
            seen.append(REQUEST_ID.get())
            return overview()

        monkeypatch.setattr(sampler, "overview", noted)
        return sampler

    monkeypatch.setattr(http_clusters, "counting", counting)
    async with http_cluster() as cluster, httpx.AsyncClient(base_url=cluster.url, trust_env=False) as client:
        await client.get("/admin/api/v1/cluster", headers={"X-Request-Id": "from-a-proxy"})
        assert seen == ["from-a-proxy"] * 3
        made = (await client.get("/admin/api/v1/cluster")).headers["x-request-id"]
    assert seen[3:] == [made] * 3


@dataclass
class Together(Prepared):
    """A source that answers two calls at a time, and notes for whom it works under which id."""

    both: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))
    seen: list[tuple[str, str]] = field(default_factory=list)

    def matrix(self, query: MatrixQuery) -> Answer:
        """See Source."""
        self.both.wait(30)
        self.seen.append((CALLER.get(), REQUEST_ID.get()))
        return super().matrix(query)


async def test_calls_inside_at_once_have_an_id_and_a_caller_each(tmp_path: Path) -> None:
    """Also on one connection, with a refused call among them: what one of them says holds for no other."""
    source, ours, others = Together(ANSWERS[0]), new_key(tmp_path / "ours"), new_key(tmp_path / "others")
    async with (
        await serve_node(source, listen="127.0.0.1:0", verifier=TokenVerifier([ours])) as node,
        grpc.aio.insecure_channel(node.address) as channel,
    ):
        stub: Any = rpc.KeyVizStub(channel)

        async def ask(subject: str, request_id: str, key: KeyFile) -> None:
            token = mint_token(key.current(), subject=subject, now_unix_s=time.time())
            metadata = (("authorization", f"Bearer {token}"), ("x-request-id", request_id))
            await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=metadata, timeout=30)

        for number in range(3):
            refused, *told = await asyncio.gather(
                ask("nobody", "refused", others),
                ask("ann", f"a{number}", ours),
                ask("bob", f"b{number}", ours),
                return_exceptions=True,
            )
            assert isinstance(refused, grpc.aio.AioRpcError)
            assert told == [None, None]
    assert sorted(source.seen) == [(name, f"{name[0]}{number}") for name in ("ann", "bob") for number in range(3)]
