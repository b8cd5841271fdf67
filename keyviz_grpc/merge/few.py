"""A union of few cells: all rows at once, as many times as one row is told at most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.entries import Entries
from keyviz_grpc.merge.mixed import fits, look_at
from keyviz_grpc.merge.union import Numbers, Union
from keyviz_grpc.traffic import Counts, RowCodes, mixed_codes, where


def taken_together(entries: Entries, shape: tuple[int, int]) -> Union | None:
    """The union of all entries, none of which lists shares; None where that would take too much."""
    if not entries.has_blank:
        return None
    rows, told, chosen = entries.rows, entries.of[:-1], np.arange(len(entries))
    if np.count_nonzero(entries.counts) < len(entries):
        chosen = where(entries.counts > 0)
        rows, told = rows.take(chosen), told.take(chosen)
    tables = entries.layout.tables(rows, chosen)
    leading, mixed = _leading(entries, tables, rows, told)
    if not fits(len(mixed), len(tables), shape[1]):
        return None
    found = look_at(mixed, tables, entries) if len(mixed) else None
    values, differing = _compared(entries, tables)
    if found is None:
        codes, tangled = np.zeros((0, shape[1]), np.uint32), np.empty(0, np.int64)
    else:
        codes, tangled = found.codes, found.said.cells
    return Union(values, RowCodes(leading, codes), entries.whole_rows(), differing, tangled, found)


def _leading(entries: Entries, tables: Sequence[Numbers], rows: Numbers, told: Numbers) -> tuple[Numbers, Numbers]:
    """(who leads every row, as `RowCodes` has it; the mixed ones, ascending).

    rows, told: of all entries that have traffic their rows, and what they tell. A row of which several parts have
    traffic without a leader is mixed too, for what they say of one cell may be the same writes.
    """
    leading = entries.of.take(tables[0])
    leading[rows.take(where(told != leading.take(rows)))] = -1
    if not entries.spoken.all_known and len(tables) > 1:
        leading[where((leading == 0) & (tables[1] < len(entries)))] = -1
    mixed = where(leading < 0)
    leading[mixed] = mixed_codes(len(mixed))
    return leading, mixed


def _compared(entries: Entries, tables: Sequence[Numbers]) -> tuple[Counts, NDArray[np.bool_] | None]:
    """(the largest count of every cell, where not all counts are the same; None: no row is told twice)."""
    first, *more = tables
    values = entries.counts_in(first)
    if not more:
        return values, None
    # The smallest count that is not 0, less 1: that makes a 0 the largest number there is.
    least = values - 1
    for table in more:
        rows = where(table < len(entries))
        is_most = 2 * len(rows) > len(table)
        theirs = entries.counts_in(table if is_most else table.take(rows))
        largest, smallest = (values, least) if is_most else (values.take(rows, axis=0), least.take(rows, axis=0))
        np.maximum(largest, theirs, out=largest)
        theirs -= 1
        np.minimum(smallest, theirs, out=smallest)
        if not is_most:
            values[rows], least[rows] = largest, smallest
    least += 1
    return values, least < values
