"""Of several windows that are open at once the present one has what memory there is, and what is lost is told."""

from __future__ import annotations

import pytest

from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.operations import Noted
from keyviz_grpc.hotkeys.recorder import HotKeyRecorder
from keyviz_grpc.model import Window

PAST, NOW, SOON, LATER = 1_000, 2_000, 3_000, 9_000
ROUTES = range(1, 61)
KEYS = [b"%03d" % number for number in range(500)]


@pytest.fixture
def made() -> HotKeyRecorder:
    """Whose memory suffices for a few routes with so many keys, in one window; the present is said."""
    recorder = HotKeyRecorder(HotKeysSettings(memory_bytes=1 << 20, max_key_bytes=32, max_pending=1 << 20))
    recorder.claim(NOW)
    return recorder


def full(made: HotKeyRecorder, stamp: int, routes: range = ROUTES) -> None:
    """More keys than there is memory for."""
    for route in routes:
        made.note_many(stamp, Noted([(route, "", True, key) for key in KEYS]), wait=False)
    made.tick()
    assert 0.7 * made.stats().half_bytes < made.stats().open_bytes <= made.stats().half_bytes


def ask(made: HotKeyRecorder, route: int, stamp: int) -> HotKeysAnswer:
    """About one window."""
    return made.answer(HotKeysQuery(route, window=Window(stamp, stamp + 1)), None)


def total_told(answer: HotKeysAnswer) -> int:
    """Of how many operations it speaks."""
    return answer.sampled_n + answer.dropped_samples


@pytest.mark.parametrize("first", [LATER, SOON])
def test_a_clock_that_leapt_ahead_takes_no_memory_from_the_present(made: HotKeyRecorder, first: int) -> None:
    """What the windows to come had is lost when the present needs the room, the last one's first, and told."""
    for stamp in (first, LATER + SOON - first):
        full(made, stamp, range(1, 4) if stamp == SOON else ROUTES)
    evicted = made.stats().evicted
    full(made, NOW, range(1, 3))
    assert made.stats().evicted > evicted
    made.close_window(NOW)
    answer = ask(made, 1, NOW)
    assert (answer.sampled_n, answer.dropped_samples, answer.error_bound) == (len(KEYS), 0, 0)
    made.close_window(LATER)
    lost = ask(made, 1, LATER)
    assert (lost.keys, lost.sampled_n, lost.degraded) == ((), 0, True)
    assert lost.error_bound >= lost.dropped_samples >= len(KEYS)


def test_what_is_late_closes_early_and_loses_nothing(made: HotKeyRecorder) -> None:
    """What comes for it afterwards is added."""
    made.close_window(PAST)
    made.note_many(PAST, Noted([(route, "", True, key) for route in (1, 2) for key in KEYS]), wait=False)
    made.tick()
    assert not ask(made, 1, PAST).keys, "it is open again"
    full(made, NOW)
    answer = ask(made, 1, PAST)
    assert (len(answer.keys), answer.dropped_samples, answer.error_bound) == (len(KEYS), 0, 0)
    made.note_many(PAST, Noted([(1, "", True, KEYS[0])]), wait=False)
    made.close_window(PAST)
    assert ask(made, 1, PAST).keys[0].count == 2
    assert made.stats().evicted == 0


def test_a_window_that_is_over_and_has_little_stays_open() -> None:
    """However often the present one lacks memory: adding a few keys to what is held frees nothing worth it."""
    made = HotKeyRecorder(HotKeysSettings(memory_bytes=4 << 20, max_key_bytes=32, max_pending=1 << 20))
    made.claim(NOW)
    for stamp in (PAST, LATER):
        made.close_window(stamp)
        made.note_many(stamp, Noted([(1, "", True, b"late")]), wait=False)
    full(made, NOW)
    for number in range(5):
        made.note_many(NOW, Noted([(100 + number, "", True, key) for key in KEYS]), wait=False)
        made.tick()
        assert [ask(made, 1, stamp).sampled_n for stamp in (PAST, LATER)] == [0, 0]
    for stamp in (PAST, LATER):
        made.close_window(stamp)
    assert [ask(made, 1, stamp).sampled_n for stamp in (PAST, LATER)] == [1, 1]


