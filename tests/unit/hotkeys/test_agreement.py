"""What an answer of several nodes says where they do not speak of the same slices or windows, and its plain sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from keyviz_grpc.codec import decode_hot_keys, encode_hot_keys
from keyviz_grpc.errors import FailureKind, NoSnapshot
from keyviz_grpc.hotkeys.answer import HotKeysAnswer, check_asked, finished
from keyviz_grpc.hotkeys.merge import merge_hot_keys
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.model import Window
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb

SLICE = HotKeysQuery(7, sub_bucket=1)
WHOLE = HotKeysQuery(7)


def node(
    name: str, times: int, *, slices: int = 4, newest: int = 3000, oldest: int = 1000, step: int = 1000, **numbers: int
) -> HotKeysAnswer:
    """What a node says that counted a key so often; nothing of the route if 0."""
    oldest = min(oldest, newest)
    own = HotKeysAnswer(
        (),
        (
            Outcome(
                name,
                node_id=name,
                incarnation=1,
                step_ms=step,
                oldest_unix_ms=oldest,
                newest_unix_ms=newest,
                generated_at_unix_ms=1_000_000,
            ),
        ),
        sample_rate=1,
        sampled_n=times,
        snapshot_at_unix_ms=newest,
        oldest_unix_ms=oldest,
        newest_unix_ms=newest,
        observed=times > 0,
        slices=slices,
        step_ms=step,
        node_id=name,
        incarnation=1,
    )
    return finished(replace(own, **numbers), {b"k": (times, times, times)} if times else {})  # type: ignore[arg-type]


def merged(parts: Sequence[HotKeysAnswer], query: HotKeysQuery, name: str = "gw") -> HotKeysAnswer:
    """As it comes over the wire, so that it can be a part again."""
    message = encode_hot_keys(merge_hot_keys(parts, query=query, now_unix_ms=9000, node_id=name))
    return decode_hot_keys(pb.GetHotKeysResponse.FromString(message.SerializeToString()), outcome=Outcome(name))


def every_way(nodes: Sequence[HotKeysAnswer], query: HotKeysQuery) -> list[HotKeysAnswer]:
    """Merged flat, and in the two trees that keep their order."""
    return [
        merged(nodes, query),
        merged([merged(nodes[:2], query, "x"), *nodes[2:]], query),
        merged([nodes[0], merged(nodes[1:], query, "x")], query),
    ]


def says(answer: HotKeysAnswer) -> object:
    """All that must not depend on the tree."""
    leaves = [(o.node_id, o.kind, o.detail, [(w.code.value, w.detail) for w in o.warnings]) for o in answer.outcomes]
    return replace(answer, outcomes=(), node_id=""), leaves


@pytest.mark.parametrize(
    ("slices", "kept"),
    [((4, 2, 4), (True, False, True)), ((2, 2, 4), (False, False, True)), ((2, 4, 2), (False, True, False))],
)
def test_of_nodes_with_other_slices_one_division_counts_and_the_others_failed(
    slices: tuple[int, ...], kept: tuple[bool, ...]
) -> None:
    """The finest, in every tree; the words name both numbers, and the answer is degraded."""
    nodes = [node(f"n{number}", 10, slices=own) for number, own in enumerate(slices)]
    ways = every_way(nodes, SLICE)
    for answer in ways:
        assert says(answer) == says(ways[0])
        assert [outcome.ok for outcome in answer.outcomes] == list(kept)
        assert [item.count for item in answer.keys] == [10 * sum(kept)]
        assert (answer.slices, answer.degraded) == (4, True)
        failed = [outcome for outcome in answer.outcomes if not outcome.ok]
        told = "counts route 7 in 2 slices, others in 4"
        assert {(outcome.kind, outcome.detail) for outcome in failed} == {(FailureKind.INCOMPATIBLE, told)}
    for answer in every_way(nodes, WHOLE):
        assert ([item.count for item in answer.keys], answer.degraded) == ([30], False)


def test_a_node_without_operations_of_the_route_may_have_any_slices() -> None:
    """It has nothing that could be of another slice."""
    for answer in every_way([node("n0", 0, slices=16), node("n1", 10), node("n2", 10)], SLICE):
        assert ([item.count for item in answer.keys], answer.slices, answer.degraded) == ([20], 4, False)


@pytest.mark.parametrize("ends", [(b"g", b"h", b"g"), (b"g", b"g", b"h"), (b"h", b"g", b"g"), (b"g", b"g", b"g")])
def test_as_many_slices_at_other_cuts_are_warned_of_in_every_tree(ends: tuple[bytes, ...]) -> None:
    """They count, as they do in their row; every node is told with its own range, and the answer is degraded."""
    nodes = [node(f"n{n}", 10) for n in range(3)]
    nodes = [replace(own, slice_range=(b"a", end)) for own, end in zip(nodes, ends, strict=True)]
    differ = len(set(ends)) > 1
    ways = every_way(nodes, SLICE)
    for answer in ways:
        assert says(answer) == says(ways[0])
        assert ([item.count for item in answer.keys], answer.degraded, answer.slices_differ) == ([30], differ, differ)
        for outcome, end in zip(answer.outcomes, ends, strict=True):
            told = [warning.detail for warning in outcome.warnings]
            own = f"slice 1 of route 7 is [0x61, 0x{end.hex()}) there, and not the same on all nodes"
            assert told == ([own] if differ else [])
    other = replace(nodes[0], slices=2, slice_range=(b"a", b"x"))
    assert not any(warning for outcome in merged([other, *nodes[1:2]], SLICE).outcomes for warning in outcome.warnings)


@pytest.mark.parametrize("unknown", [0, 1, 2])
def test_a_node_that_does_not_know_the_slices_is_warned_of_in_every_tree(unknown: int) -> None:
    """Alone as well; its wide error is in the sum."""
    nodes = [node(f"n{number}", 10) for number in range(3)]
    nodes[unknown] = finished(replace(nodes[unknown], keys=(), slices=0, sketch_error=10), {})
    ways = every_way(nodes, SLICE)
    for answer in ways:
        assert says(answer) == says(ways[0])
        assert [(item.lower, item.upper) for item in answer.keys] == [(20, 30)]
        assert (answer.error_bound, answer.degraded) == (10, True)
        assert [bool(outcome.warnings) for outcome in answer.outcomes] == [n == unknown for n in range(3)]
    assert merged(nodes[unknown : unknown + 1], SLICE).degraded


@pytest.mark.parametrize("late", [(0,), (1,), (2,), (0, 1), (1, 2)])
def test_a_node_that_has_not_closed_the_newest_window_of_the_answer_is_warned_of(late: tuple[int, ...]) -> None:
    """In every tree; without it the sum would pass for the truth."""
    nodes = [node(f"n{number}", 10, newest=2000 if number in late else 3000) for number in range(3)]
    ways = every_way(nodes, WHOLE)
    for answer in ways:
        assert says(answer) == says(ways[0])
        assert answer.degraded
        codes = [[warning.code.value for warning in outcome.warnings] for outcome in answer.outcomes]
        assert codes == [["short_history"] if number in late else [] for number in range(3)]


def test_a_node_that_has_closed_all_windows_asked_for_is_not_behind() -> None:
    """Only windows inside of the range count; one that none of them has closed yet is no node's lack."""
    past = replace(WHOLE, window=Window(1000, 2001))
    nodes = [node("n0", 1, newest=3000, snapshot_at_unix_ms=2000), node("n1", 1, newest=2000), node("n2", 1)]
    nodes[2] = replace(nodes[2], snapshot_at_unix_ms=2000)
    assert not any(answer.degraded for answer in every_way(nodes, past))
    late = replace(WHOLE, window=Window(1000, 99_000))
    assert not any(answer.degraded for answer in every_way([node(f"n{n}", 1) for n in range(3)], late))


