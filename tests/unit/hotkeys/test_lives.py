"""An id that comes to mean another range begins a new life, and what nobody can tell apart any more is forgotten."""

from __future__ import annotations

from keyviz_grpc.hotkeys import HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.lives import KeyRange, Lives
from keyviz_grpc.hotkeys.recorder import HotKeyRecorder
from keyviz_grpc.sampler import Op, Route, Sampler

LOW, HIGH = (b"a", b"m"), (b"m", b"z")


def test_only_another_range_begins_a_new_life() -> None:
    """Registered again, moved, removed and back: the same life while the range is the same."""
    lives = Lives()
    lives.begin(1, LOW, newest_unix_ms=10)
    lives.begin(1, LOW, newest_unix_ms=10)
    assert lives.now(1) == 0
    lives.end(1, newest_unix_ms=10)
    lives.begin(1, LOW, newest_unix_ms=20)
    assert lives.now(1) == 0
    lives.begin(1, HIGH, newest_unix_ms=20)
    assert lives.now(1) == 1
    lives.end(1, newest_unix_ms=20)
    lives.begin(1, LOW, newest_unix_ms=30)
    assert (lives.now(1), lives.now(2)) == (2, 0)


def test_what_no_window_knows_is_forgotten_and_what_one_knows_is_not() -> None:
    """A removed route stays as long as the newest window that saw it, late operations included."""
    lives = Lives()
    for route_id in range(1, 101):
        lives.begin(route_id, LOW, newest_unix_ms=10)
        lives.end(route_id, newest_unix_ms=10)
    assert lives.seen(7, 30) == 0
    lives.forget(10)
    assert len(lives) == 100
    lives.forget(11)
    assert len(lives) == 1
    lives.begin(7, HIGH, newest_unix_ms=30)
    assert lives.now(7) == 1
    lives.end(7, newest_unix_ms=30)
    lives.forget(31)
    assert len(lives) == 0


def test_a_late_operation_of_a_forgotten_route_is_not_the_next_ones() -> None:
    """Its range is not known any more, so whatever comes is another."""
    lives = Lives()
    assert lives.seen(7, 30) == 0
    lives.begin(7, LOW, newest_unix_ms=30)
    assert lives.seen(7, 30) == 1


def ended(recorder: HotKeyRecorder, stamp: int, key: bytes, route_id: int) -> None:
    """One operation in a window that closes."""
    recorder.note(route_id, "", True, key)
    recorder.claim(stamp)
    recorder.close_window(stamp)


def asked(recorder: HotKeyRecorder, route_id: int) -> list[bytes]:
    """Keys of all windows held."""
    return [item.key for item in recorder.answer(HotKeysQuery(route_id), None).keys]


def test_a_recorder_knows_no_more_routes_than_are_registered_or_held() -> None:
    """However many come and go; and none of them shows what an earlier one of its id had."""
    recorder = HotKeyRecorder(HotKeysSettings(windows=3))
    for number in range(1, 200):
        span: KeyRange = (b"%05d" % number, b"%05d" % (number + 1))
        recorder.change_routes([number - 1], {number: span, 1000: span})
        ended(recorder, number * 1000, b"own", number)
        ended(recorder, number * 1000, b"of %d" % number, 1000)
    assert asked(recorder, 1000) == [b"of 199"]
    assert asked(recorder, 198) == [b"own"]
    assert len(recorder._lives) <= 3 + 3


def test_a_sampler_tells_its_recorder_of_removed_routes() -> None:
    """Back with the same range the keys are still its own, with another they are not."""
    now_s = 1000.5
    with Sampler(
        node_id="n", step_ms=1000, stall_s=9, clock=lambda: now_s, hot_keys=HotKeysSettings(windows=5)
    ) as sampler:
        sampler.register_routes([Route(1, b"a", b"m"), Route(2, b"m", b"z")])
        for route_id in (1, 2):
            sampler.observe(route_id, b"k", Op.WRITE, 1)
        sampler.remove_routes([1, 2])
        sampler.observe(1, b"late", Op.WRITE, 1)
        sampler.register_routes([Route(1, b"a", b"m"), Route(2, b"m", b"y")])
        now_s = 1001.5
        told = [[item.key for item in sampler.hot_keys(HotKeysQuery(route_id)).keys] for route_id in (1, 2)]
    assert told == [[b"k", b"late"], []]