def test_what_is_late_or_to_come_takes_nothing_from_the_present(made: HotKeyRecorder) -> None:
    """It only counts, and says so; sixty times over."""
    full(made, NOW, range(1, 3))
    for number in range(60):
        for stamp in (PAST - number, LATER + number):
            made.note_many(stamp, Noted([(7, "", True, key) for key in KEYS]), wait=False)
    made.tick()
    assert made.stats().open_bytes <= made.stats().half_bytes
    for stamp in (PAST, NOW, LATER):
        made.close_window(stamp)
    kept = ask(made, 1, NOW)
    assert (kept.sampled_n, kept.dropped_samples) == (len(KEYS), 0)
    assert all(total_told(ask(made, 7, stamp)) == len(KEYS) for stamp in (PAST, LATER))


def test_buckets_are_bounded_for_all_open_windows_together(
    made: HotKeyRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many windows a flood of late and early operations opens, in which each has few."""
    monkeypatch.setattr("keyviz_grpc.hotkeys.window.MAX_BUCKETS", 100)
    for number in range(200):
        stamp = NOW + 1000 * number
        made.note_many(stamp, Noted([(route, "", True, b"k") for route in range(1, 51)]), wait=False)
    made.note_many(NOW, Noted([(route, "", True, b"now") for route in range(51, 100)]), wait=False)
    made.tick()
    assert made.stats().buckets <= 100
    for number in range(200):
        made.close_window(NOW + 1000 * number)
    assert [ask(made, route, NOW).sampled_n for route in (1, 50, 51, 99)] == [1, 1, 1, 1]
    assert all(total_told(ask(made, 1, NOW + 1000 * number)) >= 1 for number in range(200))
    assert ask(made, 1, NOW + 199_000).dropped_samples >= 1


def test_of_windows_to_come_the_last_loses_first(made: HotKeyRecorder) -> None:
    """And no more of them than it takes."""
    made.note_many(SOON, Noted([(1, "", True, key) for key in KEYS]), wait=False)
    full(made, LATER)
    made.note_many(NOW, Noted([(1, "", True, key) for key in KEYS]), wait=False)
    for stamp in (NOW, SOON, LATER):
        made.close_window(stamp)
    assert [ask(made, 1, stamp).sampled_n for stamp in (NOW, SOON, LATER)] == [len(KEYS), len(KEYS), 0]


def test_what_is_late_takes_nothing_from_windows_to_come_either(made: HotKeyRecorder) -> None:
    """Those may be the present of a clock that goes on in a moment."""
    full(made, SOON, range(1, 3))
    made.note_many(PAST, Noted([(1, "", True, key) for key in KEYS]), wait=False)
    for stamp in (PAST, SOON):
        made.close_window(stamp)
    assert [ask(made, 1, stamp).sampled_n for stamp in (PAST, SOON)] == [0, len(KEYS)]


def test_the_present_of_a_clock_that_went_back_does_not_close_early(made: HotKeyRecorder) -> None:
    """Though later windows have closed."""
    made.close_window(LATER)
    full(made, NOW, range(1, 3))
    for stamp in (PAST, SOON):
        made.note_many(stamp, Noted([(1, "", True, key) for key in KEYS]), wait=False)
    assert ask(made, 1, NOW).snapshot_at_unix_ms == 0
    made.close_window(NOW)
    assert ask(made, 1, NOW).sampled_n == len(KEYS)


def test_a_window_to_come_that_closed_once_already_closes_early_too(made: HotKeyRecorder) -> None:
    """The clock went back, and will come to it again: it loses nothing."""
    made.close_window(LATER)
    full(made, SOON, range(1, 3))
    full(made, NOW, range(1, 3))
    assert [ask(made, route, SOON).sampled_n for route in (1, 2)] == [len(KEYS)] * 2
    made.close_window(NOW)
    assert [ask(made, route, NOW).sampled_n for route in (1, 2)] == [len(KEYS)] * 2
