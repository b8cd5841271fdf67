"""What the recorder knows of each window, and what it does when there is too much."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import replace

import pytest

from keyviz_grpc.errors import InvalidRequest, NobodyWaits, NoSnapshot, OutOfSnapshotWindow, SettingError
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.answer import MAX_CANDIDATES, check_asked, top_of
from keyviz_grpc.hotkeys.confidence import interval
from keyviz_grpc.hotkeys.operations import Noted
from keyviz_grpc.hotkeys.recorder import HotKeyRecorder
from keyviz_grpc.model import Series, Window

W1, W2, W3 = 1_000, 2_000, 3_000


def recorder(**settings: int) -> HotKeyRecorder:
    """One with small memory unless told otherwise."""
    return HotKeyRecorder(HotKeysSettings(**settings))


def fill(made: HotKeyRecorder, stamp: int, keys: dict[bytes, int], *, route: int = 1, write: bool = True) -> None:
    """So many operations of each key in one window, which then closes."""
    for key, times in keys.items():
        for _ in range(times):
            made.note(route, "", write, key)
    made.claim(stamp)
    made.close_window(stamp)


def ask(made: HotKeyRecorder, route: int = 1, **query: object) -> HotKeysAnswer:
    """Every candidate."""
    return made.answer(HotKeysQuery(route, **query), None)  # type: ignore[arg-type]


def counts(answer: HotKeysAnswer) -> dict[bytes, int]:
    """In the answer's order."""
    return {item.key: item.count for item in answer.keys}


def test_keys_come_by_count_then_by_key_with_bounds_that_are_exact_while_there_is_room() -> None:
    """Nothing was purged: lower = count = upper."""
    made = recorder()
    fill(made, W1, {b"b": 3, b"a": 3, b"\xff\x00": 9, b"": 1})
    answer = ask(made)
    assert list(counts(answer).items()) == [(b"\xff\x00", 9), (b"a", 3), (b"b", 3), (b"", 1)]
    assert all(item.lower == item.count == item.upper for item in answer.keys)
    assert (answer.error_bound, answer.sampled_n, answer.sample_rate, answer.confidence) == (0, 16, 1, 1.0)
    assert answer.snapshot_at_unix_ms == W1


def test_buckets_are_apart() -> None:
    """Reads from writes, labelled from plain, route from route."""
    made = recorder()
    for route, label, write, key in (
        (1, "", True, b"w"),
        (1, "", False, b"r"),
        (1, "x", True, b"l"),
        (2, "", True, b"o"),
    ):
        made.note(route, label, write, key)
    made.claim(W1)
    made.close_window(W1)
    assert counts(ask(made)) == {b"w": 1}
    assert counts(ask(made, series=Series.READS)) == {b"r": 1}
    assert counts(ask(made, label="x")) == {b"l": 1}
    assert counts(ask(made, 2)) == {b"o": 1}


def test_an_open_window_is_not_told_and_closed_ones_are_chosen_by_stamp() -> None:
    """From is inclusive on the stamp, to is exclusive; unbounded is everything held."""
    made = recorder()
    fill(made, W1, {b"a": 1})
    fill(made, W2, {b"a": 2, b"b": 1})
    made.note(1, "", True, b"open")
    made.claim(W3)
    assert counts(ask(made)) == {b"a": 3, b"b": 1}
    assert counts(ask(made, window=Window(W2, W2 + 1))) == {b"a": 2, b"b": 1}
    assert counts(ask(made, window=Window(0, W2))) == {b"a": 1}
    assert ask(made, window=Window(0, W2)).snapshot_at_unix_ms == W1
    made.close_window(W3)
    assert counts(ask(made))[b"open"] == 1


def test_a_window_that_opens_again_is_added_to_what_is_held() -> None:
    """The clock went back, or operations came late."""
    made = recorder()
    fill(made, W1, {b"a": 1})
    fill(made, W2, {b"z": 1})
    fill(made, W1, {b"a": 2, b"b": 1})
    assert counts(ask(made, window=Window(W1, W1 + 1))) == {b"a": 3, b"b": 1}


