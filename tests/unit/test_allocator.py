"""Freed memory is kept while there is work and given back afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from keyviz_grpc.allocator import give_back_when_idle

BURST = """
import asyncio
from pathlib import Path
import numpy as np
from keyviz_grpc.allocator import give_back_when_idle, keep_freed_memory

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

async def main():
    if not keep_freed_memory():
        print("no glibc")
        return
    work = 1
    before = resident_mb()
    for _ in range(3):
        arrays = [np.ones(8 << 20, np.uint8) for _ in range(12)]
        del arrays
    kept = resident_mb()
    giving = asyncio.create_task(give_back_when_idle(lambda: work, idle_s=0.01))
    await asyncio.sleep(0)
    work = 2
    while resident_mb() > before + 48:
        await asyncio.sleep(0.01)
    giving.cancel()
    print(kept - before >= 90, resident_mb() - before)

asyncio.run(main())
"""


def test_memory_of_a_burst_is_kept_and_then_given_back() -> None:
    """In a process of its own, for the switches are the process's: 96 MB freed stay, until nothing happens."""
    told = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, timeout=30, check=True).stdout
    if told.startswith("no glibc"):
        pytest.skip("the C library is not glibc")
    assert told.startswith("True")


async def test_nothing_is_given_back_while_there_is_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll in every interval keeps the memory; the first interval without one gives it back, once."""
    trims: list[int] = []

    class Library:
        def malloc_trim(self, pad: int) -> int:
            trims.append(pad)
            return 1

    monkeypatch.setattr("keyviz_grpc.allocator._glibc", Library)
    counts = iter([0, 1, 2, 3, 3, 3, 3])
    ended = asyncio.Event()

    def work_done() -> int:
        try:
            return next(counts)
        except StopIteration:
            ended.set()
            return 3

    giving = asyncio.create_task(give_back_when_idle(work_done, idle_s=0.001))
    await ended.wait()
    giving.cancel()
    assert trims == [0]
