"""The truth of a replay, straight from the files: csv, gzip and dictionaries, nothing of the product."""

from __future__ import annotations

import csv
import gzip
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

SERIES = ("reads", "writes", "read_bytes", "write_bytes")


@dataclass(frozen=True)
class Truth:
    """cells[series][route number from 0 in key order, window number from 0] is the exact value, zeros left out.

    starts: first key of each route, b"" for the first. windows: how many the trace has.
    """

    starts: list[bytes]
    windows: int
    cells: dict[str, Counter[tuple[int, int]]]

    def row(self, series: str, route: int) -> list[int]:
        """Every window of one route."""
        return [self.cells[series][route, window] for window in range(self.windows)]


class Line(NamedTuple):
    """One operation of a trace."""

    time_s: int
    op: str
    key: bytes
    value_bytes: int


def lines_of(trace: Path) -> list[Line]:
    """Every line, in the file's order."""
    with gzip.open(trace, "rt", encoding="utf-8", newline="") as file:
        return [
            Line(int(line["time_s"]), line["op"], bytes.fromhex(line["key"][2:]), int(line["value_bytes"]))
            for line in csv.DictReader(file)
        ]


def sliced(start: bytes, end: bytes, slices: int) -> list[bytes]:
    """First keys of slices at even distances, as docs/sampler.md has it, for keys of the trace: 8 bytes each.

    In exact fractions: a key is a number from 0 to 1, an open end is 1.
    """
    full = start.ljust(8, b"\x00")
    shared = next(n for n in range(9) if not end or full[n : n + 1] != end[n : n + 1])
    width = 8
    while True:
        low = int.from_bytes(start[shared : shared + width].ljust(width, b"\x00"), "big")
        high = int.from_bytes(end[shared : shared + width].ljust(width, b"\x00"), "big") if end else 256**width
        if high - low >= slices * 65536:
            break
        width *= 2
    steps = [Fraction((high - low) * number, slices) + low for number in range(1, slices)]
    return [start, *((end[:shared] + int(step).to_bytes(width, "big")).rstrip(b"\x00") for step in steps)]


def truth_of(trace: Path, *, routes: int, step_s: int, slices: int = 1) -> Truth:
    """Counts every line of the trace; with slices, rows are slices, those of one route after those of another."""
    lines = lines_of(trace)
    keys = sorted(key for _, _, key, _ in lines)
    starts = [b"", *(keys[number * len(keys) // routes] for number in range(1, routes))]
    if slices > 1:
        bounds = zip(starts, [*starts[1:], b""], strict=True)
        starts = [cut for start, end in bounds for cut in sliced(start, end, slices)]
    cells: dict[str, Counter[tuple[int, int]]] = {series: Counter() for series in SERIES}
    for time_s, op, key, value_bytes in lines:
        cell = (bisect_right(starts, key) - 1, time_s // step_s)
        cells[op + "s"][cell] += 1
        cells[op + "_bytes"][cell] += len(key) + value_bytes
    return Truth(starts, lines[-1][0] // step_s + 1, cells)
