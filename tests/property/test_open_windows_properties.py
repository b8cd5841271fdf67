"""However many windows are open at once: together they stay within their bound, and every interval holds the truth."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from keyviz_grpc.hotkeys import HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.operations import Noted
from keyviz_grpc.hotkeys.recorder import HotKeyRecorder
from keyviz_grpc.model import Window

LAST = 6
ROUTES = 4
KIND = ("", True)
stamps = st.integers(1, LAST)
acts = st.one_of(
    st.tuples(st.just("take"), stamps, st.integers(1, ROUTES), st.integers(1, 40)),
    st.tuples(st.just("take"), stamps, st.integers(1, ROUTES), st.integers(1, 40)),
    st.tuples(st.just("take"), stamps, st.integers(1, ROUTES), st.integers(1, 40)),
    st.tuples(st.just("skip"), stamps, st.integers(1, ROUTES), st.integers(1, 5)),
    st.tuples(st.just("clock"), stamps, st.just(0), st.just(0)),
    st.tuples(st.just("close"), stamps, st.just(0), st.just(0)),
)
SMALL = HotKeysSettings(memory_bytes=1 << 20, counters=8, max_key_bytes=32)


def keys_of(seed: int) -> list[bytes]:
    """Of one batch: some keys often, some once."""
    return [b"%d" % (number * number % (3 + seed % 9)) for number in range(seed)]


class Truth:
    """What there really was, by window and route."""

    def __init__(self) -> None:
        self.keys: dict[tuple[int, int], Counter[bytes]] = {}
        self.unknown: Counter[tuple[int, int]] = Counter()  # skipped

    def check(self, made: HotKeyRecorder, stamp: int, route: int) -> None:
        """What the recorder says of one window and route."""
        stamp_ms = stamp * 1000
        answer = made.answer(HotKeysQuery(route, window=Window(stamp_ms, stamp_ms + 1)), None)
        true, unknown = self.keys.get((stamp, route), Counter()), self.unknown[stamp, route]
        listed = {item.key: (item.lower, item.upper) for item in answer.keys}
        for key, times in true.items():
            lower, upper = listed.get(key, (0, answer.error_bound))
            assert lower <= times <= upper, (stamp, route, key)
        told = answer.sampled_n + answer.dropped_samples + answer.skipped_long_keys
        assert told >= true.total() + unknown
        assert answer.sampled_n <= true.total()


@settings(max_examples=400)
@given(st.lists(acts, max_size=60), st.integers(1, 6), st.booleans())
def test_any_number_of_open_windows(steps: list[tuple[str, int, int, int]], most: int, scarce: bool) -> None:
    """Late ones, those of a clock that leaps, closed again and again; with few buckets, with little memory."""
    with patch("keyviz_grpc.hotkeys.window.MAX_BUCKETS", most):
        made, truth = HotKeyRecorder(SMALL), Truth()
        if scarce:
            made._open.memory.limit_bytes = 9000  # three sketches or four
        for act, stamp, route, number in steps:
            if act == "take":
                keys = keys_of(number)
                made.note_many(stamp * 1000, Noted([(route, *KIND, key) for key in keys]), wait=False)
                truth.keys.setdefault((stamp, route), Counter()).update(keys)
            elif act == "skip":
                made.skip_many(stamp * 1000, {(route, *KIND): number})
                truth.unknown[stamp, route] += number
            elif act == "clock":
                made.claim(stamp * 1000)
            else:
                made.close_window(stamp * 1000)
            made.tick()
            stats = made.stats()
            assert stats.buckets <= most
            assert stats.open_bytes <= made._open.memory.limit_bytes
            assert stats.open_bytes == sum(window.taken_bytes for window in made._open.values())
        for stamp in range(1, LAST + 1):
            made.close_window(stamp * 1000)
        made.tick()
        assert (made.stats().buckets, made.stats().sketches, made.stats().open_bytes) == (0, 0, 0)
        for stamp in range(1, LAST + 1):
            for route in range(1, ROUTES + 1):
                truth.check(made, stamp, route)
