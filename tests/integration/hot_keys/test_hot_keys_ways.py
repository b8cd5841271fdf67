"""How operations reach hot keys through a real sampler: every way in, splits, slices, windows that are gone."""

from __future__ import annotations

import math

import grpc
import numpy as np
import pytest

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.model import Series, Window
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler
from tests.integration.hot_keys.house import (
    ON,
    STAMP_MS,
    START_MS,
    STEP_MS,
    House,
    ask,
    call,
    counts,
    over_http,
)


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


@pytest.mark.parametrize(("one_in", "fifth"), [(1, b"too long!"), (1, b"fits"), (2, b"too long!")])
async def test_a_batch_is_what_it_was_when_it_came(house: House, one_in: int, fifth: bytes) -> None:
    """Whoever called may use the arrays again at once; keys of all lengths, those that are too long counted."""
    made, clock = house.sampler("n0", HotKeysSettings(max_key_bytes=8, sample_one_in=one_in))
    keys = [b"", b"a", b"four", b"eight888", fifth, b"a"] * 50
    data, offsets = np.frombuffer(b"".join(keys), np.uint8).copy(), np.cumsum([0, *map(len, keys)])
    ids, ops = np.array([1, 1, 2, 1, 1, 1] * 50, np.uint64), np.ones(300, np.uint8)
    listed = list(keys)
    made.observe_many(ids, PackedKeys(data, offsets), ops, np.ones(300, np.int64))
    made.observe_many(ids, listed, ops, np.ones(300, np.int64))
    data[:], ids[:], ops[:], offsets[1:-1], listed[:] = 0, 2, 0, 0, [b"other"] * 300
    clock.move_to(STAMP_MS)
    made.advance_to(STAMP_MS)
    aggregator = house.aggregator([await house.serve(made)])
    first, second = await ask(aggregator, 1), await ask(aggregator, 2)
    is_long = len(fifth) > 8
    assert set(counts(first)) == {b"", b"a", b"eight888"} | (set() if is_long else {fifth})
    assert set(counts(second)) == {b"four"}
    total = first.sampled_n + second.sampled_n + first.skipped_long_keys
    if one_in == 1:
        assert counts(first) == {b"a": 200, b"": 100, b"eight888": 100} | ({} if is_long else {fifth: 100})
        skipped = (first.skipped_long_keys, second.skipped_long_keys)
        assert (skipped, counts(second)) == ((100 * is_long, 0), {b"four": 100})
        assert total == 600
    else:
        assert 150 < total < 450
        assert first.skipped_long_keys > 0


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
        cuts = [start for start, _ in made._counting.buckets.ranges_of(7)]
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


async def test_as_many_slices_at_other_cuts_are_told(house: House) -> None:
    """Each node with its own range, over HTTP; its keys are its row's; of the whole route all is well."""
    addresses: list[str] = []
    for cut in (b"g", b"h", b"g"):
        made, clock = house.sampler(f"n{len(addresses)}", ON)
        made.register_routes([Route(7, b"a", b"z", cuts=(cut,))])
        for key in (b"b", b"gg", b"hh"):
            made.observe(7, key, Op.WRITE, 1)
        clock.move_to(STAMP_MS)
        made.advance_to(STAMP_MS)
        addresses.append(await house.serve(made))
    body = await over_http(house.aggregator(addresses), route_id=7, sub_bucket=1)
    assert {item["key_b64"]: item["count"] for item in body["keys"]} == {"aGg=": 3, "Z2c=": 2}
    assert body["degraded"]
    told = [[(w["code"], w["detail"]) for w in node["warnings"]] for node in body["fanout"]["nodes"]]
    assert [[code for code, _ in own] for own in told] == [["catalog_divergence"]] * 3
    assert "slice 1 of route 7 is [0x68, 0x7a) there" in told[1][0][1]
    alike = await over_http(house.aggregator([addresses[0], addresses[2]]), route_id=7, sub_bucket=1)
    whole = await over_http(house.aggregator(addresses), route_id=7)
    assert (alike["degraded"], whole["degraded"], whole["keys"][0]["count"]) == (False, False, 3)


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


