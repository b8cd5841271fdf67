"""A batch of a store is copied only as far as there is room for it, whatever its keys are like."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.hotkeys import HotKeysQuery, HotKeysSettings
from keyviz_grpc.sampler import PackedKeys, Route, Sampler

KEY_BYTES = 60_000
MANY = 1000
UNITS = 2000
UNIT_BYTES = 256
ROOM_BYTES = UNITS * UNIT_BYTES
BESIDES_BYTES = 1_000_000
"""Numbers of so many operations, and what the sampler itself takes."""


@pytest.fixture
def clock() -> SteppedClock:
    """At the start of a window."""
    return SteppedClock(1_000_000)


@pytest.fixture
def sampler(clock: SteppedClock, request: pytest.FixtureRequest) -> Iterator[Sampler]:
    """With little room, and a thread that sleeps; one in how many operations is looked at."""
    settings = HotKeysSettings(
        max_pending=UNITS, max_key_bytes=KEY_BYTES, counters=8, sample_one_in=getattr(request, "param", 1)
    )
    with Sampler(
        node_id="n", step_ms=1000, clock=clock, stall_s=math.inf, drain_interval_s=3600.0, hot_keys=settings
    ) as made:
        made.register_routes([Route(1, b"", b"")])
        yield made


def grown_bytes(sampler: Sampler, keys: Sequence[bytes] | PackedKeys, *, at_unix_ms: int | None = None) -> int:
    """By how much the memory in use was more at its peak, while this batch was counted, than before."""
    ones = np.ones(len(keys), np.uint64)
    at = None if at_unix_ms is None else np.full(len(keys), at_unix_ms)
    tracemalloc.start()
    try:
        sampler.observe_many(ones, keys, ones, ones, at_unix_ms=at)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def packed(sizes: Sequence[int]) -> PackedKeys:
    """Keys of these sizes."""
    return PackedKeys(np.zeros(sum(sizes), np.uint8), np.concatenate([[0], np.cumsum(sizes)]))


@pytest.mark.parametrize("sampler", [1, 2], indirect=True)
@pytest.mark.parametrize("sizes", [[KEY_BYTES] * MANY, [KEY_BYTES + 1, *[KEY_BYTES] * MANY]], ids=["", "one skipped"])
def test_long_keys_of_a_batch_are_not_copied_before_they_are_known_to_fit(sampler: Sampler, sizes: list[int]) -> None:
    """60 MB of keys, and room for half of one MB."""
    assert grown_bytes(sampler, packed(sizes)) < 2 * (ROOM_BYTES + KEY_BYTES) + BESIDES_BYTES
    stats = sampler.stats().hot_keys
    assert stats is not None
    assert UNITS <= stats.pending <= UNITS + KEY_BYTES // UNIT_BYTES


def test_of_many_short_keys_no_more_is_copied_either(sampler: Sampler) -> None:
    """12 MB of keys of 255 bytes: none of them has a full unit, so as many of them wait as there are units."""
    keys = packed([UNIT_BYTES - 1] * 50_000)
    grown_bytes(sampler, packed([1]))  # what the first batch makes
    plain = 50_000 * 8 * 12  # numbers of the operations while they are counted
    assert grown_bytes(sampler, keys) < 2 * ROOM_BYTES + plain + BESIDES_BYTES < 12_000_000


def test_a_batch_that_may_wait_is_taken_in_piece_by_piece(sampler: Sampler, clock: SteppedClock) -> None:
    """All of it, with no more of its keys at once than may be waiting."""
    assert grown_bytes(sampler, packed([KEY_BYTES] * MANY), at_unix_ms=clock.unix_ms) < (
        3 * (ROOM_BYTES + KEY_BYTES) + BESIDES_BYTES
    )
    clock.move_to(clock.unix_ms + 1000)
    answer = sampler.hot_keys(HotKeysQuery(1))
    assert (answer.sampled_n, answer.dropped_samples) == (MANY, 0)


def test_objects_are_held_and_not_copied(sampler: Sampler, clock: SteppedClock) -> None:
    """Bytes do not change; a list of them does, and may be used again."""
    keys = [b"%d" % number for number in range(5)]
    sampler.observe_many([1] * 5, keys, [1] * 5, [1] * 5)
    keys[:] = [b"other"] * 5
    clock.move_to(clock.unix_ms + 1000)
    assert sorted(item.key for item in sampler.hot_keys(HotKeysQuery(1)).keys) == [b"%d" % n for n in range(5)]


def test_arrays_may_be_used_again(sampler: Sampler, clock: SteppedClock) -> None:
    """Route ids, kinds and keys are those that they were."""
    ids, ops = np.ones(3, np.uint64), np.ones(3, np.int64)
    keys = PackedKeys(np.frombuffer(b"abc", np.uint8).copy(), np.arange(4))
    sampler.observe_many(ids, keys, ops, ops)
    ids[:], ops[:], keys.data[:], keys.offsets[:] = 9, 0, ord("x"), 3
    clock.move_to(clock.unix_ms + 1000)
    assert sorted(item.key for item in sampler.hot_keys(HotKeysQuery(1)).keys) == [b"a", b"b", b"c"]
