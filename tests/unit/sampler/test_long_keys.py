"""Keys of a megabyte are counted where they belong, and nobody makes copies of them."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from keyviz_grpc.hotkeys import HotKeysQuery, HotKeysSettings
from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import PackedKeys, Route, Sampler

MEGABYTE = 1 << 20
MANY = 48
LONG_CUT = b"k" * 5000
CUTS: dict[str, tuple[bytes, ...]] = {
    "short cuts": (b"c", b"e", b"g"),
    "a cut of the keys' own bytes": (b"k" * 9, LONG_CUT, LONG_CUT + b"\x00"),
    "a cut that is longer than most": (b"kl", b"m"),
}


def keys_around(cuts: tuple[bytes, ...]) -> list[bytes]:
    """A megabyte each, a little below, at and above every cut."""
    near = [cut + end for cut in cuts for end in (b"\x00", b"\xff", b"k")] + [cut[:-1] for cut in cuts] + [b"", b"z"]
    return [near[number % len(near)].ljust(MEGABYTE, b"k\x00z"[number % 3 :][:1]) for number in range(MANY)]


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_batch_of_keys_of_a_megabyte(cuts: tuple[bytes, ...], *, is_packed: bool) -> None:
    """In slices, with hot keys: each is in its slice, all are skipped as too long, and no copy of all is made."""
    keys = keys_around(cuts)
    offsets = np.arange(MANY + 1) * MEGABYTE
    batch = PackedKeys(np.frombuffer(b"".join(keys), np.uint8), offsets) if is_packed else keys
    now_s = 1000.5
    ones = np.ones(MANY, np.uint64)
    with Sampler(
        node_id="n", step_ms=1000, stall_s=9, clock=lambda: now_s, drain_interval_s=3600, hot_keys=HotKeysSettings()
    ) as sampler:
        sampler.register_routes([Route(1, b"", b"", cuts=cuts)])
        tracemalloc.start()
        sampler.observe_many(ones, batch, ones, ones)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        now_s = 1001.5
        counted = sampler.matrix(MatrixQuery(Series.WRITES)).matrix.values[:, 0].tolist()
        answer = sampler.hot_keys(HotKeysQuery(1))
    bounds = [b"", *cuts, b"\xff" * 9]
    assert counted == [sum(low <= key < high for key in keys) for low, high in pairwise(bounds)]
    assert (answer.skipped_long_keys, answer.keys) == (MANY, ())
    assert peak < 4 * MEGABYTE
