"""Hot keys of random streams on random nodes: every interval holds the truth, however the answers are put together."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.codec import decode_hot_keys, encode_hot_keys
from keyviz_grpc.errors import FailureKind, MalformedAnswer
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.answer import KEY_BYTES, top_of, within_bytes
from keyviz_grpc.hotkeys.confidence import CONFIDENCE, interval
from keyviz_grpc.hotkeys.merge import merge_hot_keys
from keyviz_grpc.hotkeys.recorder import HotKeyRecorder
from keyviz_grpc.model import Window
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.sampler import Op, Route, Sampler

QUERY = HotKeysQuery(1)
keys = st.one_of(st.integers(0, 6).map(lambda n: b"%d" % n), st.binary(max_size=3))
streams = st.lists(st.tuples(keys, st.integers(1, 40)), max_size=60)


def answer_of(stream: Sequence[tuple[bytes, int]], number: int, *, windows: int = 2, **changes: int) -> HotKeysAnswer:
    """What a node says that counted this stream in so many windows, with the smallest sketches there are."""
    made = HotKeyRecorder(HotKeysSettings(**{"counters": 8, "max_pending": 400, **changes}))
    one_in = made.settings.sample_one_in
    for window in range(windows):
        for key, times in stream[window::windows]:
            for _ in range(times):
                if random.random() * one_in < 1.0:
                    made.note(1, "", True, key)
        made.claim(1000 * (window + 1))
        made.tick()
        made.close_window(1000 * (window + 1))
    outcome = Outcome(f"peer{number}", f"n{number}", incarnation=7, oldest_unix_ms=1000, newest_unix_ms=1000 * windows)
    return replace(made.answer(QUERY, None), outcomes=(outcome,), node_id=f"n{number}", incarnation=7)


def truth_of(streams_: Sequence[Sequence[tuple[bytes, int]]]) -> Counter[bytes]:
    """How often each key really occurs."""
    truth: Counter[bytes] = Counter()
    for stream in streams_:
        for key, times in stream:
            truth[key] += times
    return truth


def merged(parts: Sequence[HotKeysAnswer | Outcome], name: str = "agg") -> HotKeysAnswer:
    """By an aggregator of that name."""
    return merge_hot_keys(parts, query=QUERY, now_unix_ms=5, node_id=name)


def check_sound(answer: HotKeysAnswer, truth: Counter[bytes]) -> None:
    """Intervals hold, unlisted keys are below the bound, the order is the order."""
    listed = {item.key for item in answer.keys}
    assert len(listed) == len(answer.keys)
    for item in answer.keys:
        assert item.lower <= item.sketch_lower <= item.count <= item.sketch_upper <= item.upper
        assert item.lower <= truth[item.key] <= item.upper, item
    assert all(times <= answer.error_bound for key, times in truth.items() if key not in listed)
    assert [(-item.count, item.key) for item in answer.keys] == sorted((-i.count, i.key) for i in answer.keys)


@given(st.lists(streams, min_size=1, max_size=4))
def test_every_interval_holds_the_truth(parts: list[list[tuple[bytes, int]]]) -> None:
    """On each node and merged; sketches that overflow, buffers that drop, several windows."""
    answers = [answer_of(stream, number) for number, stream in enumerate(parts)]
    for stream, answer in zip(parts, answers, strict=True):
        check_sound(answer, truth_of([stream]))
    check_sound(merged(answers), truth_of(parts))


@given(st.lists(streams, min_size=2, max_size=4), st.lists(st.integers(0, 900), min_size=3, max_size=3))
def test_answers_cut_to_any_size_anywhere_in_a_tree_stay_sound(
    parts: list[list[tuple[bytes, int]]], rooms: list[int]
) -> None:
    """Nodes and aggregators leave the coldest keys out; what they leave out is counted, and in the bounds."""
    nodes = [answer_of(stream, number) for number, stream in enumerate(parts)]
    cut = [within_bytes(answer, rooms[0]) for answer in nodes]
    below = within_bytes(merged(cut[:2], "below"), rooms[1])
    whole = within_bytes(merged([below, *cut[2:]]), rooms[2])
    check_sound(whole, truth_of(parts))
    assert sum(len(item.key) + KEY_BYTES for item in whole.keys) <= rooms[2]
    assert whole.left_out_keys == sum(len(a.keys) for a in nodes) - sum(len(a.keys) for a in cut) + (
        len(merged(cut[:2]).keys) - len(below.keys) + len(merged([below, *cut[2:]]).keys) - len(whole.keys)
    )
    assert within_bytes(nodes[0], 10**6) == nodes[0]


@st.composite
def crowds(draw: st.DrawFn) -> list[list[tuple[bytes, int]]]:
    """One to three nodes that share 21 to 45 keys of much the same weight, many equal, under a crowd of light ones."""
    nodes = draw(st.integers(1, 3))
    heavy = draw(st.sets(st.binary(min_size=1, max_size=3), min_size=21, max_size=45))
    parts: list[list[tuple[bytes, int]]] = [[] for _ in range(nodes)]
    for key in sorted(heavy):
        total = draw(st.integers(60, 66))
        at = draw(st.integers(0, nodes - 1))
        first = draw(st.integers(1, total - 1)) if nodes > 1 else total
        parts[at].append((key, first))
        if first < total:
            parts[(at + 1) % nodes].append((key, total - first))
    light = [(b"light%03d" % number, 1 + number % 2) for number in range(draw(st.integers(0, 180)))]
    for number, item in enumerate(light):
        parts[number % nodes].append(item)
    rng = draw(st.randoms(use_true_random=False))
    for part in parts:
        rng.shuffle(part)
    return parts


@settings(
    max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)  # shrinking takes minutes
@given(crowds(), st.integers(1, 80))
def test_of_more_than_twenty_keys_above_the_guarantee_those_shown_are_the_first(
    parts: list[list[tuple[bytes, int]]], top: int
) -> None:
    """By count, ties by key, on each node and merged; one above the guarantee lacks only where `top` others are."""
    answers = [answer_of(part, number, counters=128, max_pending=1 << 16) for number, part in enumerate(parts)]
    for answer, streams_ in [*zip(answers, ([part] for part in parts), strict=True), (merged(answers), parts)]:
        truth = truth_of(streams_)
        check_sound(answer, truth)
        above = {key for key, times in truth.items() if times > answer.error_bound}
        if streams_ is parts:
            assert len(above) > 20, "else nothing is tested"
        assert above <= {item.key for item in answer.keys}
        shown = top_of(answer, top).keys
        assert shown == answer.keys[: len(shown)]
        assert len(shown) == min(top, len(answer.keys))
        first = {item.key for item in shown}
        orders = [(-item.count, item.key) for item in answer.keys]
        for item in answer.keys:
            if item.key in above - first:
                assert len(shown) == top
                assert all(order < (-item.count, item.key) for order in orders[:top])


@settings(max_examples=120, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(crowds(), st.sampled_from([8, 16, 32, 64]), st.integers(1, 24), st.integers(1, 4), st.booleans())
def test_the_first_keys_lack_none_that_is_above_what_the_answer_states_of_those_it_does_not_list(
    parts: list[list[tuple[bytes, int]]], counters: int, top: int, windows: int, is_tree: bool
) -> None:
    """However small the sketches: each node, all together, in trees. And what is stated is as little as promised."""
    made = [answer_of(part, n, counters=counters, max_pending=1 << 16, windows=windows) for n, part in enumerate(parts)]
    nodes: list[HotKeysAnswer | Outcome] = list(made)
    whole = merged([merged(nodes[:2], "below"), *nodes[2:]]) if is_tree else merged(nodes)
    for answer, streams_ in [*zip(made, ([part] for part in parts), strict=True), (whole, parts)]:
        shown = top_of(answer, top)
        truth = truth_of(streams_)
        missing = {key: times for key, times in truth.items() if key not in {item.key for item in shown.keys}}
        most = max(missing.values(), default=0)
        least = sum(sorted(truth.values(), reverse=True)[top - 1 : top])
        assert most <= shown.unlisted_bound
        assert most <= least + answer.error_bound
        assert most <= answer.sampled_n / (top + 1) + answer.error_bound
        assert shown.error_bound == answer.error_bound
        if len(answer.keys) > top:
            assert shown.unlisted_bound <= shown.keys[-1].count + answer.error_bound
        else:
            assert shown.unlisted_bound == answer.error_bound


@given(st.lists(streams, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_merging_is_independent_of_order_and_of_trees(parts: list[list[tuple[bytes, int]]], rng: random.Random) -> None:
    """Any order, any tree over the wire, any rates of sampling: the same keys, bounds and numbers."""
    answers: list[HotKeysAnswer | Outcome] = [
        answer_of(stream, number, sample_one_in=rng.choice([1, 2, 3])) for number, stream in enumerate(parts)
    ]
    flat = merged(answers)
    shuffled = list(answers)
    rng.shuffle(shuffled)
    assert replace(merged(shuffled), outcomes=()) == replace(flat, outcomes=())
    while len(shuffled) > 1:
        at = rng.randrange(len(shuffled) - 1)
        below = merged(shuffled[at : at + 2], name=f"agg{len(shuffled)}")
        message = pb.GetHotKeysResponse.FromString(encode_hot_keys(below).SerializeToString())
        shuffled[at : at + 2] = [decode_hot_keys(message, outcome=Outcome("below"))]
    [tree] = shuffled
    assert replace(merged([tree]), outcomes=()) == replace(flat, outcomes=())
    assert {o.node_id for o in merged([tree]).outcomes} == {o.node_id for o in flat.outcomes}


@st.composite
def histories(draw: st.DrawFn, number: int) -> HotKeysAnswer:
    """What a node says of one operation, with a step and a history of its own; it may have closed no window yet."""
    step = draw(st.sampled_from([1000, 1000, 2000, 3000]))
    stamps = sorted(step * at for at in draw(st.sets(st.integers(1, 8), max_size=3)))
    oldest, newest = (stamps[0], stamps[-1]) if stamps else (0, 0)
    own = Outcome(
        "p",
        f"n{number}",
        incarnation=7,
        step_ms=step,
        oldest_unix_ms=oldest,
        newest_unix_ms=newest,
        generated_at_unix_ms=30_000,
    )
    return HotKeysAnswer(
        (),
        (own,),
        sample_rate=1,
        oldest_unix_ms=oldest,
        newest_unix_ms=newest,
        observed=True,
        slices=1,
        step_ms=step,
        node_id=own.node_id,
        incarnation=7,
    )


def asked_for(answer: HotKeysAnswer, window: Window) -> HotKeysAnswer:
    """With the newest of its windows that are inside."""
    stamps = range(answer.oldest_unix_ms, answer.newest_unix_ms + 1, answer.step_ms) if answer.newest_unix_ms else ()
    inside = [stamp for stamp in stamps if window.from_unix_ms <= stamp < (window.to_unix_ms or 10**9)]
    return replace(answer, snapshot_at_unix_ms=max(inside, default=0))


@settings(max_examples=300)
@given(
    st.integers(2, 5).flatmap(lambda size: st.tuples(*(histories(number) for number in range(size)))),
    st.tuples(st.integers(0, 9000), st.sampled_from([0, 1, 999, 1000, 3000, 9000])),
    st.randoms(use_true_random=False),
)
def test_who_lacks_some_of_the_time_is_the_same_in_any_order_and_tree(
    nodes: tuple[HotKeysAnswer, ...], range_: tuple[int, int], rng: random.Random
) -> None:
    """Each leaf's warnings, word by word, over the wire."""
    window = Window(range_[0], range_[0] + range_[1] if range_[1] else 0)
    query = replace(QUERY, window=window)
    parts = [asked_for(node, window) for node in nodes]

    def put_together(some: Sequence[HotKeysAnswer], name: str) -> HotKeysAnswer:
        whole = merge_hot_keys(some, query=query, now_unix_ms=5, node_id=name)
        message = pb.GetHotKeysResponse.FromString(encode_hot_keys(whole).SerializeToString())
        return decode_hot_keys(message, outcome=Outcome("below"))

    flat = put_together(parts, "agg")
    rng.shuffle(parts)
    while len(parts) > 1:
        at, size = rng.randrange(len(parts) - 1), rng.randint(2, 3)
        parts[at : at + size] = [put_together(parts[at : at + size], f"agg{len(parts)}")]
    [tree] = parts
    assert {o.node_id: o.warnings for o in tree.outcomes} == {o.node_id: o.warnings for o in flat.outcomes}
    assert (tree.degraded, tree.oldest_unix_ms) == (flat.degraded, flat.oldest_unix_ms)


