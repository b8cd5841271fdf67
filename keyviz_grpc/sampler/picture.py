"""From closed columns to a matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.budget import fold_runs
from keyviz_grpc.merge.shares import dominant
from keyviz_grpc.model import Catalogue, Matrix, Row, Series, Shares
from keyviz_grpc.sampler.column import Column


def matrix_of(
    series: Series,
    columns: Sequence[tuple[int, Column]],
    *,
    slots: NDArray[np.int64],
    starts: NDArray[np.int64],
    catalogue: Catalogue,
    identities: NDArray[np.uint64],
    recode: NDArray[np.uint32],
) -> Matrix:
    """The matrix of one series: row i of `catalogue` is what the slots starts[i] to starts[i + 1] of `slots` counted.

    recode maps the columns' identity codes to rows of `identities`, uint64[I, 2], sorted by (group, term).
    """
    stamps = np.array([stamp for stamp, _ in columns], np.int64)
    values = np.zeros((len(slots), len(columns)), np.uint64)
    codes = np.zeros(values.shape, np.uint32)
    soft = np.zeros(values.shape, np.bool_)
    for at, (_, column) in enumerate(columns):
        size = len(column.codes)
        inside = slots < size
        where = slots[inside]
        values[inside, at] = column.counts[series][where]
        if series.is_write:
            codes[inside, at] = recode[column.codes[where]]
        if column.soft is not None:
            soft[inside, at] = column.soft[series][where]
    codes[values == 0] = 0
    shares = _shares(series, columns, slots, recode) if series.is_write else Shares.none()
    if len(shares):
        cells = shares.rows * len(columns) + shares.columns
        firsts, winners = dominant(cells, shares.codes, shares.values, identities)
        codes.ravel()[cells[firsts]] = winners
    single = len(starts) == len(slots)
    matrix = Matrix(
        series,
        stamps,
        catalogue if single else _one_a_slot(len(slots)),
        values,
        identities,
        codes if codes.any() else None,
        shares,
        soft=soft if soft.any() else None,
    )
    return matrix if single else fold_runs(matrix, starts, catalogue)


def _one_a_slot(count: int) -> Catalogue:
    return Catalogue(tuple(Row(f"slot:{number}", b"", b"") for number in range(count)))


def _shares(
    series: Series, columns: Sequence[tuple[int, Column]], slots: NDArray[np.int64], recode: NDArray[np.uint32]
) -> Shares:
    listed = [(at, column.frozen) for at, (_, column) in enumerate(columns) if len(column.frozen.slots)]
    if not listed:
        return Shares.none()
    row_of = np.full(int(slots.max(initial=-1)) + 1, -1, np.int64)
    row_of[slots] = np.arange(len(slots))
    rows, ats, codes, values = [], [], [], []
    for at, frozen in listed:
        own = np.where(frozen.slots < len(row_of), row_of[np.minimum(frozen.slots, len(row_of) - 1)], -1)
        amounts = frozen.writes if series is Series.WRITES else frozen.write_bytes
        kept = (own >= 0) & (amounts > 0)
        rows.append(own[kept])
        ats.append(np.full(int(kept.sum()), at, np.int64))
        codes.append(recode[frozen.codes[kept]])
        values.append(amounts[kept])
    row, at_, code, value = (np.concatenate(parts) for parts in (rows, ats, codes, values))
    order = np.lexsort((code, at_, row))
    return Shares(row[order], at_[order], code[order], value[order])
