"""Ranges of keys, and the rows of a matrix."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from keyviz_grpc.errors import InvalidRequest, MalformedAnswer
from keyviz_grpc.unchanging import unchanging

MAX_ROUTE_IDS: Final = 256
"""How many route ids an aggregate lists before it says `route_ids_truncated`."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys from `start` (inclusive) to `end` (exclusive) by bytes; an empty `end` is unbounded.

    Raises InvalidRequest for a start that is not below its end.
    """

    start: bytes = b""
    end: bytes = b""

    def __post_init__(self) -> None:
        if self.end and self.start >= self.end:
            raise InvalidRequest("start", self.start, f"must be below end={self.end!r}")

    def meets(self, row: Row) -> bool:
        """Whether the row's range and this one have a key in common."""
        return (not self.end or row.start < self.end) and (not row.end or self.start < row.end)


ALL_KEYS: Final = KeyRange()


@unchanging(frozen=True, slots=True)
class Row:
    """What a bucket is, apart from its traffic. Range [start, end) of keys by bytes; an empty `end` is unbounded.

    `route_ids` is filled for aggregates only (ascending, at most 256, `route_ids_truncated` if there are more);
    `route_count` counts distinct routes, also those not listed. `sample_roles` ascends.
    """

    bucket_id: str
    start: bytes
    end: bytes
    label: str = ""
    aggregate: bool = False
    route_ids: tuple[int, ...] = ()
    route_ids_truncated: bool = False
    route_count: int = 1
    sample_roles: tuple[int, ...] = ()
    lineage_id: str = ""

    @property
    def key_order(self) -> tuple[bytes, bool, bytes, bytes]:
        """Sorts rows by start, then end with unbounded last, then bucket id, all by bytes."""
        return (self.start, not self.end, self.end, self.bucket_id.encode())


class Catalogue:
    """The rows of a matrix in their order: `len(catalogue)` rows, bucket ids unique.

    Compares equal, cheaply, to a catalogue of equal rows; immutable, shared freely between matrices and threads.
    Raises MalformedAnswer for a duplicate or empty bucket id and for a range whose start is not below its end.
    """

    __slots__ = ("__dict__", "rows")

    rows: tuple[Row, ...]

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self.rows = rows
        if len(self.index) != len(rows):
            raise MalformedAnswer(f"bucket_id {self._first_duplicate()!r} occurs twice")
        for row in rows:
            if not row.bucket_id:
                raise MalformedAnswer(f"a row at start={row.start!r} has an empty bucket_id")
            if row.end and row.start >= row.end:
                raise MalformedAnswer(f"bucket_id {row.bucket_id!r}: start={row.start!r} is not below end={row.end!r}")

    @cached_property
    def index(self) -> dict[str, int]:
        """Row number by bucket id."""
        return {row.bucket_id: number for number, row in enumerate(self.rows)}

    @cached_property
    def in_key_order(self) -> bool:
        """Whether the rows already stand in key order."""
        keys = [row.key_order for row in self.rows]
        return all(left < right for left, right in pairwise(keys))

    @cached_property
    def aggregated_twice(self) -> tuple[bytes, bytes] | None:
        """The range that most aggregates have where several have one, None where each has its own."""
        counted = Counter([(row.start, row.end) for row in self.rows if row.aggregate]).most_common(1)
        return counted[0][0] if counted and counted[0][1] > 1 else None

    def _first_duplicate(self) -> str:
        seen: set[str] = set()
        for row in self.rows:
            if row.bucket_id in seen:
                return row.bucket_id
            seen.add(row.bucket_id)
        return ""

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Catalogue):
            return NotImplemented
        return self is other or self.rows is other.rows or self.rows == other.rows

    def __hash__(self) -> int:
        return hash(self.rows)

    def __repr__(self) -> str:
        return f"Catalogue({len(self.rows)} rows)"