@given(st.lists(streams, min_size=1, max_size=3))
def test_nothing_added_changes_nothing(parts: list[list[tuple[bytes, int]]]) -> None:
    """A node without traffic, and one that failed, which alone makes the answer degraded."""
    answers = [answer_of(stream, number) for number, stream in enumerate(parts)]
    dead = Outcome("dead", kind=FailureKind.UNREACHABLE)
    idle = replace(answer_of([], 99), sketch_error=0)
    alone, more = merged(answers), merged([*answers, idle, dead])
    assert (more.keys, more.error_bound, more.sampled_n) == (alone.keys, alone.error_bound, alone.sampled_n)
    assert more.degraded


@given(streams, st.sampled_from([1, 3]))
def test_an_answer_survives_the_wire(stream: list[tuple[bytes, int]], one_in: int) -> None:
    """Every field, also those that tell a merge how to go on."""
    answer = answer_of(stream, 1, sample_one_in=one_in)
    message = pb.GetHotKeysResponse.FromString(encode_hot_keys(answer).SerializeToString())
    assert decode_hot_keys(message, outcome=Outcome("peer1")) == answer


def spoil(message: pb.GetHotKeysResponse, field: str, number: int) -> None:
    """Any number anywhere."""
    if message.keys and field in ("count", "lower", "upper", "sketch_lower", "sketch_upper"):
        setattr(message.keys[number % len(message.keys)], field, abs(number))
    elif field == "keys":
        message.keys.extend(message.keys[: number % 3])
    elif field in message.DESCRIPTOR.fields_by_name:
        setattr(message, field, number if "unix_ms" in field else abs(number) % 2**32)