async def test_a_node_that_began_later_is_warned_of_where_all_that_is_held_is_asked_for(house: House) -> None:
    """What it counted before is in nobody's sum. Over HTTP, flat and in a tree; of its own time all is well."""
    addresses = []
    for number in range(3):
        made, clock = house.sampler(f"n{number}", HotKeysSettings(windows=2 if number == 1 else 3))
        for times in (4, 1, 2):
            for _ in range(times):
                made.observe(1, b"a", Op.WRITE, 1)
            clock.move_to(clock.unix_ms + STEP_MS)
            made.advance_to(clock.unix_ms)
        addresses.append(await house.serve(made))
    for peers in (addresses, [await house.above(addresses[:2], "x"), addresses[2]]):
        body = await over_http(house.aggregator(peers))
        [item] = body["keys"]
        assert (item["upper"], body["oldest_unix_ms"], body["degraded"]) == (3 * 7 - 4, STAMP_MS, True)
        told = [[(w["code"], w["detail"]) for w in node["warnings"]] for node in body["fanout"]["nodes"]]
        assert told == [[], [("short_history", "it holds less of the past than other nodes")], []]
        later = await over_http(house.aggregator(peers), from_unix_ms=STAMP_MS + 1)
        assert (later["keys"][0]["upper"], later["degraded"]) == (9, False)
    asked = pb.GetHotKeysRequest(route_id=1, from_unix_ms=STAMP_MS)
    assert [(await call(address, asked)).degraded for address in addresses] == [False, True, False]