def test_a_window_that_gave_way_does_not_come_back_with_what_is_late_alone() -> None:
    """It would pass for all of that window; what comes for it is counted as dropped."""
    made = recorder(memory_bytes=1 << 20, counters=256)
    made.note(1, "", True, b"open")
    made.claim(W1 - 1)
    fill(made, W1, {b"k": 5})
    for stamp in (W2, W2, W3, W3):
        fill(made, stamp, {bytes(1000) + b"%d" % random.getrandbits(60): 1 for _ in range(190)})
    gone = ask(made)
    assert gone.oldest_unix_ms == W3, "windows of so many bytes do not fit together"
    fill(made, W1, {b"k": 1})
    fill(made, W2, {b"k": 1})
    made.note_many(W2, Noted([(1, "", True, b"k")]), wait=True)
    made.skip_many(W2, {(1, "", True): 2})
    made.tick()
    assert made.stats().dropped == 3
    made.close_window(W1 - 1)
    made.tick()
    assert (made.stats().dropped, made.stats().skipped) == (4, 2)
    assert ask(made) == gone
    fill(made, W3, {b"k": 1})
    assert counts(ask(made))[b"k"] == 1


def test_idle_windows_are_held_too() -> None:
    """No traffic is known, which is not the same as not being held."""
    made = recorder()
    fill(made, W1, {b"a": 1})
    fill(made, W2, {})
    answer = ask(made, window=Window(W2, W2 + 1))
    assert (answer.keys, answer.sampled_n, answer.observed, answer.newest_unix_ms) == ((), 0, True, W2)


def test_long_keys_are_counted_and_never_cut() -> None:
    """One byte more than the limit is skipped, whichever way it comes; the answer is degraded."""
    made = recorder(max_key_bytes=8)
    fill(made, W1, {b"x" * 8: 1, b"x" * 9: 2})
    made.skip_many(W2, {(1, "", True): 1})
    made.note_many(W2, Noted([(1, "", True, b"y" * 8)]), wait=False)
    made.close_window(W2)
    answer = ask(made)
    assert counts(answer) == {b"x" * 8: 1, b"y" * 8: 1}
    assert (answer.skipped_long_keys, answer.error_bound, answer.degraded) == (3, 0, True)


def test_what_does_not_fit_the_buffer_is_dropped_counted_and_widens_upper_bounds() -> None:
    """Nothing waits; every interval still holds the truth, for a key that was dropped whole as well."""
    made = recorder(max_pending=4)
    fill(made, W1, {b"a": 3, b"b": 3})
    answer = ask(made)
    assert (answer.sampled_n, answer.dropped_samples, answer.error_bound, answer.degraded) == (4, 2, 2, True)
    assert {item.key: (item.lower, item.upper) for item in answer.keys} == {b"a": (3, 5), b"b": (1, 3)}
    assert counts(ask(made)) == {b"a": 3, b"b": 1}
    fill(made, W2, {b"a": 3})
    assert ask(made, window=Window(W2, 0)).dropped_samples == 0, "a drop belongs to its own window"


def test_a_batch_that_may_wait_is_never_dropped() -> None:
    """Replays take in more at once than may be pending."""
    made = recorder(max_pending=4)
    made.note_many(W1, Noted([(1, "", True, b"%d" % (number % 10)) for number in range(1000)]), wait=True)
    made.close_window(W1)
    assert (ask(made).sampled_n, ask(made).dropped_samples) == (1000, 0)


def test_one_that_may_not_wait_is_dropped_beyond_the_bound() -> None:
    """A batch of a store."""
    made = recorder(max_pending=4)
    made.note_many(W1, Noted([(1, "", True, b"k")] * 10), wait=False)
    made.close_window(W1)
    assert (ask(made).sampled_n, ask(made).dropped_samples) == (4, 6)


def test_a_route_of_another_range_starts_anew() -> None:
    """Keys of a range that is not the route's any more are not shown as its hot keys."""
    made = recorder()
    made.change_routes([], {1: (b"", b"m")})
    fill(made, W1, {b"old": 5})
    made.note(1, "", True, b"before")
    made.claim(W2)
    made.change_routes([], {1: (b"", b"f")})
    made.note(1, "", True, b"after")
    made.claim(W2)
    made.close_window(W2)
    assert counts(ask(made)) == {b"after": 1}


