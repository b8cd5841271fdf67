"""A gateway in a store's own process, over real HTTP: its own sampler first, without a network hop."""

from __future__ import annotations

import httpx
import pytest

from gateway.embedding import serve_gateway
from keyviz_grpc.client import ClientShared
from keyviz_grpc.errors import SettingError
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.server import serve_node
from tests.integration.guarded import ANSWERS, Prepared, outcomes

MATRIX = "/admin/api/v1/keyviz/matrix"


async def test_a_local_node_alone_has_no_fan_out() -> None:
    """Rows, and no `fanout` key, for nobody else was asked."""
    source = Prepared(ANSWERS[0])
    async with (
        serve_gateway(source, node_id="gateway", http="127.0.0.1:0") as address,
        httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
    ):
        body = (await client.get(MATRIX)).json()
    assert "fanout" not in body
    assert len(body["rows"]) == ANSWERS[0].matrix.shape[0]
    assert source.asked == 1


async def test_a_local_node_is_self_and_first() -> None:
    """Beside a peer, a dead one, and its own address, which counts once."""
    own, other = Prepared(ANSWERS[0]), Prepared(ANSWERS[1])
    async with (
        await serve_node(own, listen="127.0.0.1:0") as itself,
        await serve_node(other, listen="127.0.0.1:0") as peer,
    ):
        peers = StaticPeers([peer.address, itself.address, "127.0.0.1:1"], ClientShared())
        async with (
            serve_gateway(own, node_id="gateway", http="127.0.0.1:0", peers=peers) as address,
            httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
        ):
            body = (await client.get(MATRIX)).json()
    nodes = body["fanout"]["nodes"]
    assert [node["node"] for node in nodes] == ["self", peer.address, itself.address, "127.0.0.1:1"]
    assert outcomes(body) == [(True, ""), (True, ""), (True, ""), (False, "unreachable")]
    assert ["duplicate_node" in [w["code"] for w in node["warnings"]] for node in nodes] == [False, False, True, False]


async def test_beyond_loopback_needs_protection() -> None:
    """As with the command."""
    with pytest.raises(SettingError, match="0\\.0\\.0\\.0:0"):
        async with serve_gateway(Prepared(ANSWERS[0]), node_id="g", http="0.0.0.0:0"):
            pytest.fail("it must not serve")
