"""Hot keys of clusters over real sockets: nodes, aggregators in trees, older nodes, nodes on which they are off."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter

import grpc
import pytest

from keyviz_grpc.bytes_budget import HELD_KEY_BYTES
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind, HotKeysDisabled, LoopRefused, SamplerDisabled
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.outcome import NoUsablePeers
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.sampler import Op
from tests.integration.hot_keys.house import (
    STAMP_MS,
    House,
    Older,
    ask,
    call,
    counts,
    over_http,
)


async def test_a_key_that_is_second_on_every_node_and_first_in_the_cluster_is_first(house: House) -> None:
    """Also when one key is asked for: nodes are asked for all candidates, never for the final top."""
    peers = [await house.node({b"own%d" % number: 10, b"shared": 9}) for number in range(3)]
    body = await over_http(house.aggregator(peers), top=1)
    assert [(base64.b64decode(item["key_b64"]), item["count"]) for item in body["keys"]] == [(b"shared", 27)]
    assert list(counts(await ask(house.aggregator(peers)))) == [b"shared", b"own0", b"own1", b"own2"]


async def test_more_keys_above_the_guarantee_than_top_are_cut_by_count_and_key(house: House) -> None:
    """Of thirty on each of three nodes, whose sketches overflow, the first `top` are told, 20 if nobody says."""
    heavy = {b"hot%02d" % number: 60 + number // 3 for number in range(30)}
    light = [{b"n%d-%03d" % (node, number): 1 for number in range(150)} for node in range(3)]
    small = HotKeysSettings(counters=128)
    aggregator = house.aggregator([await house.node(heavy | own, hot_keys=small) for own in light])
    whole = await over_http(aggregator, top=1024)
    assert 0 < whole["error_bound"] < 3 * 60
    told = {base64.b64decode(item["key_b64"]): item for item in whole["keys"]}
    assert set(heavy) <= set(told)
    assert all(told[key]["lower"] <= 3 * times <= told[key]["upper"] for key, times in heavy.items())
    order = sorted(told, key=lambda key: (-told[key]["count"], key))
    assert list(told) == order
    assert len({item["count"] for item in whole["keys"][:30]}) < 30, "ties are among them"
    for top, params in ((20, {}), (1, {"top": 1}), (25, {"top": 25})):
        body = await over_http(aggregator, **params)
        assert body["keys"] == whole["keys"][:top]
        assert {base64.b64decode(item["key_b64"]) for item in body["keys"]} <= set(heavy)


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


@pytest.mark.parametrize("is_tree", [True, False])
async def test_candidates_that_do_not_fit_a_message_are_left_out_the_coldest_first(
    house: House, *, is_tree: bool
) -> None:
    """Of four nodes with long keys, below an aggregator or not: the hottest come, bounds cover the rest, degraded."""
    truth: Counter[bytes] = Counter()
    peers = []
    for number in range(4):
        own = {b"%d-%03d" % (number, key) + bytes(1000): 1 + key % 3 for key in range(120)} | {b"hot" + bytes(1000): 9}
        truth.update(own)
        peers.append(await house.node(own))
    cap = 300 << 10 if is_tree else 100 << 10
    below = [await house.above(peers, "x")] if is_tree else peers
    answer = await ask(house.aggregator(below, max_message_bytes=cap))
    assert 20 < len(answer.keys) < len(truth)
    assert answer.left_out_keys > 100
    assert answer.degraded
    assert all(outcome.ok and not outcome.warnings for outcome in answer.outcomes)
    assert answer.keys[0].key.startswith(b"hot")
    told = {item.key: item for item in answer.keys}
    assert all(item.lower <= truth[key] <= item.upper for key, item in told.items())
    assert all(times <= answer.error_bound for key, times in truth.items() if key not in told)
    whole = await ask(house.aggregator(below))
    assert (len(whole.keys), whole.left_out_keys, whole.degraded) == (len(truth), 0, False)


async def test_what_becomes_of_all_answers_stays_within_the_total_and_is_given_back(house: House) -> None:
    """Peers are told how much they may send, so that keys are left out and no peer; time and again."""
    peers = [await house.node({b"%d-%03d" % (number, key): 1 + key for key in range(300)}) for number in range(3)]
    total = 150_000
    aggregator = house.aggregator(peers, max_total_bytes=total)
    for _ in range(3):
        answer = await ask(aggregator)
        assert all(outcome.ok for outcome in answer.outcomes)
        assert 3 * 20 < len(answer.keys) <= total // HELD_KEY_BYTES
        assert answer.left_out_keys == 3 * 300 - len(answer.keys)
        assert answer.keys[0].count == 300
        del answer
        async with asyncio.timeout(10):
            while not aggregator._held.fits(2 << 30):  # noqa: ASYNC110 - the thread that merged it lets go of it last
                await asyncio.sleep(0.01)


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
