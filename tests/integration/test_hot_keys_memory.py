"""A flood of keys that differ, on thousands of routes, with keys of 1 MB: memory is bounded and the node answers."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.integration.hot_keys_flood import BATCH, MEMORY_BYTES

PENDING_BYTES = 32 << 20
"""Operations on their way into sketches, and what is known of each bucket besides its sketch (docs/hotkeys.md)."""


def flood(kind: str, keys: int, routes: int) -> dict[str, Any]:
    """What a process of its own saw, so that nothing else counts as its memory."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.integration.hot_keys_flood", kind, str(keys), str(routes)],
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