@given(
    streams,
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    *("count", "sketch_lower", "sketch_upper", "keys", "sample_rate", "oldest_unix_ms"),
                    *("newest_unix_ms", "sampled_n", "sketch_error", "slices", "snapshot_at_unix_ms"),
                ]
            ),
            st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=4,
    ),
)
def test_a_hostile_answer_is_refused_or_merged_and_never_breaks_anything(
    stream: list[tuple[bytes, int]], changes: list[tuple[str, int]]
) -> None:
    """Only MalformedAnswer is raised, and what is accepted can be merged and sent on."""
    message = encode_hot_keys(answer_of(stream, 1))
    for field, number in changes:
        spoil(message, field, number)
    try:
        answer = decode_hot_keys(message, outcome=Outcome("peer1"))
    except MalformedAnswer:
        return
    encode_hot_keys(merged([answer, replace(answer, outcomes=(Outcome("peer2", "n2"),))]))


@settings(max_examples=200)
@given(st.integers(0, 2**30), st.integers(0, 1000), st.sampled_from([2, 3, 16, 1000]))
def test_an_interval_grows_with_what_it_is_about(kept: int, more: int, one_in: int) -> None:
    """It holds the estimate, and more seen is never less counted."""
    lower, upper = interval(kept * one_in, (kept + more) * one_in, one_in)
    assert kept <= lower <= kept * one_in <= (kept + more) * one_in <= upper
    next_lower, next_upper = interval((kept + 1) * one_in, (kept + more + 1) * one_in, one_in)
    assert next_lower >= lower
    assert next_upper >= upper
    assert interval(kept, kept + more, 1) == (kept, kept + more)