def test_nodes_that_stood_aside_are_not_behind_and_one_that_closed_no_window_is() -> None:
    """Where one node is asked for, the others hold nothing because nobody asked them."""
    nothing = node("n1", 0, newest=0)
    one = replace(WHOLE, node_id="n0")
    assert not merged([node("n0", 1), nothing], one).degraded
    assert merged([node("n0", 1), nothing], WHOLE).degraded


def warned(answer: HotKeysAnswer) -> list[list[str]]:
    """The words of every leaf's warnings, all of which are about times."""
    assert {w.code.value for outcome in answer.outcomes for w in outcome.warnings} <= {"short_history"}
    return [[warning.detail for warning in outcome.warnings] for outcome in answer.outcomes]


@pytest.mark.parametrize("short", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize("to", [0, 3001])
def test_nodes_that_hold_less_of_the_past_than_others_are_warned_of(short: tuple[int, ...], to: int) -> None:
    """Asked for all that is held: what they counted before is in no interval. In every tree; how much less differs."""
    nodes = [node(f"n{n}", 10, oldest=2000 + 1000 * (n % 2) if n in short else 1000) for n in range(3)]
    ways = every_way(nodes, replace(WHOLE, window=Window(0, to)))
    for answer in ways:
        assert says(answer) == says(ways[0])
        told = ["it holds less of the past than other nodes"]
        assert warned(answer) == [told if number in short else [] for number in range(3)]
        assert (answer.oldest_unix_ms, answer.degraded) == (1000, True)


def test_nodes_are_as_old_as_the_beginning_of_their_oldest_window() -> None:
    """Its end is later where windows are longer."""
    alike = [node("n0", 1, oldest=61_000, newest=180_000), node("n1", 1, oldest=120_000, newest=180_000, step=60_000)]
    assert not any(merged(order, WHOLE).degraded for order in (alike, alike[::-1]))
    longer = [node("n0", 1, oldest=61_000, newest=180_000), node("n1", 1, oldest=60_000, newest=180_000, step=60_000)]
    assert warned(merged(longer, WHOLE)) == [["it holds less of the past than other nodes"], []]


def test_whoever_is_asked_from_some_time_on_is_warned_of_as_in_the_heatmap() -> None:
    """By the time asked for, and not by what others hold: all of them may lack it, and who holds it lacks nothing."""
    nodes = [node(f"n{n}", 1, oldest=1000 * (n + 1)) for n in range(3)]
    for answer in every_way(nodes, replace(WHOLE, window=Window(2000, 0))):
        assert warned(answer) == [[], [], ["holds columns from 3000 on, asked from 2000"]]
    for answer in every_way([node(f"n{n}", 1, oldest=3000) for n in range(3)], replace(WHOLE, window=Window(1000, 0))):
        assert warned(answer) == [["holds columns from 3000 on, asked from 1000"]] * 3
    assert not merged(nodes[:2], replace(WHOLE, window=Window(2000, 0))).degraded


def test_who_stood_aside_lacks_no_history_from_any_time_on() -> None:
    """Where one node is asked for, the others were not asked."""
    one = replace(WHOLE, node_id="n0", window=Window(1000, 2001))
    answers = every_way([node("n0", 1, newest=2000), node("n1", 0, newest=0), node("n2", 0, newest=0)], one)
    assert [warned(answer) for answer in answers] == [[[], [], []]] * 3


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (Window(60_001, 120_001), ("", "", "")),
        (Window(120_000, 120_001), ("begin", "begin", "")),
        (Window(60_001, 150_001), ("", "", "end")),
        (Window(90_001, 150_001), ("begin", "begin", "end")),
        (Window(0, 150_001), ("", "", "end")),
        (Window(0, 900_001), ("", "", "")),
    ],
)
def test_nodes_with_other_steps_are_warned_of_where_their_windows_are_other_times(
    window: Window, told: tuple[str, ...]
) -> None:
    """One column of the coarsest, asked for with all finer windows in it, is one time of all. In every tree."""
    words = {
        "begin": "its windows begin later than those of other nodes, whose step is another",
        "end": "its windows end earlier than those of other nodes, whose step is another",
        "": "",
    }
    newest = 180_000
    if window.to_unix_ms == 150_001:
        snapshots = (150_000, 150_000, 120_000)
    else:
        snapshots = (120_000,) * 3 if window.to_unix_ms == 120_001 else (newest,) * 3
    nodes = [
        node(f"n{n}", 1, oldest=step, newest=newest, step=step, snapshot_at_unix_ms=snapshots[n])
        for n, step in enumerate((1000, 1000, 60_000))
    ]
    ways = every_way(nodes, replace(WHOLE, window=window))
    for answer in ways:
        assert says(answer) == says(ways[0])
        assert warned(answer) == [[words[one]] if one else [] for one in told]
        assert answer.degraded == any(told)


