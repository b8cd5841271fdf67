"""One byte tells the slice of most keys where ranges are prefixes; nothing is said of a key of which it does not."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyviz_grpc.sampler import PackedKeys, Route
from keyviz_grpc.sampler.batch import batch_of
from keyviz_grpc.sampler.first_bytes import BYTES, OPEN, FirstBytes
from keyviz_grpc.sampler.places import UNKNOWN, CutTable, Place
from keyviz_grpc.sampler.slices import Division, division_of

byte = st.sampled_from(b"\x00\x01\x02a\x7f\x80\xfe\xff")
keys = st.lists(byte, max_size=6).map(bytes)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """[start, end), often of the keys with one prefix, or of those from somewhere in it on."""
    start, how = draw(keys), draw(st.integers(0, 3))
    if how and start and start[-1] < 0xFF:
        end = start[:-1] + bytes([start[-1] + 1]) + b"\x00" * draw(st.integers(0, 2))
        return start + (
            draw(st.sampled_from([b"", b"\xff", b"\xff\xff", b"\x00", b"\xfe", b"\xff\xfe"])) if how > 1 else b""
        ), end
    other = draw(keys)
    return (min(start, other), max(start, other)) if start != other else (start, b"")


@st.composite
def divisions(draw: st.DrawFn) -> Division:
    """In even slices, or in those of a store."""
    start, end = draw(ranges())
    inside = sorted({start + rest for rest in draw(st.lists(keys, max_size=8))} | set(draw(st.lists(keys, max_size=4))))
    own = tuple(cut for cut in inside if start < cut and (not end or cut < end))
    as_told: bool = draw(st.booleans())
    if own and as_told:
        return Division(start, end, own)
    return division_of(Route(1, start, end, slices=draw(st.sampled_from([2, 3, 4, 16, 64, 300]))), 1)


def probes_of(division: Division, more: list[bytes]) -> list[bytes]:
    """Keys of the range: at its ends and cuts, a little before and behind them, and any others."""
    near = [division.start, division.end, *division.cuts]
    found = [*more, *(division.start + rest for rest in more)]
    for key in near:
        found += [key + rest for rest in (b"", b"\x00", b"\xff", b"\x00" * 9, b"\xff" * 9)]
        found += [key[:n] + bytes([key[n] - 1]) + b"\xff" * k for n in range(len(key)) if key[n] for k in (0, 3, 9)]
        found += [key.rstrip(b"\x00") + b"\x00" * n for n in range(4)]
    return [key for key in found if division.start <= key and (not division.end or key < division.end)]


@settings(max_examples=400, deadline=None)
@given(divisions(), st.lists(keys, max_size=10))
def test_longer_keys_of_a_range_begin_with_what_they_have_in_common(division: Division, more: list[bytes]) -> None:
    """As many bytes as are told, and they are those of the range's start."""
    common = division.common_bytes
    assert common >= division.shared_bytes
    first = division.start.ljust(common, b"\x00")[:common]
    assert all(key[:common] == first for key in probes_of(division, more) if len(key) > common)


@settings(max_examples=400, deadline=None)
@given(st.lists(divisions().filter(lambda d: d.cuts), min_size=1, max_size=5), st.lists(keys, max_size=10))
def test_every_key_is_in_the_slice_that_bisection_says(divided: list[Division], more: list[bytes]) -> None:
    """Of several places at once, whether by one byte or not, packed and listed, whole batches and parts."""
    places, slot = [], 0
    for division in divided:
        places.append(Place(tuple(range(slot, slot + len(division))), division))
        slot += len(division)
    table = CutTable()
    numbers = [table.number_of(place) for place in places]
    made = [(n, key) for n, division in enumerate(divided) for key in probes_of(division, more)]
    told = np.array([numbers[n] for n, _ in made], np.int64)
    right = [places[n].slots[bisect_right(divided[n].cuts, key)] for n, key in made]
    listed = [key for _, key in made]
    packed = PackedKeys(np.frombuffer(b"".join(listed), np.uint8), np.cumsum([0, *map(len, listed)]))
    some = told.copy()
    some[::2] = 7
    for form in (listed, packed):
        ones = [1] * len(made)
        batch = batch_of(ones, form, ones, ones, labels=None, at_unix_ms=None)
        assert table.resolve(told, batch.key_bytes).tolist() == right
        assert table.resolve(some, batch.key_bytes)[1::2].tolist() == right[1::2]


def place_of(route: Route, first_slot: int = 0) -> Place:
    """Slots in a row."""
    division = division_of(route, 1)
    return Place(tuple(range(first_slot, first_slot + len(division))), division)


MAKE: dict[str, tuple[Callable[[int], bytes], bool]] = {
    "numbers of four bytes": (lambda n: n.to_bytes(4, "big"), True),
    "numbers in digits": (lambda n: b"%05d" % n, True),
    "words that share nothing": (lambda n: bytes([n % 250 + 1, n % 7 + 60]), False),
}


@pytest.mark.parametrize(("begin", "is_used"), MAKE.values(), ids=MAKE)
def test_it_is_used_where_ranges_are_prefixes(begin: Callable[[int], bytes], *, is_used: bool) -> None:
    """Nine in ten of numbers in digits: the others have ranges over a carry."""
    ends = sorted({begin(n) for n in range(1, 202)})
    places = [place_of(Route(1, start, end, slices=16), 16 * n) for n, (start, end) in enumerate(pairwise(ends))]
    made = FirstBytes.of(places)
    assert (made is not None) is is_used
    if made is not None:
        told = [made.slots_of(np.array([UNKNOWN - 1 - BYTES * n]), np.array([77], np.uint8))[0] for n in range(200)]
        assert sum(slot != OPEN for slot in told) >= 180
        assert all(slot in (OPEN, 16 * n + 77 // 16) for n, slot in enumerate(told))


def test_cuts_that_a_byte_does_not_tell_make_it_useless() -> None:
    """Names are told apart further behind."""
    names = (b"user/anna", b"user/anton", b"user/berta", b"user/carl")
    assert FirstBytes.of([place_of(Route(1, b"user/", b"user0", cuts=names))]) is None
    letters = (b"user/b", b"user/k", b"user/ka", b"user/t")
    made = FirstBytes.of([place_of(Route(1, b"user/", b"user0", cuts=letters))])
    assert made is not None
    slots = made.slots_of(np.full(5, UNKNOWN - 1), np.frombuffer(b"abkmt", np.uint8)).tolist()
    assert slots == [0, 1, OPEN, 3, 4]
