"""Batches of keys over many sliced places at once: each in the slot that a bisection of its own place's cuts gives."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import pytest

from keyviz_grpc.sampler.batch import KeyBytes
from keyviz_grpc.sampler.cells import Cells
from keyviz_grpc.sampler.places import Place
from keyviz_grpc.sampler.slices import Division, division_of
from keyviz_grpc.sampler.types import Route

TEXT = [b"user:%07d" % (number * number * 97) for number in range(1, 40)]


def packed(keys: Sequence[bytes]) -> KeyBytes:
    """One array, as a batch has it."""
    lengths = np.array([len(key) for key in keys], np.int64)
    data = np.frombuffer(b"".join(keys), np.uint8)
    pitch = len(keys[0]) if len(set(map(len, keys))) == 1 else 0
    return KeyBytes(data, np.cumsum(lengths) - lengths, lengths, pitch)


def places_of(*divisions: Division) -> list[Place]:
    """With slots that neither ascend nor follow each other, as after recycling."""
    rng = np.random.default_rng(4)
    slots = iter(rng.permutation(sum(map(len, divisions))).tolist())
    return [Place(tuple(next(slots) for _ in range(len(division))), division) for division in divisions]


def even(start: bytes, end: bytes, slices: int) -> Division:
    """Cut by bytes."""
    return division_of(Route(1, start, end, slices=slices), 1)


def told(start: bytes, end: bytes, cuts: Sequence[bytes]) -> Division:
    """Cut by the store."""
    return division_of(Route(1, start, end, cuts=tuple(cuts)), 1)


FAR = b"x" * 30
CASES = {
    "even cuts of one width": [even(b"%05d" % n, b"%05d" % (n + 1), 16) for n in range(20)],
    "cells that are slices": [even(n.to_bytes(4, "big"), (n + 1).to_bytes(4, "big"), 16) for n in range(20)],
    "the whole space alone": [even(b"", b"", 16)],
    "cells that are slices, of several widths": [even(b"a", b"b", 4), even(b"bc", b"bd", 8), told(b"c", b"d", [b"c@"])],
    "whole space, ends, many slices": [even(b"", b"", 256), even(b"\xff" * 9, b"", 7), even(b"", b"\x00\x01", 3)],
    "one cut each": [told(b"", b"", [b"m"]), told(b"a", b"b", [b"a\x00"]), told(b"", b"", [b"\xff" * 20])],
    "text, cuts crowded behind a long prefix": [told(b"a", b"z", TEXT), told(b"user:", b"user;", TEXT)],
    "cuts that only differ beyond a word": [told(b"", b"", [FAR + bytes([byte]) for byte in range(0, 250, 7)])],
    "cuts that end in zero bytes": [
        told(b"k", b"l", [b"k\x00", b"k\x00\x00", b"k\x01\x00", b"k\x01\x00\x00\x00\x00\x00\x00\x00"])
    ],
    "keys of one length, ranges that share more or less": [
        even(b"%08d" % n, b"%08d" % (n + 1), 16) for n in range(95, 120)
    ],
    "one long cut among short ones": [even(b"%05d" % 7, b"%05d" % 8, 16), told(b"0000", b"0001", [b"0000" + FAR])],
    "narrow ranges far behind": [even(FAR + b"a", FAR + b"b", 16), even(FAR + b"aaaaaaaaaa", FAR + b"aaaaaaaaab", 9)],
    "even and uneven, few and many": [
        even(b"a", b"c", 2),
        told(b"", b"", TEXT),
        even(b"", b"", 100),
        told(b"q", b"", [b"r", FAR]),
    ],
}


def near(division: Division) -> list[bytes]:
    """Keys of the range: cuts, what is just below and above them, ends, and random ones."""
    rng = np.random.default_rng(len(division))
    found = [division.start, division.start + b"\x00", division.start + rng.bytes(12)]
    for cut in division.cuts:
        found += [cut, cut[:-1], cut + b"\x00", cut + rng.bytes(9), cut[:-1] + b"\x00" * 9, cut[:-1] + rng.bytes(2)]
        found.append(cut[:-1] + bytes([max(cut[-1] - 1, 0)]) + b"\xff" * 9)
    return [key for key in found if key >= division.start and (not division.end or key < division.end)]


@pytest.mark.parametrize("divisions", CASES.values(), ids=CASES)
@pytest.mark.parametrize("some", [False, True])
def test_every_key_is_where_a_bisection_of_its_own_cuts_puts_it(divisions: list[Division], some: bool) -> None:
    """All keys of a batch, and some chosen from one."""
    places = places_of(*divisions)
    wanted = [(number, key) for number, division in enumerate(divisions) for key in near(division)]
    np.random.default_rng(1).shuffle(np.array(wanted, object))
    keys = packed([key for _, key in wanted])
    chosen = np.arange(0, len(wanted), 2) if some else None
    asked = wanted[::2] if some else wanted
    numbers = np.array([number for number, _ in asked], np.int64)
    slots = Cells.of(places).slots_of(numbers, keys, chosen)
    truth = [places[number].slots[bisect_right(places[number].cuts, key)] for number, key in asked]
    assert slots.tolist() == truth


@pytest.mark.parametrize(
    "keys",
    [
        [b""],
        [b"", b""],
        [b"a"],
        [b"abcdefg"],
        [b"abcdefgh", b"ij"],
        [b"abc", b"defghijklmnop", b"q"],
        [b"%030d" % (7**n) for n in range(20)],
    ],
)
@pytest.mark.parametrize("skip", [0, 1, 3, 7, 8, 20])
def test_a_word_is_the_eight_bytes_behind_the_shared_ones_or_zeros_past_the_end(keys: list[bytes], skip: int) -> None:
    """Of the last keys of a batch too, where eight bytes are no longer there to be read."""
    truth = [int.from_bytes(key[skip : skip + 8].ljust(8, b"\x00"), "big") for key in keys]
    assert packed(keys).words(None, skip).tolist() == truth
    assert packed(keys).words(None, np.full(len(keys), skip)).tolist() == truth
    assert packed(keys).words(np.array([len(keys) - 1]), skip).tolist() == truth[-1:]


def test_a_key_of_no_range_is_still_in_a_slot_of_its_place() -> None:
    """Above, below, empty; the slice is not specified, the place is."""
    places = places_of(even(b"kkk", b"kkl", 16), told(b"k", b"l", [b"ka", b"kb", b"kc\x00" + FAR]))
    strangers = [b"", b"a", b"\x00" * 12, b"z" * 12, b"\xff" * 40, b"kkl", b"kk"]
    cells = Cells.of(places)
    for number, place in enumerate(places):
        slots = cells.slots_of(np.full(len(strangers), number), packed(strangers), None)
        assert set(slots.tolist()) <= set(place.slots)


@pytest.mark.parametrize("divisions", CASES.values(), ids=CASES)
def test_keys_of_one_length_are_no_other_keys(divisions: list[Division]) -> None:
    """They are read in a row where all places pass over the same bytes."""
    places = places_of(*divisions)
    rng = np.random.default_rng(2)
    padded = [(n, (key + rng.bytes(48))[:48]) for n, division in enumerate(divisions) for key in near(division)]
    keys = packed([key for _, key in padded])
    assert keys.pitch == 48
    slots = Cells.of(places).slots_of(np.array([number for number, _ in padded], np.int64), keys, None)
    wanted = [
        slot == places[number].slots[bisect_right(places[number].cuts, key)]
        for slot, (number, key) in zip(slots.tolist(), padded, strict=True)
        if divisions[number].start <= key and (not divisions[number].end or key < divisions[number].end)
    ]
    assert all(wanted)
    assert wanted


def test_places_that_share_more_or_less_pass_over_the_same_bytes_while_their_cuts_fit() -> None:
    """Then nothing has to be looked up for that; a cut that is longer keeps its own."""
    assert Cells.of(places_of(*CASES["keys of one length, ranges that share more or less"])).skips == 5
    assert not isinstance(Cells.of(places_of(*CASES["narrow ranges far behind"])).skips, int)


def test_cells_are_few_however_the_cuts_lie() -> None:
    """Four a cut at most: memory follows the number of cuts, not their distances."""
    uneven = told(b"", b"", [b"\x00" * 7 + b"\x01", b"\x00" * 7 + b"\x02", b"\xff"])
    for division in (uneven, even(b"", b"", 4096), even(b"a", b"b", 16), told(b"", b"", TEXT)):
        assert len(Cells.of(places_of(division)).cuts) <= 4 * len(division.cuts)


@pytest.mark.parametrize(
    ("name", "exact", "alike"),
    [
        ("cells that are slices", True, True),
        ("the whole space alone", True, True),
        ("cells that are slices, of several widths", True, False),
        ("even cuts of one width", False, False),
    ],
)
def test_where_cuts_begin_cells_nothing_is_compared(name: str, *, exact: bool, alike: bool) -> None:
    """Of ranges and numbers of slices that are powers of two; and where all are alike less is looked up."""
    cells = Cells.of(places_of(*CASES[name]))
    assert (cells.exact is not None, cells.alike is not None) == (exact, alike)
