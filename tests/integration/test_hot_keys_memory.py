"""Floods of keys that differ, on thousands of routes or in a thousand windows: memory is bounded, the node answers."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from keyviz_grpc.hotkeys.answer import MAX_CANDIDATES
from tests.integration.hot_keys_flood import BATCH, MEMORY_BYTES

PENDING_BYTES = 32 << 20
"""Operations on their way into sketches, and what is known of each bucket besides its sketch (docs/hotkeys.md)."""


ASKED_BYTES = 48 << 20
"""What questions take, however many are asked at once: a sum of keys, and an answer's."""


def flood(kind: str, keys: int, routes: int) -> dict[str, Any]:
    """See `run`."""
    return run("hot_keys_flood", kind, keys, routes)


def run(module: str, *arguments: object) -> dict[str, Any]:
    """What a process of its own saw, so that nothing else counts as its memory."""
    ran = subprocess.run(
        [sys.executable, "-m", f"tests.integration.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


@pytest.mark.parametrize(
    ("keys", "routes"), [(200_000, 10_000), pytest.param(1_000_000, 10_000, marks=pytest.mark.long)]
)
def test_memory_stays_within_its_bound_and_the_node_goes_on_answering(keys: int, routes: int) -> None:
    """Against the same flood with hot keys off; every call during it was answered; the hot key was not lost in it."""
    off, on = flood("off", keys, routes), flood("on", keys, routes)
    assert on["peak_bytes"] - off["peak_bytes"] <= MEMORY_BYTES + PENDING_BYTES
    assert on["answered"] == on["asked"] > 0
    assert on["hottest"] == "hot"
    assert on["lower"] <= 100 * 5 * on["windows"] <= on["upper"]
    assert on["skipped"] == 5 * on["windows"], "a key of 1 MB in each batch of each window held"
    assert keys // BATCH // 5 >= on["windows"] >= 1


def test_a_question_for_every_window_takes_little_memory_however_many_keys_they_have() -> None:
    """Half a million keys, three callers at once; what is cut off widens bounds, and the hot key is known exactly."""
    windows, keys = 700, 768
    told = run("hot_keys_range", windows, keys)
    assert told["held_bytes"] > windows * keys * 32, "all windows are held"
    assert told["grown_bytes"] <= ASKED_BYTES
    assert (told["hottest"], told["lower"], told["upper"]) == ("hot", windows, windows)
    assert told["sampled_n"] == windows * keys
    assert 0 < told["error_bound"] <= windows * keys / MAX_CANDIDATES