def sampled_node(truth: Counter[bytes], one_in: int, number: int) -> HotKeysAnswer:
    """A node that looks at one in n operations."""
    return answer_of(list(truth.items()), number, windows=1, sample_one_in=one_in, counters=64, max_pending=1 << 16)


def test_sampling_keeps_the_stated_interval_at_the_stated_confidence_over_many_seeds() -> None:
    """Of each key, and of the bound on unlisted ones; nodes with one rate, and with rates that differ.

    What was seen, times n, would not do for those hot enough to be outside of the bound: it misses most of the time.
    """
    truth = Counter({b"hot": 2000, b"warm": 300, b"cool": 40, b"cold": 5, b"once": 1})
    held: Counter[bytes] = Counter()
    bare: Counter[bytes] = Counter()
    seeds = 400
    for seed in range(seeds):
        random.seed(seed)
        rates = (8, 8) if seed % 2 else (16, 2)
        whole = merged([sampled_node(truth, rate, n) for n, rate in enumerate(rates)])
        assert whole.confidence == CONFIDENCE
        assert whole.sample_rate == max(rates)
        listed = {item.key: item for item in whole.keys}
        for key, times in truth.items():
            item = listed.get(key)
            low, high = (item.lower, item.upper) if item else (0, whole.error_bound)
            held[key] += low <= 2 * times <= high
            bare[key] += item is not None and item.sketch_lower <= 2 * times <= item.sketch_upper
    assert {key: times / seeds for key, times in held.items() if times / seeds < CONFIDENCE} == {}
    assert max(bare[key] / seeds for key in (b"hot", b"warm", b"cool")) < 0.5


def test_a_sampler_looks_at_one_in_n_on_both_ways_in() -> None:
    """The interval of its own dice holds as often as it says, and no more than sampled is kept; slices alike."""
    held = 0
    runs = 150
    random.seed(1)
    clock = SteppedClock(1_000_000)
    settings_ = HotKeysSettings(sample_one_in=16)
    with Sampler(node_id="n", step_ms=1000, clock=clock, stall_s=1e9, slices=4, hot_keys=settings_) as sampler:
        sampler.register_routes([Route(1, b"a", b"z")])
        for _ in range(runs):
            for _ in range(500):
                sampler.observe(1, b"k", Op.WRITE, 1)
            sampler.observe_many([1] * 500, [b"k"] * 500, [1] * 500, [1] * 500)
            clock.move_to(clock.unix_ms + 1000)
            sampler.advance_to(clock.unix_ms)
            answer = sampler.hot_keys(HotKeysQuery(1, window=Window(clock.unix_ms, 0)))
            assert 20 < answer.sampled_n < 120
            held += answer.keys[0].lower <= 1000 <= answer.keys[0].upper
    assert held / runs >= CONFIDENCE