def test_the_guarantee_of_the_sketch_holds_for_more_keys_than_counters() -> None:
    """Every key above the bound is there, every interval holds the truth, and the bound is the paper's or better."""
    made, rng = recorder(counters=64), random.Random(5)
    truth = Counter(b"%d" % int(rng.paretovariate(0.7)) for _ in range(20_000))
    fill(made, W1, truth)
    answer = ask(made)
    assert 0 < answer.error_bound <= 3.5 / 64 * 20_000
    listed = {item.key: item for item in answer.keys}
    assert {key for key, times in truth.items() if times > answer.error_bound} <= set(listed)
    assert all(item.lower <= truth[key] <= item.upper for key, item in listed.items())
    assert all(item.lower <= item.count <= item.upper for item in answer.keys)


def test_a_key_is_not_before_others_for_what_sketches_may_have_missed_of_it() -> None:
    """One that came 26 times, of which sketches forgot 16, is before one that came 4 times, each time as the last."""
    made = recorder(counters=8)
    fill(made, W1, {b"often": 10})
    for number in range(2, 6):
        fill(made, number * 1000, {b"often": 4} | {b"%d-%d" % (number, n): 4 for n in range(20)} | {b"late": 1})
    assert [(item.key, item.lower, item.upper) for item in ask(made).keys] == [(b"often", 10, 58), (b"late", 4, 52)]


def test_what_is_cut_off_is_in_the_bound_on_unlisted_keys() -> None:
    """Not in the sketch's own error, which stays what it was; sampled answers widen it like any other bound."""
    made = recorder()
    fill(made, W1, {b"a": 9, b"b": 7, b"c": 5})
    whole = ask(made)
    bounds = [(top_of(whole, top).error_bound, top_of(whole, top).unlisted_bound) for top in (0, 1, 2, 3, 4)]
    assert bounds == [(0, 0), (0, 7), (0, 5), (0, 0), (0, 0)]
    sampled = replace(whole, sample_rate=16)
    assert top_of(sampled, 1).unlisted_bound == interval(0, 7, 16)[1] > 7


def test_an_answer_has_so_many_candidates_and_its_bound_covers_the_rest() -> None:
    """The node's message is bounded."""
    made = recorder(counters=1 << 15)
    keys = {b"%06d" % number: 1 for number in range(MAX_CANDIDATES + 500)}
    made.note_many(W1, Noted([(1, "", True, key) for key in [*keys, b"hot", b"hot"]]), wait=True)
    made.close_window(W1)
    answer = ask(made)
    assert len(answer.keys) == MAX_CANDIDATES
    assert (answer.keys[0].key, answer.error_bound) == (b"hot", 1)
    assert (answer.left_out_keys, answer.degraded) == (501, True)
    assert [item.key for item in top_of(answer, 1).keys] == [b"hot"]
    first = made.answer(HotKeysQuery(1), (b"", b"001000"))
    assert (len(first.keys), first.left_out_keys, first.degraded) == (1000, 0, False)


def test_keys_that_go_while_windows_are_added_up_are_told_as_well() -> None:
    """More than a sum holds: listed or left out, each of them once."""
    made = recorder(counters=1 << 15)
    for window in range(3):
        keys = [b"%d-%06d" % (window, number) for number in range(MAX_CANDIDATES)]
        made.note_many(W1 + window, Noted([(1, "", True, key) for key in keys]), wait=True)
        made.close_window(W1 + window)
    answer = ask(made)
    assert (len(answer.keys) + answer.left_out_keys, answer.degraded) == (3 * MAX_CANDIDATES, True)


def test_a_question_that_nobody_waits_for_stops_at_the_next_window() -> None:
    """And the next one is answered."""
    made = recorder()
    for number in range(1, 11):
        fill(made, number * 1000, {b"a": 1})
    looks = iter([False, False, True])
    with pytest.raises(NobodyWaits):
        made.answer(HotKeysQuery(1), None, lambda: next(looks))
    assert next(looks, None) is None
    assert counts(ask(made)) == {b"a": 10}


