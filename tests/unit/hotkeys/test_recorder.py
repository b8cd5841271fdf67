"""What the recorder knows of each window, and what it does when there is too much."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import replace

import pytest

from keyviz_grpc.errors import InvalidRequest, NobodyWaits, NoSnapshot, OutOfSnapshotWindow
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.hotkeys.answer import MAX_CANDIDATES, check_asked, top_of
from keyviz_grpc.hotkeys.confidence import interval
from keyviz_grpc.hotkeys.operations import Noted
from keyviz_grpc.model import Series, Window
from tests.unit.hotkeys.recording import W1, W2, W3, ask, counts, fill, recorder


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