@pytest.mark.parametrize("field", ["dropped_samples", "skipped_long_keys", "left_out_keys"])
@pytest.mark.parametrize("who", [0, 1, 2])
def test_operations_that_one_node_lacks_make_all_of_them_degraded(field: str, who: int) -> None:
    """Dropped, skipped, or without room in an answer; in every tree."""
    nodes = [node(f"n{number}", 10, **({field: 1} if number == who else {})) for number in range(3)]
    for answer in every_way(nodes, WHOLE):
        assert (getattr(answer, field), answer.degraded) == (1, True)
    assert not any(answer.degraded for answer in every_way([node(f"n{n}", 10) for n in range(3)], WHOLE))


def test_where_one_node_is_asked_for_and_answers_nobody_else_is_missing() -> None:
    """Its own view lacks what it lacks itself; where it does not answer, any that fails may be the one."""
    dead = Outcome("dead", kind=FailureKind.UNREACHABLE)
    one = replace(WHOLE, node_id="n0")

    def asked(*parts: HotKeysAnswer | Outcome) -> bool:
        return merge_hot_keys(parts, query=one, now_unix_ms=9000).degraded

    assert not asked(node("n0", 1), dead)
    assert not asked(merged([node("n0", 1)], one, "x"), dead)
    assert asked(node("n0", 1, dropped_samples=1), dead)
    assert asked(node("n1", 0, newest=0), dead)
    assert merge_hot_keys([node("n0", 1), dead], query=WHOLE, now_unix_ms=9000).degraded
    with pytest.raises(NoSnapshot, match=r"route 7$"):
        check_asked(merge_hot_keys([node("n0", 0), dead], query=one, now_unix_ms=9000), one)
    with pytest.raises(NoSnapshot, match="1 of 2 nodes did not answer"):
        check_asked(merge_hot_keys([node("n1", 0, newest=0), dead], query=one, now_unix_ms=9000), one)


def test_what_is_added_up_and_what_is_the_most_of_all() -> None:
    """Whatever order the nodes come in."""
    numbers: list[dict[str, int]] = [
        {"dropped_samples": 3, "skipped_long_keys": 1, "snapshot_at_unix_ms": 3000, "slices": 4},
        {"dropped_samples": 5, "skipped_long_keys": 2, "snapshot_at_unix_ms": 2000, "slices": 2},
        {"dropped_samples": 7, "skipped_long_keys": 4, "snapshot_at_unix_ms": 1000, "slices": 3},
    ]
    nodes = [replace(node(f"n{n}", 1), **own) for n, own in enumerate(numbers)]  # type: ignore[arg-type]
    for order in (nodes, nodes[::-1], [nodes[1], nodes[0], nodes[2]]):
        for answer in every_way(order, WHOLE):
            assert (answer.dropped_samples, answer.skipped_long_keys, answer.sampled_n) == (15, 7, 3)
            assert (answer.snapshot_at_unix_ms, answer.slices) == (3000, 4)