def test_one_question_is_answered_at_a_time_and_holds_up_nothing_else() -> None:
    """So that any number takes the memory of one; keys are taken in and windows close meanwhile."""
    made = recorder()
    fill(made, W1, {b"a": 1})
    inside, go, seen = threading.Event(), threading.Event(), list[str]()

    def first() -> bool:
        seen.append("first")
        inside.set()
        assert go.wait(30)
        seen.append("first goes on")
        return False

    def second() -> bool:
        seen.append("second")
        return False

    threads = [
        threading.Thread(target=made.answer, args=(HotKeysQuery(1), None, given_up)) for given_up in (first, second)
    ]
    threads[0].start()
    assert inside.wait(30)
    threads[1].start()
    fill(made, W2, {b"b": 1})
    made.tick()
    assert (made.stats().taken, made.stats().windows) == (2, 2)
    threads[1].join(0.2)  # long enough to come in, if it could
    go.set()
    for thread in threads:
        thread.join(30)
    assert seen == ["first", "first goes on", "second", "second"], "one window, then two"


def test_certain_bounds_of_a_sample_are_scaled_all_of_them() -> None:
    """Of sketches that overflow, and of windows in which some were dropped."""
    told = []
    for one_in in (1, 16):
        made, rng = recorder(counters=8, sample_one_in=one_in, max_pending=60), random.Random(3)
        for stamp in (W1, W2):
            fill(made, stamp, Counter(b"%d" % int(rng.paretovariate(0.7)) for _ in range(90)))
            made.tick()
        told.append(ask(made))
    whole, sampled = told
    assert whole.sketch_error > whole.dropped_samples == 60
    assert sampled.sketch_error == 16 * whole.sketch_error
    assert sampled.error_bound > sampled.sketch_error
    assert [(item.key, item.count, item.sketch_lower, item.sketch_upper) for item in sampled.keys] == [
        (item.key, 16 * item.count, 16 * item.sketch_lower, 16 * item.sketch_upper) for item in whole.keys
    ]
    assert sampled.sampled_n == whole.sampled_n == 120


def test_only_keys_of_a_slice_are_candidates() -> None:
    """An empty end is unbounded; the start belongs to the slice, the end does not."""
    made = recorder()
    fill(made, W1, {b"a": 1, b"b": 2, b"c": 3})
    query = HotKeysQuery(1)
    assert counts(made.answer(query, (b"b", b"c"))) == {b"b": 2}
    assert counts(made.answer(query, (b"b", b""))) == {b"c": 3, b"b": 2}


def test_memory_goes_to_the_hottest_routes_and_a_route_that_becomes_hot_takes_it() -> None:
    """The cold ones say that they know nothing, honestly: any key of theirs may have all they had."""
    made = recorder(memory_bytes=1 << 20, max_key_bytes=32)
    keys = {b"%05d" % number: 1 for number in range(700)}
    for route in range(1, 41):
        for key in keys:
            made.note(route, "", True, key)
    made.claim(W1)
    made.tick()
    for _ in range(3000):
        made.note(99, "", True, b"late")
    made.claim(W1)
    made.close_window(W1)
    late = ask(made, 99)
    assert counts(late) == {b"late": 3000}
    assert late.dropped_samples == 0
    told = [ask(made, route) for route in range(1, 41)]
    kept, lost = [a for a in told if a.keys], [a for a in told if not a.keys]
    assert kept
    assert lost
    assert all((a.sampled_n, a.dropped_samples, a.error_bound) == (700, 0, 0) for a in kept)
    assert all((a.sampled_n, a.dropped_samples, a.error_bound) == (0, 700, 700) for a in lost)
    assert all(a.degraded for a in lost)


def test_a_route_that_becomes_hot_after_others_took_all_memory_counts_what_it_missed() -> None:
    """Its early operations are in the bound, its later ones in the sketch."""
    made = recorder(memory_bytes=1 << 20, max_key_bytes=32)
    for route in range(1, 100):
        for number in range(200):
            made.note(route, "", True, b"%05d" % number)
    for number in range(200):
        made.note(1000, "", True, b"%05d" % number)
    made.claim(W1)
    made.tick()
    for _ in range(5000):
        made.note(1000, "", True, b"key")
    made.claim(W1)
    made.close_window(W1)
    answer = ask(made, 1000)
    [item] = answer.keys
    assert (item.lower, item.upper, answer.dropped_samples) == (5000, 5200, 200)


