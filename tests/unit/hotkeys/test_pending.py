"""What waits for being taken in is bounded once, in operations and in bytes of keys, whichever way it comes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.hotkeys.operations import Columns, KeyRun
from keyviz_grpc.hotkeys.pending import Missing, Pending, Taken

UNITS = 1000
STAMP_MS = 1000


def held_bytes(pending: Pending) -> tuple[int, int, int]:
    """(operations, bytes of their keys, dropped operations) of all that waits; nothing does afterwards."""
    pending.claim(STAMP_MS)
    operations = size = dropped = 0
    while (event := pending.next()) is not None:
        if isinstance(event, Taken):
            groups = event.operations.groups()
            operations += sum(map(len, groups.values()))
            size += sum(len(key) for keys in groups.values() for key in keys)
            pending.done(event.operations)
        elif isinstance(event, Missing):
            dropped += sum(event.dropped.values())
    assert pending.units == 0
    return operations, size, dropped


def batch(keys: list[bytes], *, run: bool) -> Columns:
    """Writes of one route."""
    piece = KeyRun.of(b"".join(keys), np.cumsum([0, *map(len, keys)]))
    full = sum(len(key) // 256 for key in keys)
    count = len(keys)
    return Columns(np.ones(count, np.uint64), np.ones(count, np.bool_), None, piece if run else keys, full)


@pytest.mark.parametrize("length", [8, 255, 256, 1000, 60_000])
def test_noted_queued_and_in_batches_together_stay_within_the_bound(length: int) -> None:
    """So many operations with short keys, so many times 256 bytes with long ones; the rest is counted as dropped."""
    pending = Pending(HotKeysSettings(max_pending=UNITS, max_key_bytes=60_000, counters=8))
    keys = [bytes(length)] * 700
    for number in range(4):
        for key in keys:
            pending.note(1, "", True, key)
        if number % 2:
            pending.claim(STAMP_MS)
        pending.put(STAMP_MS, batch(keys, run=number % 2 == 0))
        assert pending.units <= UNITS + length // 256
    operations, size, dropped = held_bytes(pending)
    assert (UNITS - 1) // (1 + length // 256) <= operations <= UNITS
    assert size <= 256 * UNITS + length
    assert operations + dropped == 8 * 700
    pending.note(1, "", True, keys[0])
    assert held_bytes(pending) == (1, length, 0), "there is room again"


def test_many_threads_note_and_nobody_goes_beyond_the_bound() -> None:
    """While what they note is claimed again and again and never taken in."""
    pending = Pending(HotKeysSettings(max_pending=UNITS))
    threads = [
        threading.Thread(target=lambda: [pending.note(1, "", True, bytes(300)) for _ in range(2000)]) for _ in "abcd"
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        pending.claim(STAMP_MS)
        assert pending.units <= UNITS + 2 * len(threads)
    operations, _, dropped = held_bytes(pending)
    assert operations + dropped == 8000


def test_ages_are_forgotten_when_nobody_notes_in_them_any_more() -> None:
    """However often routes change; one that a thread still has is taken from as long as it has it."""
    pending = Pending(HotKeysSettings(max_pending=UNITS))
    note = pending.note
    for number in range(100):
        pending.turn([], {1: (b"", b"%d" % number)})
        pending.claim(STAMP_MS)
    assert len(pending._earlier) == 1
    for number in (1, 2):
        note(1, "", True, b"late")
        note(1, "", True, bytes(2000))
        assert pending.units == number
        pending.claim(STAMP_MS)
    taken = [event for event in iter(pending.next, None) if isinstance(event, Taken | Missing)]
    assert [event.age for event in taken] == [0] * 4
    del note
    pending.claim(STAMP_MS)
    assert pending._earlier == []
