"""The row budget (SPEC 4.5): the hottest rows stay single, neighbouring cold rows fold into aggregates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.merge.saturating import sum_runs
from keyviz_grpc.merge.shares import added_up, listed, spread_out
from keyviz_grpc.model import MAX_ROUTE_IDS, Catalogue, Matrix, Row, Shares
from keyviz_grpc.outcome import Answer


def fold(answer: Answer, rows: int) -> Answer:
    """The answer with at most `rows` rows; 0, or a budget that is kept already: unchanged.

    Hot is a row's total over all columns, ties in key order. As many of the hottest as the budget allows stay single;
    the rest fold with their neighbours in key order, never across a row that stays single, and a cold row without a
    cold neighbour stays itself. Column totals stay what they were, unless a sum saturates. A folded cell is soft or a
    conflict if any of its parts is, and shows an identity only if all its parts with traffic show it.

    An aggregate made here spans groups as a rule and takes the id of (hull, group 0), so that it is called the same in
    every series and at every poll.
    """
    matrix = answer.matrix
    if rows == 0 or len(matrix.catalogue) <= rows:
        return answer
    starts = _run_starts(matrix.values, rows)
    folded = fold_runs(matrix, starts, _fold_catalogue(matrix.catalogue, starts))
    return replace(answer, matrix=folded, leaf_sets=(), row_leaf_set=None, leaf_ranges=())


def _run_starts(values: NDArray[np.uint64], budget: int) -> NDArray[np.int64]:
    """First row of every output row. With k rows single the output has k + (runs of the others) rows, which never
    falls as k grows, so the largest k that fits is found by bisection.
    """
    count = len(values)
    order = _by_heat(values)
    low, high = 0, min(budget, count)
    while low < high:
        middle = (low + high + 1) // 2
        if len(_starts(order[:middle], count)) <= budget:
            low = middle
        else:
            high = middle - 1
    return _starts(order[:low], count)


def _by_heat(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Numbers of the rows, hottest first, ties in order. Totals may exceed 64 bits, so they are kept in two halves."""
    low = (values & np.uint64(0xFFFF_FFFF)).sum(axis=1, dtype=np.uint64)
    high = (values >> np.uint64(32)).sum(axis=1, dtype=np.uint64) + (low >> np.uint64(32))
    low &= np.uint64(0xFFFF_FFFF)
    return np.lexsort((-low.astype(np.int64), -high.astype(np.int64)))


def _starts(single: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    begins = np.zeros(count, np.bool_)
    begins[:1] = True
    begins[single] = True
    after = single + 1
    begins[after[after < count]] = True
    return np.flatnonzero(begins)


def fold_runs(matrix: Matrix, starts: NDArray[np.int64], catalogue: Catalogue) -> Matrix:
    """Neighbouring rows added up: rows starts[i] to starts[i + 1] become row i of `catalogue`, share by share."""
    values = sum_runs(matrix.values, starts)
    codes = None if matrix.codes is None else _fold_codes(matrix.codes, matrix.values, starts)
    return Matrix(
        matrix.series,
        matrix.columns,
        catalogue,
        values,
        matrix.identities,
        codes,
        _fold_shares(matrix, starts, values),
        soft=None if matrix.soft is None else np.logical_or.reduceat(matrix.soft, starts, axis=0),
        conflicts=None if matrix.conflicts is None else np.logical_or.reduceat(matrix.conflicts, starts, axis=0),
    )


def _fold_codes(
    codes: NDArray[np.uint32], values: NDArray[np.uint64], starts: NDArray[np.int64]
) -> NDArray[np.uint32] | None:
    highest = np.uint32(2**32 - 1)
    hot = values > 0
    largest = np.maximum.reduceat(np.where(hot, codes, np.uint32(0)), starts, axis=0)
    smallest = np.minimum.reduceat(np.where(hot, codes, highest), starts, axis=0)
    folded = np.where(largest == smallest, largest, np.uint32(0))
    return folded if folded.any() else None


def _fold_shares(matrix: Matrix, starts: NDArray[np.int64], values: NDArray[np.uint64]) -> Shares:
    if matrix.codes is None and len(matrix.shares) == 0:
        return matrix.shares
    every = spread_out(matrix)
    width = values.shape[1]
    rows = np.searchsorted(starts, every.rows, side="right") - 1
    cells, codes, parts = added_up(rows * width + every.columns, every.codes, every.values)
    return listed(cells, codes, parts, values=values, width=width)


def _fold_catalogue(catalogue: Catalogue, starts: NDArray[np.int64]) -> Catalogue:
    ends = [*starts[1:].tolist(), len(catalogue)]
    runs = [catalogue.rows[first:last] for first, last in zip(starts.tolist(), ends, strict=True)]
    taken = {run[0].bucket_id for run in runs if len(run) == 1}
    folded: list[Row] = []
    for run in runs:
        row = run[0] if len(run) == 1 else _aggregate(run)
        salt = 0
        while len(run) > 1 and row.bucket_id in taken:
            # A row of exactly this range that stays single has this id already.
            salt += 1
            row = replace(row, bucket_id=aggregate_id(row.start, row.end + b"\x00" * salt))
        taken.add(row.bucket_id)
        folded.append(row)
    return Catalogue(tuple(folded))


def _aggregate(run: Sequence[Row]) -> Row:
    start = min(row.start for row in run)
    end = b"" if any(not row.end for row in run) else max(row.end for row in run)
    listed: set[int] = set()
    unlisted = 0
    for row in run:
        listed.update(row_route_ids(row))
        if row.aggregate:
            unlisted += max(0, row.route_count - len(row.route_ids))
    ids = tuple(sorted(listed)[:MAX_ROUTE_IDS])
    return Row(
        aggregate_id(start, end),
        start,
        end,
        aggregate=True,
        route_ids=ids,
        route_ids_truncated=len(listed) > MAX_ROUTE_IDS or unlisted > 0,
        route_count=len(listed) + unlisted,
        sample_roles=tuple(sorted({role for row in run for role in row.sample_roles})),
    )


def row_route_ids(row: Row) -> tuple[int, ...]:
    """The route ids that a row stands for: an aggregate's list, or the id in `route:<id>…`; () if neither."""
    if row.aggregate:
        return row.route_ids
    digits = row.bucket_id.removeprefix("route:").split(":", 1)[0].split("#", 1)[0]
    return (int(digits),) if row.bucket_id.startswith("route:") and digits.isdecimal() else ()
