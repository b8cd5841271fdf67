"""The id of a request, from the edge through the aggregator to the nodes."""

from __future__ import annotations

import httpx
import pytest

from keyviz_grpc.outcome import Overview
from keyviz_grpc.request_id import REQUEST_ID
from keyviz_grpc.sampler import Sampler
from tests.integration import http_clusters
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
