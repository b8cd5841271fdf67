"""Who is told hot keys: by a status, by credentials, with an audit line."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import grpc
import pytest

from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.auth import BearerVerifier, KeyFile, TextFile, TokenCredentials, TokenVerifier, mint_token
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.outcome import NoUsablePeers
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.server import serve_cluster
from tests.integration.hot_keys.house import (
    STAMP_MS,
    House,
    ask,
    call,
)


@pytest.mark.parametrize("path", ["keyviz.v1.KeyViz", "Admin"])
async def test_one_who_asks_a_node_directly_is_told_by_a_status(house: House, path: str) -> None:
    """Under both paths. An aggregator, which has others to ask, gets what the node knows."""
    node, off = await house.node({b"a": 1}), await house.node({}, hot_keys=None)
    early, _ = house.sampler("early", HotKeysSettings())
    empty, above = await house.serve(early), await house.above([node], "x")
    asked = pb.GetHotKeysRequest
    wrong = [
        (off, asked(route_id=1), "UNAVAILABLE", "hotkeys_disabled"),
        (empty, asked(route_id=1), "NOT_FOUND", "no_snapshot: no window has closed"),
        (node, asked(route_id=9), "NOT_FOUND", "no_snapshot: no window held has writes of route 9"),
        (node, asked(route_id=1, from_unix_ms=STAMP_MS + 1), "OUT_OF_RANGE", "out_of_snapshot_window"),
        (node, asked(route_id=1, sub_bucket=1), "INVALID_ARGUMENT", "sub_bucket=1"),
        (node, asked(), "INVALID_ARGUMENT", "route_id=0"),
        (node, asked(route_id=1, label="no label"), "INVALID_ARGUMENT", "label='no label'"),
        (node, asked(route_id=1, label="x" * 129), "INVALID_ARGUMENT", "label='xxx"),
        (above, asked(route_id=1, label="a:b"), "INVALID_ARGUMENT", "label='a:b'"),
        (node, asked(route_id=9, sub_bucket=1 << 20), "INVALID_ARGUMENT", "sub_bucket=1048576"),
        (node, asked(route_id=1, series=pb.KEYVIZ_SERIES_READ_BYTES), "INVALID_ARGUMENT", "series='read_bytes'"),
        (node, asked(route_id=1, series=9), "INVALID_ARGUMENT", "series=9"),  # type: ignore[arg-type]
        (node, asked(route_id=1, from_unix_ms=5, to_unix_ms=4), "INVALID_ARGUMENT", "from_unix_ms=5"),
    ]
    for address, request, code, words in wrong:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(address, request, path)
        assert (raised.value.code().name, words in str(raised.value.details())) == (code, True), raised.value.details()
        if code not in ("INVALID_ARGUMENT", "UNAVAILABLE") or words == "sub_bucket=1":
            request.via.append("agg")
            assert not (await call(address, request, path)).keys
    told = await call(node, asked(route_id=1), path)
    assert [(item.key, item.count) for item in told.keys] == [(b"a", 1)]


async def test_what_an_answer_over_grpc_says(house: House) -> None:
    """Of a node and of an aggregator over two: keys as bytes, their bounds, what they are of, what is missing."""
    own = {b"\xff\x00": 5, b"b": 3, b"c": 1, b"far too long": 2}
    nodes = [await house.node(own, hot_keys=HotKeysSettings(max_key_bytes=8)) for _ in range(2)]
    for address, times in ((nodes[0], 1), (await house.above(nodes, "x"), 2)):
        told = await call(address, pb.GetHotKeysRequest(route_id=1, series=pb.KEYVIZ_SERIES_WRITES, top=2))
        keys = [(item.key, item.count, item.lower, item.upper) for item in told.keys]
        assert keys == [(key, *[times * own[key]] * 3) for key in (b"\xff\x00", b"b")]
        assert (told.sample_rate, told.sampled_n, told.confidence) == (1, times * 9, 1)
        assert (told.dropped_samples, told.skipped_long_keys, told.degraded) == (0, times * 2, True)
        assert (told.error_bound, told.unlisted_bound, told.snapshot_at_unix_ms) == (0, times, STAMP_MS)
        every = await call(address, pb.GetHotKeysRequest(route_id=1, from_unix_ms=STAMP_MS, to_unix_ms=STAMP_MS + 1))
        assert [item.key for item in every.keys] == [b"\xff\x00", b"b", b"c"]


async def test_credentials_guard_it_like_the_other_methods(house: House, tmp_path: Path) -> None:
    """No token, no keys."""
    token = tmp_path / "token"
    token.write_text("secret-of-the-cluster")
    node = await house.node({b"a": 1}, verifier=BearerVerifier(TextFile(token)))
    with pytest.raises(NoUsablePeers) as refused:
        await ask(house.aggregator([node]))
    assert refused.value.outcomes[0].kind is FailureKind.UNAUTHENTICATED


def audited(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    """(who, route id, outcome) of every audited answer with hot keys."""
    lines = [vars(line) for line in caplog.records if line.name == "keyviz.audit" and line.message == "hot keys"]
    return [(line["who"], line["route_id"], line["outcome"]) for line in lines]


async def test_every_answer_over_grpc_leaves_an_audit_line_with_the_proven_caller(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a node and of an aggregator alike; a refused question leaves none, and no line holds a key."""
    caplog.set_level("INFO", "keyviz.audit")
    key = tmp_path / "key"
    key.write_bytes(base64.b64encode(bytes(64)))
    verifier = TokenVerifier([KeyFile(key)])
    node = await house.node({b"secret": 1}, verifier=verifier)
    shared = ClientShared(credentials=TokenCredentials(KeyFile(key), subject="gateway-1"))
    aggregator = Aggregator(StaticPeers([node], shared), settings=FanoutSettings(), node_id="agg")
    house.stack.push_async_callback(aggregator.close)
    served = await serve_cluster(aggregator, listen="127.0.0.1:0", verifier=verifier)
    house.stack.push_async_callback(served.drain, 0.1)
    token = mint_token(bytes(64), subject="ann", now_unix_s=time.time())
    shown = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(served.address) as channel:
        stub = rpc.KeyVizStub(channel)
        request = pb.GetHotKeysRequest(route_id=1, series=pb.KEYVIZ_SERIES_WRITES)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.GetHotKeys(request)
        assert audited(caplog) == []
        assert (await stub.GetHotKeys(request, metadata=shown)).keys[0].key == b"secret"
    assert audited(caplog) == [("gateway-1", 1, "ok"), ("ann", 1, "ok")]
    assert "secret" not in str([vars(line) for line in caplog.records if line.name == "keyviz.audit"])
