"""Whose keys a recorder keeps when there is not enough memory for all."""

from __future__ import annotations

import pytest

from keyviz_grpc.hotkeys import HotKeysQuery
from keyviz_grpc.hotkeys.answer import check_asked
from keyviz_grpc.hotkeys.operations import Noted
from keyviz_grpc.model import Window
from tests.unit.hotkeys.recording import W1, W2, W3, ask, counts, fill, recorder


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
