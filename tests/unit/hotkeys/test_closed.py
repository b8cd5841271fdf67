"""Closed windows stay within their bytes, however often one is opened again, and bounds cover what had to go."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from keyviz_grpc.hotkeys.closed import ClosedWindow, fitted
from keyviz_grpc.hotkeys.held import HeldWindows
from keyviz_grpc.hotkeys.summary import Summary
from keyviz_grpc.hotkeys.window import Bucket


def summary_of(counts: Counter[bytes], *, error: int = 0, missed: int = 0) -> Summary:
    """Of a sketch that may have missed so much of each key."""
    taken = counts.total() + error
    return Summary.of(counts, error=error, taken=taken, missed=missed)


def check_sound(window: ClosedWindow, truth: dict[Bucket, Counter[bytes]]) -> None:
    """Every key of every bucket lies within what the window says of it; no operation is untold, some may be twice."""
    for bucket, true in truth.items():
        own = window.buckets.get(bucket)
        if own is None:
            assert max(true.values()) <= window.lost
            continue
        lowers = dict(own.items())
        for key, times in true.items():
            assert lowers.get(key, 0) <= times <= lowers.get(key, 0) + own.error
    told = sum(own.operations for own in window.buckets.values()) + window.lost
    total = sum(true.total() for true in truth.values())
    assert told >= total if window.lost else told == total


@pytest.mark.parametrize("limit", [100_000, 20_000, 6_000, 1_500, 512])
def test_a_window_that_is_opened_again_and_again_stays_within_its_bytes(limit: int) -> None:
    """Other keys of other routes each time, one key that is hot in all; the error grows no faster than the stream."""
    rng = random.Random(limit)
    held = HeldWindows(limit=5, limit_bytes=limit)
    truth: dict[Bucket, Counter[bytes]] = {}
    for number in range(40):
        window: dict[Bucket, Summary] = {}
        for route in rng.sample(range(1, 30), 4):
            light = {b"%d-%d" % (number, n) + bytes(rng.randrange(60)): rng.randrange(1, 4) for n in range(20)}
            counts = Counter(light) + Counter({b"hot": 50})
            bucket = Bucket(route, "", write=True)
            window[bucket] = summary_of(counts, missed=number % 3)
            true = truth.setdefault(bucket, Counter())
            true.update(counts)
            true[b"missed"] += number % 3
        held.put(1000, ClosedWindow(window, 0))
        kept = held.get(1000)
        assert kept is not None
        assert held.taken_bytes == kept.own_bytes <= limit
        check_sound(kept, truth)
    if limit == 100_000:
        assert kept is not None
        assert len(kept.buckets) == len(truth)
        for bucket, own in kept.buckets.items():
            assert max(own.items(), key=lambda item: item[1])[0] == b"hot"
            assert own.error - own.missed <= truth[bucket].total() / 10


def test_fewer_keys_come_before_fewer_routes_and_the_hottest_stay() -> None:
    """A window that fits is left as it is."""
    buckets = {
        Bucket(route, "", write=True): summary_of(Counter({b"%04d" % n: route + n for n in range(100)}))
        for route in range(1, 11)
    }
    window = ClosedWindow(buckets, 3)
    assert fitted(window, window.own_bytes) is window
    half = fitted(window, window.own_bytes - 1)
    assert (half.lost, [len(own.lowers) for own in half.buckets.values()]) == (3, [50] * 10)
    assert [key for key, _ in half.buckets[Bucket(1, "", write=True)].items()] == [
        b"%04d" % n for n in range(99, 49, -1)
    ]
    few = fitted(window, 512 + 3 * 384)
    assert sorted(bucket.route_id for bucket in few.buckets) == [8, 9, 10]
    assert few.lost == 3 + sum(sum(route + n for n in range(100)) for route in range(1, 8))
