"""Hot keys over real sockets: nodes, aggregators in trees, older nodes, nodes on which they are off."""

from __future__ import annotations

import base64
import contextlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from gateway.app import create_app
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.auth import BearerVerifier, KeyFile, TextFile, TokenCredentials, TokenVerifier, mint_token
from keyviz_grpc.client import ClientShared
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind, HotKeysDisabled, LoopRefused, SamplerDisabled
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.model import Series, Window
from keyviz_grpc.outcome import NoUsablePeers
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.server import serve_cluster, serve_node
from tests.reference.without_hot_keys import WithoutHotKeys

START_MS = 1_777_290_300_000
STEP_MS = 60_000
STAMP_MS = START_MS + STEP_MS
ON = HotKeysSettings()
HOT = "/admin/api/v1/keyviz/hotkeys"


@dataclass
class House:
    """Nodes and aggregators on loopback, closed in reverse."""

    stack: contextlib.AsyncExitStack
    nodes: list[str] = field(default_factory=list)

    def sampler(self, name: str, hot_keys: HotKeysSettings | None) -> tuple[Sampler, SteppedClock]:
        """A node's sampler at the start of a window, with routes 1 and 2."""
        clock = SteppedClock(START_MS)
        made = Sampler(node_id=name, clock=clock, wall_clock=clock, stall_s=math.inf, hot_keys=hot_keys)
        self.stack.enter_context(made)
        made.register_routes([Route(1, b"", b"m", raft_group_id=1), Route(2, b"m", b"", raft_group_id=2)])
        return made, clock

    async def node(self, writes: dict[bytes, int], *, hot_keys: HotKeysSettings | None = ON, **serving: Any) -> str:
        """The address of a node that counted these writes of route 1 in one window."""
        made, clock = self.sampler(f"n{len(self.nodes)}", hot_keys)
        for key, times in writes.items():
            for _ in range(times):
                made.observe(1, key, Op.WRITE, 10)
        clock.move_to(STAMP_MS)
        made.advance_to(STAMP_MS)
        return await self.serve(made, **serving)

    async def serve(self, source: Sampler | None, **serving: Any) -> str:
        """The address of its server."""
        server = await serve_node(source, listen="127.0.0.1:0", **serving)
        self.stack.push_async_callback(server.drain, 0.1)
        self.nodes.append(server.address)
        return server.address

    async def older(self) -> str:
        """A node of a version that has no GetHotKeys."""
        server = grpc.aio.server()
        rpc.add_KeyVizServicer_to_server(Older(), server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        self.stack.push_async_callback(server.stop, None)
        return address

    def aggregator(
        self, peers: Sequence[str], name: str = "gw", *, local: Sampler | None = None, **shared: Any
    ) -> Aggregator:
        """One that is asked in this process."""
        made = Aggregator(
            StaticPeers(peers, ClientShared(**shared)),
            settings=FanoutSettings(timeout_s=5),
            node_id=name,
            local=local,
            wall_clock=lambda: STAMP_MS / 1000,
        )
        self.stack.push_async_callback(made.close)
        return made

    async def above(self, peers: Sequence[str], name: str) -> str:
        """The address of one that others ask."""
        server = await serve_cluster(self.aggregator(peers, name), listen="127.0.0.1:0")
        self.stack.push_async_callback(server.drain, 0.1)
        return server.address


class Older(WithoutHotKeys, rpc.KeyVizServicer):
    """Has the other two methods."""

    async def GetKeyVizMatrix(self, request: Any, context: Any) -> pb.GetKeyVizMatrixResponse:  # noqa: N802
        """Nothing."""
        return pb.GetKeyVizMatrixResponse(node_id="old")

    async def GetClusterOverview(self, request: Any, context: Any) -> pb.GetClusterOverviewResponse:  # noqa: N802
        """Its name."""
        return pb.GetClusterOverviewResponse(self=pb.NodeIdentity(node_id="old"))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Empty."""
    async with contextlib.AsyncExitStack() as stack:
        yield House(stack)


async def ask(aggregator: Aggregator, route_id: int = 1, **query: Any) -> HotKeysAnswer:
    """With time enough."""
    return await aggregator.hot_keys(HotKeysQuery(route_id, **query), Deadline.after(10))


def counts(answer: HotKeysAnswer) -> dict[bytes, int]:
    """In the answer's order."""
    return {item.key: item.count for item in answer.keys}


async def test_a_key_that_is_second_on_every_node_and_first_in_the_cluster_is_first(house: House) -> None:
    """Also when one key is asked for: nodes are asked for all candidates, never for the final top."""
    peers = [await house.node({b"own%d" % number: 10, b"shared": 9}) for number in range(3)]
    body = await over_http(house.aggregator(peers), top=1)
    assert [(base64.b64decode(item["key_b64"]), item["count"]) for item in body["keys"]] == [(b"shared", 27)]
    assert list(counts(await ask(house.aggregator(peers)))) == [b"shared", b"own0", b"own1", b"own2"]


async def over_http(aggregator: Aggregator, status: int = 200, **params: object) -> dict[str, Any]:
    """The body of an answer about route 1 with that status."""
    transport = httpx.ASGITransport(app=create_app(aggregator))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        response = await client.get(HOT, params={"route_id": "1", **{k: str(v) for k, v in params.items()}})
    body: dict[str, Any] = response.json()
    assert response.status_code == status, body
    return body


async def test_trees_say_what_a_flat_aggregator_says(house: House) -> None:
    """With sketches that overflow, over real sockets: keys, counts, bounds, and every leaf's outcome."""
    small = HotKeysSettings(counters=8)
    peers = [
        await house.node({b"%d" % key: 1 + (key * (number + 3)) % 17 for key in range(40)}, hot_keys=small)
        for number in range(4)
    ]
    flat = await ask(house.aggregator(peers))
    below = [await house.above(peers[:1], "x"), await house.above([await house.above(peers[1:3], "z"), peers[3]], "y")]
    tree = await ask(house.aggregator(below))
    assert flat.error_bound > 0
    assert (tree.keys, tree.error_bound, tree.sampled_n) == (flat.keys, flat.error_bound, flat.sampled_n)
    assert [(o.node_id, o.kind) for o in tree.outcomes] == [(o.node_id, o.kind) for o in flat.outcomes]


async def test_nodes_that_cannot_answer_are_reported_and_do_not_fail_the_request(house: House) -> None:
    """An older node is incompatible, one on which hot keys are off is disabled, a dead one unreachable; degraded."""
    good = await house.node({b"a": 2})
    off = await house.node({b"a": 5}, hot_keys=None)
    none = await house.serve(None)
    peers = [good, await house.older(), off, none, "127.0.0.1:1"]
    answer = await ask(house.aggregator(peers))
    assert counts(answer) == {b"a": 2}
    kinds = [None, FailureKind.INCOMPATIBLE, FailureKind.DISABLED, FailureKind.DISABLED, FailureKind.UNREACHABLE]
    assert [outcome.kind for outcome in answer.outcomes] == kinds
    assert "no GetHotKeys" in answer.outcomes[1].detail
    assert "hotkeys_disabled" in answer.outcomes[2].detail
    assert answer.degraded
    assert not (await ask(house.aggregator([good]))).degraded


async def test_an_older_node_is_still_asked_for_its_matrix_as_before(house: House) -> None:
    """That it lacks one method does not make the client forget how it is reached."""
    from keyviz_grpc.query import MatrixQuery

    class OnlyAdmin(Older, admin_pb2_grpc.AdminServicer):
        """Under the old path alone."""

    server = grpc.aio.server()
    admin_pb2_grpc.add_AdminServicer_to_server(OnlyAdmin(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    house.stack.push_async_callback(server.stop, None)
    aggregator = house.aggregator([address])
    await aggregator.matrix(MatrixQuery(), Deadline.after(10))
    with pytest.raises(NoUsablePeers, match="no GetHotKeys"):
        await ask(aggregator)
    await aggregator.matrix(MatrixQuery(), Deadline.after(10))


async def test_what_is_off_everywhere_says_which(house: House) -> None:
    """The sampler, or hot keys, directly and through an aggregator; over HTTP under the two names."""
    no_sampler = [await house.serve(None), await house.serve(None)]
    off = [await house.node({b"a": 1}, hot_keys=None), no_sampler[0]]
    with pytest.raises(SamplerDisabled):
        await ask(house.aggregator(no_sampler))
    with pytest.raises(HotKeysDisabled):
        await ask(house.aggregator([await house.above(off, "x")]))
    assert (await over_http(house.aggregator(no_sampler), 503))["error"] == "keyviz_disabled"
    assert (await over_http(house.aggregator(off), 503))["error"] == "hotkeys_disabled"


@pytest.mark.parametrize("path", ["keyviz.v1.KeyViz", "Admin"])
async def test_one_who_asks_a_node_directly_is_told_by_a_status(house: House, path: str) -> None:
    """Under both paths. An aggregator, which has others to ask, gets what the node knows."""
    node, off = await house.node({b"a": 1}), await house.node({}, hot_keys=None)
    early, _ = house.sampler("early", HotKeysSettings())
    empty = await house.serve(early)
    asked = pb.GetHotKeysRequest
    wrong = [
        (off, asked(route_id=1), "UNAVAILABLE", "hotkeys_disabled"),
        (empty, asked(route_id=1), "NOT_FOUND", "no_snapshot: no window has closed"),
        (node, asked(route_id=9), "NOT_FOUND", "no_snapshot: no window held has writes of route 9"),
        (node, asked(route_id=1, from_unix_ms=STAMP_MS + 1), "OUT_OF_RANGE", "out_of_snapshot_window"),
        (node, asked(route_id=1, sub_bucket=1), "INVALID_ARGUMENT", "sub_bucket=1"),
        (node, asked(), "INVALID_ARGUMENT", "route_id=0"),
        (node, asked(route_id=1, series=pb.KEYVIZ_SERIES_READ_BYTES), "INVALID_ARGUMENT", "series='read_bytes'"),
        (node, asked(route_id=1, series=9), "INVALID_ARGUMENT", "series=9"),  # type: ignore[arg-type]
        (node, asked(route_id=1, from_unix_ms=5, to_unix_ms=4), "INVALID_ARGUMENT", "from_unix_ms=5"),
    ]
    for address, request, code, words in wrong:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(address, request, path)
        assert (raised.value.code().name, words in str(raised.value.details())) == (code, True), raised.value.details()
        if code not in ("INVALID_ARGUMENT", "UNAVAILABLE") or "sub_bucket" in words:
            request.via.append("agg")
            assert not (await call(address, request, path)).keys
    told = await call(node, asked(route_id=1), path)
    assert [(item.key, item.count) for item in told.keys] == [(b"a", 1)]


async def call(address: str, request: pb.GetHotKeysRequest, path: str = "keyviz.v1.KeyViz") -> pb.GetHotKeysResponse:
    """One call."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = rpc.KeyVizStub(channel) if path != "Admin" else admin_pb2_grpc.AdminStub(channel)
        return await stub.GetHotKeys(request)


async def test_nothing_of_a_route_in_the_whole_cluster_is_told_by_the_gateway(house: House) -> None:
    """A node that knows nothing of it is ok; only if all are there is nothing to show."""
    one, other = await house.node({b"a": 1}), await house.node({})
    assert (await over_http(house.aggregator([one, other])))["keys"]
    assert (await over_http(house.aggregator([other]), 404))["error"] == "no_snapshot"
    late = {"from_unix_ms": STAMP_MS + 1}
    assert (await over_http(house.aggregator([one, other]), 400, **late))["error"] == "out_of_snapshot_window"
    assert (await over_http(house.aggregator([one, other]), 400, sub_bucket=1))["error"] == "invalid_query"


async def test_a_change_of_leader_needs_no_rule(house: House) -> None:
    """Writes before and after it are counted once each, by whoever led; the sum is every write, whatever the term."""
    truth: Counter[bytes] = Counter()
    samplers = [house.sampler(f"n{number}", HotKeysSettings()) for number in range(3)]
    addresses = [await house.serve(sampler) for sampler, _ in samplers]
    for term, leader in enumerate([0, 2, 0, 1, 2], start=7):
        for sampler, _ in samplers:
            sampler.set_leader(1, term, leader_node_id=f"n{leader}")
        for number in range(100):
            key = b"%d" % (number * term % 13)
            truth[key] += 1
            samplers[leader][0].observe(1, key, Op.WRITE, 1)
    for sampler, clock in samplers:
        clock.move_to(STAMP_MS)
        sampler.advance_to(STAMP_MS)
    answer = await ask(house.aggregator(addresses))
    assert counts(answer) == dict(truth)
    assert all(item.lower == item.upper == truth[item.key] for item in answer.keys)


async def test_a_node_that_is_listed_twice_counts_once(house: House) -> None:
    """Directly, below two aggregators, and in this very process as well."""
    a, b = await house.node({b"a": 1}), await house.node({b"a": 2})
    x, y = await house.above([a, b], "x"), await house.above([b], "y")
    alias = a.replace("127.0.0.1", "localhost")
    for peers in ([a, alias, b], [x, y], [x, a], [b, x]):
        answer = await ask(house.aggregator(peers))
        assert counts(answer) == {b"a": 3}, peers
        assert sum(outcome.contributes for outcome in answer.outcomes) == 2


async def test_aggregators_in_a_ring_refuse(house: House) -> None:
    """FAILED_PRECONDITION, not an endless loop."""
    node = await house.node({b"a": 1})
    aggregator = house.aggregator([node], "gw")
    with pytest.raises(LoopRefused):
        await ask(aggregator, via=("gw",))
    address = await house.above([node], "x")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(address, pb.GetHotKeysRequest(route_id=1, via=["x"]))
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_local_node_counts_beside_remote_ones(house: House) -> None:
    """In a store's own process."""
    local, clock = house.sampler("self", HotKeysSettings())
    local.observe(1, b"a", Op.WRITE, 1)
    clock.move_to(STAMP_MS)
    local.advance_to(STAMP_MS)
    remote = await house.node({b"a": 4})
    assert counts(await ask(house.aggregator([remote], local=local))) == {b"a": 5}
    alone = await over_http(house.aggregator([], local=local))
    assert alone["keys"][0]["count"] == 1
    assert "fanout" not in alone


async def test_one_node_can_be_asked_for(house: House) -> None:
    """Its own view alone; the others stay visible."""
    peers = [await house.node({b"a": 1}), await house.node({b"a": 2})]
    body = await over_http(house.aggregator(peers), node="n1")
    assert body["keys"][0]["count"] == 2
    assert body["fanout"]["responded"] == 2
    assert (await over_http(house.aggregator(peers), 400, node="nobody"))["error"] == "invalid_query"


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


async def test_history_that_some_node_does_not_hold_is_said(house: House) -> None:
    """Asked for a time before a node's oldest window: the answer is degraded and the node warned of."""
    made, clock = house.sampler("n0", HotKeysSettings(windows=1))
    for _ in range(2):
        made.observe(1, b"a", Op.WRITE, 1)
        clock.move_to(clock.unix_ms + STEP_MS)
        made.advance_to(clock.unix_ms)
    address = await house.serve(made)
    answer = await ask(house.aggregator([address]), window=Window(STAMP_MS, 0))
    assert counts(answer) == {b"a": 1}
    assert [w.code.value for w in answer.outcomes[0].warnings] == ["short_history"]
    assert answer.degraded


async def test_every_way_into_a_sampler_reaches_the_sketches(house: House) -> None:
    """One by one and in batches, plain and labelled, at moments of their own, reads and writes; long keys skipped."""
    made, clock = house.sampler("n0", HotKeysSettings(max_key_bytes=8))
    made.observe(1, b"one", Op.WRITE, 1)
    made.observe(1, b"one", Op.WRITE, 1, label="hot")
    made.observe(1, b"one", Op.READ, 1)
    made.observe_many([1, 1, 1], [b"one", b"many", b"x" * 9], [1, 1, 1], [1, 1, 1])
    made.observe_many([1, 1], [b"many", b"many"], [1, 0], [1, 1], labels=["", "hot"])
    made.observe_many([1], [b"late"], [1], [1], at_unix_ms=[START_MS - 1])
    clock.move_to(STAMP_MS)
    made.advance_to(STAMP_MS)
    address = await house.serve(made)
    aggregator = house.aggregator([address])
    now = Window(STAMP_MS, 0)
    answer = await ask(aggregator, window=now)
    assert counts(answer) == {b"many": 2, b"one": 2}
    assert answer.skipped_long_keys == 1
    assert answer.degraded
    assert counts(await ask(aggregator, window=now, label="hot")) == {b"one": 1}
    assert counts(await ask(aggregator, window=now, label="hot", series=Series.READS)) == {b"many": 1}
    assert counts(await ask(aggregator, window=now, series=Series.READS)) == {b"one": 1}
    assert counts(await ask(aggregator, window=Window(START_MS, STAMP_MS))) == {b"late": 1}


async def test_a_route_that_splits_starts_anew(house: House) -> None:
    """Its row does too; the other route of the split begins with nothing."""
    made, clock = house.sampler("n0", HotKeysSettings())
    made.observe(1, b"a", Op.WRITE, 1)
    made.replace_routes(remove=(), add=[Route(1, b"", b"f", 1), Route(3, b"f", b"m", 1)])
    made.observe(1, b"b", Op.WRITE, 1)
    made.observe(3, b"g", Op.WRITE, 1)
    made.replace_routes(remove=(), add=[Route(1, b"", b"f", 2)])
    made.observe(1, b"b", Op.WRITE, 1)
    clock.move_to(STAMP_MS)
    made.advance_to(STAMP_MS)
    aggregator = house.aggregator([await house.serve(made)])
    assert counts(await ask(aggregator)) == {b"b": 2}
    assert counts(await ask(aggregator, 3)) == {b"g": 1}


async def test_a_slice_has_the_hot_keys_of_its_range_and_no_other_exists(house: House) -> None:
    """All slices together are the route; a key on a cut is of the upper one; one past the last is refused."""
    addresses = []
    for number in range(2):
        made, clock = house.sampler(f"n{number}", ON)
        made.register_routes([Route(7, b"k00", b"k99", raft_group_id=1, slices=4)])
        for key in range(99):
            for _ in range(1 + key % 7):
                made.observe(7, b"k%02d" % key, Op.WRITE, 1)
        cuts = [start for start, _ in made._buckets.ranges_of(7)]
        made.observe(7, cuts[2], Op.WRITE, 1)
        clock.move_to(STAMP_MS)
        made.advance_to(STAMP_MS)
        addresses.append(await house.serve(made))
    aggregator = house.aggregator(addresses)
    whole = counts(await ask(aggregator, 7))
    parts = [counts(await ask(aggregator, 7, sub_bucket=number)) for number in range(4)]
    assert sum(len(part) for part in parts) == len(whole) == 99 + (cuts[2] not in {b"k%02d" % key for key in range(99)})
    assert {key: times for part in parts for key, times in part.items()} == whole
    for part, start, end in zip(parts, cuts, [*cuts[1:], b"k99"], strict=True):
        assert all(start <= key < end for key in part)
    assert cuts[2] in parts[2]
    body = await over_http(aggregator, 400, route_id=7, sub_bucket=4)
    assert (body["error"], "sub_bucket=4: route 7 has 4 slice" in body["message"]) == ("invalid_query", True)
    for address in addresses:
        with pytest.raises(grpc.aio.AioRpcError, match="sub_bucket=4"):
            await call(address, pb.GetHotKeysRequest(route_id=7, sub_bucket=4))