async def test_nodes_with_other_steps_are_added_up_over_one_time_or_warned_of(house: House) -> None:
    """Over HTTP, flat and in a tree: a whole column of the coarsest is the sum, whatever is less of it is said."""
    addresses = []
    for number, step_ms in enumerate((STEP_MS, STEP_MS // 3)):
        clock = SteppedClock(START_MS)
        made = Sampler(
            node_id=f"n{number}", step_ms=step_ms, clock=clock, wall_clock=clock, stall_s=math.inf, hot_keys=ON
        )
        house.stack.enter_context(made)
        made.register_routes([Route(1, b"", b"m")])
        for _ in range(2 * STEP_MS // step_ms):
            made.observe(1, b"a", Op.WRITE, 1)
            clock.move_to(clock.unix_ms + step_ms)
            made.advance_to(clock.unix_ms)
        addresses.append(await house.serve(made))
    later = "its windows begin later than those of other nodes, whose step is another"
    earlier = "its windows end earlier than those of other nodes, whose step is another"
    last = STAMP_MS + STEP_MS
    asked = [
        ({"from_unix_ms": last - STEP_MS + 1, "to_unix_ms": last + 1}, 1 + 3, [[], []]),
        ({"from_unix_ms": last, "to_unix_ms": last + 1}, 1 + 1, [[], [later]]),
        ({"to_unix_ms": last}, 1 + 5, [[earlier], []]),
        ({}, 2 + 6, [[], []]),
    ]
    for peers in (addresses, [await house.above(addresses[:1], "x"), await house.above(addresses[1:], "y")]):
        for params, count, told in asked:
            body = await over_http(house.aggregator(peers), **params)
            assert body["keys"][0]["count"] == count
            assert [[w["detail"] for w in node["warnings"]] for node in body["fanout"]["nodes"]] == told
            assert body["degraded"] == (told != [[], []])


@pytest.mark.parametrize("changes", [{}, {"sample_one_in": 2}, {"max_key_bytes": 3}])
async def test_packed_keys_may_be_every_second_byte_of_an_array(house: House, changes: dict[str, int]) -> None:
    """An array that is not in one piece is read as its bytes, whether all operations are looked at or some."""
    made, clock = house.sampler("n0", HotKeysSettings(**changes))
    keys = [b"aaa", b"bbb", b"long"] * 50
    data = np.repeat(np.frombuffer(b"".join(keys), np.uint8), 2)[::2]
    assert not data.flags.c_contiguous
    packed = PackedKeys(data, np.cumsum([0, *map(len, keys)]))
    made.observe_many(np.ones(150, np.uint64), packed, np.ones(150, np.uint8), np.ones(150, np.int64))
    clock.move_to(STAMP_MS)
    made.advance_to(STAMP_MS)
    answer = await ask(house.aggregator([await house.serve(made)]))
    assert set(counts(answer)) == {b"aaa", b"bbb"} | (set() if "max_key_bytes" in changes else {b"long"})


async def test_a_slice_of_a_removed_route_still_has_its_keys(house: House) -> None:
    """As its row has its traffic: alone, and added to a node that has the route still."""
    addresses = []
    for number, times in enumerate((50, 10)):
        made, clock = house.sampler(f"n{number}", ON)
        made.register_routes([Route(7, b"a", b"e", slices=4)])
        for _ in range(times):
            made.observe(7, b"bb", Op.WRITE, 1)
        clock.move_to(STAMP_MS)
        made.advance_to(STAMP_MS)
        if not number:
            made.remove_routes([7])
        addresses.append(await house.serve(made))
    for peers, truth in ((addresses[:1], 50), (addresses, 60)):
        answer = await ask(house.aggregator(peers), 7, sub_bucket=1)
        told = [(item.key, item.lower, item.upper) for item in answer.keys]
        assert (told, answer.error_bound, answer.degraded) == ([(b"bb", truth, truth)], 0, False)
        assert counts(await ask(house.aggregator(peers), 7, sub_bucket=0)) == {}


async def test_a_slice_that_a_node_does_not_know_any_more_may_have_all_that_it_holds(house: House) -> None:
    """Its rows are gone, its hot keys are not: bounds hold and the answer is degraded, on the node and above it."""
    addresses = []
    for number, times in enumerate((50, 10)):
        clock = SteppedClock(START_MS)
        made = Sampler(node_id=f"n{number}", columns=1, clock=clock, wall_clock=clock, stall_s=math.inf, hot_keys=ON)
        house.stack.enter_context(made)
        made.register_routes([Route(n, b"%03d" % n, b"%03d" % (n + 1)) for n in range(10, 110)])
        made.register_routes([Route(7, b"a", b"e", slices=4)])
        for _ in range(times):
            made.observe(7, b"bb", Op.WRITE, 1)
        made.observe(7, b"dd", Op.WRITE, 1)
        for step in range(4):
            clock.move_to(clock.unix_ms + STEP_MS)
            made.advance_to(clock.unix_ms)
            if not number and step < 3:
                made.replace_routes(remove=[7, *range(10, 110)] if not step else [], add=[])
        addresses.append(await house.serve(made))
    alone, whole = (
        await ask(house.aggregator(addresses[:1]), 7, sub_bucket=1),
        await ask(house.aggregator([await house.above(addresses[:1], "x"), addresses[1]]), 7, sub_bucket=1),
    )
    direct = await call(addresses[0], pb.GetHotKeysRequest(route_id=7, sub_bucket=1, series=pb.KEYVIZ_SERIES_WRITES))
    assert (list(direct.keys), direct.error_bound, direct.degraded) == ([], 50, True)
    assert (alone.keys, alone.error_bound, alone.degraded) == ((), 50, True)
    assert [(item.key, item.lower, item.upper) for item in whole.keys] == [(b"bb", 10, 60)]
    assert (whole.error_bound, whole.degraded) == (50, True)
    assert [[w.code.value for w in o.warnings] for o in whole.outcomes] == [["catalog_divergence"], []]
