"""A union of few cells: all rows at once, as many times as one row is told at most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.entries import Entries
from keyviz_grpc.merge.mixed import fits, look_at
from keyviz_grpc.merge.spoken import Spoken
from keyviz_grpc.merge.union import Numbers, Union
from keyviz_grpc.traffic import Counts, RowCodes, mixed_codes, where


def taken_together(entries: Entries, shape: tuple[int, int]) -> Union | None:
    """The union of all entries, none of which lists shares; None where that would take too much."""
    if not entries.has_blank:
        return None
    in_turn = entries.layout.places[:-1]
    rows, chosen = entries.layout.rows.take(in_turn), np.arange(len(entries))
    if np.count_nonzero(entries.counts) < len(entries):
        chosen = where(entries.counts.take(in_turn) > 0)
        rows = rows.take(chosen)
    tables = entries.layout.tables(rows, chosen)
    leading, mixed = _leading(entries.spoken, tables[0], rows, chosen)
    if not fits(len(mixed), len(tables), shape[1]):
        return None
    found = look_at(mixed, tables, entries) if len(mixed) else None
    values, differing = _compared(entries, tables)
    if found is None:
        codes, tangled = np.zeros((0, shape[1]), np.uint32), np.empty(0, np.int64)
    else:
        codes, tangled = found.codes, found.said.cells
    return Union(values, RowCodes(leading, codes), entries.whole_rows(), differing, tangled, found)


def _leading(spoken: Spoken, table: Numbers, rows: Numbers, chosen: Numbers) -> tuple[Numbers, Numbers]:
    """(who leads every row, as `RowCodes` has it; the mixed ones, ascending).

    table: the first one. rows, chosen: of all entries. A row of which several parts have traffic without a leader is
    mixed too, for what they say of one cell may be the same writes.
    """
    leading, told = spoken.of.take(table), spoken.of.take(chosen)
    unlike = told != leading.take(rows)
    if not spoken.all_known:
        unlike |= (told == 0) & (table.take(rows) != chosen)
    leading[rows.take(where(unlike))] = -1
    own = where(leading < 0)
    leading[own] = mixed_codes(len(own))
    return leading, own


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
