"""Garbage is looked for rarely, but it is."""

from __future__ import annotations

import subprocess
import sys

COUNTED = """
import gc
from keyviz_grpc.garbage import YOUNG_OBJECTS, collect_rarely

collect_rarely()
looks = []
gc.callbacks.append(lambda phase, told: looks.append(told["generation"]) if phase == "start" else None)
alive = [[] for _ in range(YOUNG_OBJECTS // 2)]
few = len(looks)
alive += [[] for _ in range(YOUNG_OBJECTS)]
print(gc.get_freeze_count() > 1000, few, len(looks) > 0)
"""


def test_what_a_request_makes_is_not_looked_through() -> None:
    """In a process of its own, for the switches are the process's: what never goes is found all the same."""
    told = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, timeout=30, check=True)
    assert told.stdout.split() == ["True", "0", "True"]
