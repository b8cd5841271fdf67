"""The truth of a replay, straight from the files: csv, gzip and dictionaries, nothing of the product."""

from __future__ import annotations

import csv
import gzip
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
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


def truth_of(trace: Path, *, routes: int, step_s: int) -> Truth:
    """Counts every line of the trace."""
    lines = lines_of(trace)
    keys = sorted(key for _, _, key, _ in lines)
    starts = [b"", *(keys[number * len(keys) // routes] for number in range(1, routes))]
    cells: dict[str, Counter[tuple[int, int]]] = {series: Counter() for series in SERIES}
    for time_s, op, key, value_bytes in lines:
        cell = (bisect_right(starts, key) - 1, time_s // step_s)
        cells[op + "s"][cell] += 1
        cells[op + "_bytes"][cell] += len(key) + value_bytes
    return Truth(starts, lines[-1][0] // step_s + 1, cells)
