"""From closed columns to a matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.folding import fold_runs
from keyviz_grpc.merge.shares import dominant
from keyviz_grpc.model import Catalogue, Matrix, Row, Series, Shares
from keyviz_grpc.sampler.column import FrozenShares
from keyviz_grpc.sampler.history import Layout, ShownRows
from keyviz_grpc.sampler.ring import Held
from keyviz_grpc.sampler.stretch import Stretch, stretches
from keyviz_grpc.traffic import Counts


def matrix_of(
    series: Series,
    columns: Sequence[tuple[int, Held]],
    *,
    shown: ShownRows,
    identities: NDArray[np.uint64],
    recode: NDArray[np.uint32],
) -> Matrix:
    """The matrix of one series, of these rows.

    recode maps the columns' identity codes to rows of `identities`, uint64[I, 2], sorted by (group, term).
    """
    layout = shown.layout
    read = list(stretches(series, [held for _, held in columns]))
    values, codes, soft = _cells(read, layout, len(columns), recode)
    frozen = [each for _, stretch in read for each in stretch.frozen]
    shares = _shares(series, frozen, layout.slots, recode) if series.is_write else Shares.none()
    if len(shares):
        cells = shares.rows * len(columns) + shares.columns
        firsts, winners = dominant(cells, shares.codes, shares.values * (shares.codes != 0), identities)
        codes.ravel()[cells[firsts]] = winners
    matrix = Matrix.of_counts(
        series,
        np.array([stamp for stamp, _ in columns], np.int64),
        shown.catalogue if layout.single else _one_a_slot(len(layout.slots)),
        values,
        codes if codes.any() else None,
        identities=identities,
        shares=shares,
        soft=soft if soft is not None and soft.any() else None,
    )
    return matrix if layout.single else fold_runs(matrix, layout.starts, shown.catalogue, totals=None)


def _cells(
    read: Sequence[tuple[int, Stretch]], layout: Layout, width: int, recode: NDArray[np.uint32]
) -> tuple[Counts, NDArray[np.uint32], NDArray[np.bool_] | None]:
    """(values, codes, soft marks), [slots shown, width] each; codes as if no cell listed shares."""
    slots = layout.slots
    shape = (len(slots), width)
    # As narrow as they were kept: what is copied, looked through and packed is that much less.
    values = np.zeros(shape, np.result_type(np.uint8, *[stretch.values.dtype for _, stretch in read]))
    codes = np.zeros(shape, np.uint32)
    soft: NDArray[np.bool_] | None = None
    for first, stretch in read:
        size, columns = stretch.values.shape
        rows: slice | NDArray[np.bool_] = slice(min(size, len(slots))) if layout.in_order else slots < size
        own = rows if layout.in_order else slots[rows]
        ats = slice(first, first + columns)
        values[rows, ats] = stretch.values[own]
        if stretch.codes is not None:
            codes[rows, ats] = recode[stretch.codes[own]]
        if stretch.soft is not None:
            soft = np.zeros(shape, np.bool_) if soft is None else soft
            soft[rows, ats] = stretch.soft[own]
    codes *= values > 0
    return values, codes, soft


def _one_a_slot(count: int) -> Catalogue:
    return Catalogue(tuple(Row(f"slot:{number}", b"", b"") for number in range(count)))


def _shares(
    series: Series, columns: Sequence[FrozenShares], slots: NDArray[np.int64], recode: NDArray[np.uint32]
) -> Shares:
    listed = [(at, frozen) for at, frozen in enumerate(columns) if len(frozen.slots)]
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