def test_operations_that_no_bucket_had_room_for_may_be_of_any_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the buckets told apart in a window, they widen the error of those that are not there, and are told; of no
    other. Keys that are too long as well.
    """
    monkeypatch.setattr("keyviz_grpc.hotkeys.window.MAX_BUCKETS", 2)
    made = recorder()
    for route, times in ((1, 5), (2, 4), (3, 7)):
        for _ in range(times):
            made.note(route, "", True, b"k")
        made.claim(W1)
        made.tick()
    made.close_window(W1)
    fill(made, W2, {b"k": 2}, route=3)
    assert [(item.lower, item.upper) for item in ask(made, 3).keys] == [(2, 9)]
    assert [ask(made, route).error_bound for route in (1, 2, 3, 4)] == [0, 0, 7, 7]
    assert [ask(made, route).dropped_samples for route in (1, 2, 3, 4)] == [0, 0, 7, 7]
    unknown = ask(made, 4, window=Window(W1, W2))
    check_asked(unknown, HotKeysQuery(4, window=Window(W1, W2)))
    assert (unknown.keys, unknown.degraded) == ((), True)
    made.skip_many(W3, {(route, "", True): route for route in (1, 2, 3)})
    made.close_window(W3)
    last = Window(W3, 0)
    told = [ask(made, route, window=last) for route in (1, 3)]
    assert [(a.skipped_long_keys, a.dropped_samples) for a in told] == [(1, 0), (0, 3)]


def test_windows_are_held_while_they_fit() -> None:
    """By number, and by bytes; the newest always."""
    made = recorder(windows=2)
    for number in range(1, 5):
        fill(made, number * 1000, {b"a": 1})
    assert (ask(made).oldest_unix_ms, ask(made).newest_unix_ms) == (3000, 4000)
    small = recorder(memory_bytes=5 << 20, counters=1 << 12, max_key_bytes=256)
    for number in range(1, 7):
        keys = [b"%d-%d" % (number, n) + bytes(200) for n in range(3000)]  # 650 kB a window
        small.note_many(number * 1000, Noted([(1, "", True, key) for key in keys]), wait=True)
        small.close_window(number * 1000)
    assert (ask(small).oldest_unix_ms, ask(small).newest_unix_ms) == (3000, 6000)
    assert ask(small).sampled_n == 12_000


def test_what_only_the_first_to_ask_is_told() -> None:
    """No window yet, the wrong time, nothing of the route, no such slice; each says what would be right."""
    made = recorder()
    with pytest.raises(NoSnapshot, match="no window has closed"):
        check_asked(ask(made), HotKeysQuery(1))
    fill(made, W2, {b"a": 1})
    with pytest.raises(NoSnapshot, match="writes of route 7 with label 'x'"):
        check_asked(ask(made, 7, label="x"), HotKeysQuery(7, label="x"))
    for window in (Window(W2 + 1, 0), Window(0, W2), Window(1, W2)):
        query = HotKeysQuery(1, window=window)
        with pytest.raises(OutOfSnapshotWindow, match="from 2000 to 2000"):
            check_asked(made.answer(query, None), query)
    sliced = HotKeysAnswer((), (), slices=4, newest_unix_ms=1, oldest_unix_ms=1, observed=True)
    check_asked(sliced, HotKeysQuery(1, sub_bucket=3))
    with pytest.raises(InvalidRequest, match="sub_bucket=4: route 1 has 4 slice"):
        check_asked(sliced, HotKeysQuery(1, sub_bucket=4))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"route_id": 0}, "route_id=0"),
        ({"route_id": 2**64}, "route_id"),
        ({"route_id": 1, "series": Series.READ_BYTES}, "series='read_bytes'"),
        ({"route_id": 1, "top": -1}, "top=-1"),
        ({"route_id": 1, "sub_bucket": -1}, "sub_bucket=-1"),
    ],
)
def test_a_question_that_makes_no_sense_names_field_and_value(values: dict[str, object], named: str) -> None:
    """The caller's mistake."""
    with pytest.raises(InvalidRequest, match=named):
        HotKeysQuery(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"sample_one_in": 0},
        {"max_key_bytes": 0},
        {"max_key_bytes": (64 << 10) + 1},
        {"counters": 1000},
        {"counters": 4},
        {"memory_bytes": 1000},
        {"memory_bytes": 2 << 20},
        {"windows": 0},
        {"max_pending": 0},
    ],
)
def test_a_setting_that_makes_no_sense_names_itself(values: dict[str, int]) -> None:
    """Checked once."""
    with pytest.raises(SettingError, match=f"{next(iter(values))}={next(iter(values.values()))}"):
        HotKeysSettings(**values)
