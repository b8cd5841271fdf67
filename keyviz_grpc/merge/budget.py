"""The row budget: the hottest rows stay single, neighbouring cold rows fold into aggregates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.merge.folding import fold_runs
from keyviz_grpc.merge.saturating import row_totals
from keyviz_grpc.model import MAX_ROUTE_IDS, Catalogue, Row
from keyviz_grpc.outcome import Answer
from keyviz_grpc.traffic import Counts, where

LARGEST: Final = 2**64 - 1
"""Of route ids and of counts of routes."""

LONGEST_ID: Final = len(str(LARGEST))

MOST_KEPT: Final = 8192
"""Aggregates remembered for one catalogue."""


def fold(answer: Answer, rows: int, *, shares: bool = True) -> Answer:
    """The answer with at most `rows` rows; 0, or a budget that is kept already: unchanged.

    Hot is a row's total over all columns, ties in key order. As many of the hottest as the budget allows stay single;
    the rest fold with their neighbours in key order, never across a row that stays single, and a cold row without a
    cold neighbour stays itself. Column totals stay what they were, unless a sum saturates. A folded cell is soft or a
    conflict if any of its parts is, and shows an identity only if all its parts with traffic show it.

    An aggregate made here spans groups as a rule and takes the id of (hull, group 0), so that it is called the same in
    every series and at every poll. shares False leaves the shares out, which only a further merge would need.
    """
    matrix = answer.matrix
    if rows == 0 or len(matrix.catalogue) <= rows:
        return answer
    values = matrix.narrowest
    totals = row_totals(values)
    starts = _run_starts(_heat(values, totals), rows)
    catalogue = _fold_catalogue(matrix.catalogue, starts)
    folded = fold_runs(matrix, starts, catalogue, totals=totals, shares=shares)
    return replace(answer, matrix=folded, leaf_sets=(), row_leaf_set=None, leaf_ranges=())


def _heat(values: Counts, totals: NDArray[np.uint64] | None) -> NDArray[np.int64]:
    """How hot every row is: no two alike, of equal totals the first is the hottest."""
    count = len(values)
    earlier = np.arange(count - 1, -1, -1)
    if totals is not None:
        return totals.view(np.int64) * count + earlier
    # Totals that may exceed 64 bits are kept in two halves.
    values = values.astype(np.uint64, copy=False)
    low = (values & np.uint64(0xFFFF_FFFF)).sum(axis=1, dtype=np.uint64)
    high = (values >> np.uint64(32)).sum(axis=1, dtype=np.uint64) + (low >> np.uint64(32))
    low &= np.uint64(0xFFFF_FFFF)
    heat = np.empty(count, np.int64)
    heat[np.lexsort((earlier, low, high))] = np.arange(count)
    return heat


def _run_starts(heat: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """First row of every output row, for a budget below the number of rows.

    A row starts one where it or the one before it is single, which is where the hotter one of the two is hot enough;
    as many of these as the budget allows, besides the first row.
    """
    hotter = np.maximum(heat[1:], heat[:-1])
    too_cold = np.partition(hotter, -budget)[-budget]
    return np.concatenate([np.zeros(1, np.int64), where(hotter > too_cold) + 1])


@dataclass(slots=True, eq=False)
class _Facts:
    """What folding needs of a catalogue's rows, as lists that slice fast; found once a catalogue.

    unlisted: how many routes an aggregate counts beyond those that it lists. last: the bytes of the first rows of the
    last folded catalogue, and it. folded: the aggregates that were made of
    rows first to last (exclusive): from one request to the next the same rows are cold.
    """

    starts: list[bytes]
    ends: list[bytes]
    route_ids: list[tuple[int, ...]]
    unlisted: list[int]
    roles: list[tuple[int, ...]]
    last: tuple[bytes, Catalogue] | None = None
    folded: dict[tuple[int, int], Row] = field(default_factory=dict)

    @classmethod
    def of(cls, catalogue: Catalogue) -> _Facts:
        """All rows, in order."""
        rows = catalogue.rows
        return cls(
            [row.start for row in rows],
            [row.end for row in rows],
            [row_route_ids(row) for row in rows],
            [max(0, row.route_count - len(row.route_ids)) if row.aggregate else 0 for row in rows],
            [row.sample_roles for row in rows],
        )

    def aggregate(self, first: int, last: int) -> Row:
        """Rows first to last (exclusive), two at least, as one."""
        row = self.folded.get((first, last))
        if row is None:
            if len(self.folded) >= MOST_KEPT:
                self.folded.clear()
            row = self.folded[first, last] = self._aggregate(slice(first, last))
        return row

    def _aggregate(self, run: slice) -> Row:
        start, ends = min(self.starts[run]), self.ends[run]
        end = b"" if b"" in ends else max(ends)
        listed = set().union(*self.route_ids[run])
        unlisted = sum(self.unlisted[run])
        return Row(
            aggregate_id(start, end),
            start,
            end,
            aggregate=True,
            route_ids=tuple(sorted(listed)[:MAX_ROUTE_IDS]),
            route_ids_truncated=len(listed) > MAX_ROUTE_IDS or unlisted > 0,
            route_count=min(len(listed) + unlisted, LARGEST),
            sample_roles=tuple(sorted(set().union(*set(self.roles[run])))),
        )


_facts: KeptByIdentity[_Facts] = KeptByIdentity(8)


def _fold_catalogue(catalogue: Catalogue, starts: NDArray[np.int64]) -> Catalogue:
    facts = _facts.get((catalogue,), lambda: _Facts.of(catalogue))
    packed, last = starts.tobytes(), facts.last
    if last is not None and last[0] == packed:
        return last[1]
    made = _made(catalogue, starts, facts)
    facts.last = packed, made
    return made


def _made(catalogue: Catalogue, starts: NDArray[np.int64], facts: _Facts) -> Catalogue:
    firsts = starts.tolist()
    runs = list(zip(firsts, [*firsts[1:], len(catalogue)], strict=True))
    taken = {catalogue.rows[first].bucket_id for first, last in runs if last - first == 1}
    folded: list[Row] = []
    for first, last in runs:
        row = catalogue.rows[first] if last - first == 1 else facts.aggregate(first, last)
        salt = 0
        while last - first > 1 and row.bucket_id in taken:
            # A row of exactly this range that stays single has this id already.
            salt += 1
            row = replace(row, bucket_id=aggregate_id(row.start, row.end + b"\x00" * salt))
        taken.add(row.bucket_id)
        folded.append(row)
    return Catalogue(tuple(folded))


def row_route_ids(row: Row) -> tuple[int, ...]:
    """The route ids that a row stands for: an aggregate's list, or the id in `route:<id>…`; () if neither.

    A peer may name its buckets as it likes: a number that can be no route's id is none.
    """
    if row.aggregate:
        return row.route_ids
    digits = row.bucket_id.removeprefix("route:").split(":", 1)[0].split("#", 1)[0]
    named = row.bucket_id.startswith("route:") and digits.isdecimal() and len(digits) <= LONGEST_ID
    return (number,) if named and (number := int(digits)) <= LARGEST else ()
