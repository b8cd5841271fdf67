"""A matrix that goes on where an earlier one ended: some columns of that one, and behind them what was read since."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.identities import unite
from keyviz_grpc.model import Matrix, Shares
from keyviz_grpc.sampler.history import Layout

_Cell = TypeVar("_Cell", bound=np.generic)


def carried_on(
    old: Matrix, kept: slice, new: Matrix, stamps: NDArray[np.int64], places: NDArray[np.int64] | None
) -> Matrix:
    """The columns `kept` of the old matrix and all of the new one, in the new one's rows; stamps: of both.

    places: which row of the old one, that has no soft cell, each row is, -1 = one without traffic there; None: all
    stand where they stood.
    """
    first, length = kept.start, kept.stop - kept.start
    counts, codes = old.narrowest[:, kept], None if old.codes is None else old.codes[:, kept]
    shares, soft = _moved(old.shares, first, kept.stop, 0), None if old.soft is None else old.soft[:, kept]
    if places is not None:
        counts, codes = _taken(counts, places), None if codes is None else _taken(codes, places)
        shares = _in_places(shares, places, len(old.catalogue))
    # Of the two tables the new one has all that the old one has.
    identities, (recode, _) = unite([old.identities, new.identities])
    if codes is not None and recode is not None:
        codes = recode[codes]
    return Matrix.of_counts(
        old.series,
        stamps,
        new.catalogue,
        np.concatenate([counts, new.narrowest], axis=1),
        _beside(codes, new.codes, length, len(stamps)),
        identities=identities,
        shares=_joined(_recoded(shares, recode), _moved(new.shares, 0, len(stamps), length)),
        soft=_beside(soft, new.soft, length, len(stamps)),
    )


def places_of(old: Layout, new: Layout) -> NDArray[np.int64]:
    """Which row of an old matrix each row is, -1 = none; rows are one slot each."""
    top = max(int(old.slots.max(initial=-1)), int(new.slots.max(initial=-1)))
    row_of = np.full(top + 1, -1, np.int64)
    row_of[old.slots] = np.arange(len(old.slots))
    return row_of[new.slots]


def _taken(cells: NDArray[_Cell], places: NDArray[np.int64]) -> NDArray[_Cell]:
    """Those rows of cells [R, width], zeros where there is none."""
    if not len(cells):
        return np.zeros((len(places), cells.shape[1]), cells.dtype)
    taken = cells.take(places, axis=0)
    taken[places < 0] = 0
    return taken


def _in_places(shares: Shares, places: NDArray[np.int64], count: int) -> Shares:
    """Those of so many rows, of which some are others now or none."""
    if not len(shares):
        return shares
    row_of = np.full(count, -1, np.int64)
    row_of[places[places >= 0]] = np.flatnonzero(places >= 0)
    rows = row_of[shares.rows]
    there = rows >= 0
    return _sorted(rows[there], shares.columns[there], shares.codes[there], shares.values[there])


def _beside(left: NDArray[_Cell] | None, right: NDArray[_Cell] | None, at: int, width: int) -> NDArray[_Cell] | None:
    """Cells [R, width], of codes or marks: on the left up to column `at`, on the right from there on; None = none."""
    there = left if right is None else right
    if there is None:
        return None
    both = np.zeros((len(there), width), there.dtype)
    if left is not None:
        both[:, :at] = left
    if right is not None:
        both[:, at:] = right
    return both if both.any() else None


def _moved(shares: Shares, first: int, last: int, to: int) -> Shares:
    """Those of columns first to last (exclusive), which become columns from `to` on."""
    if not len(shares):
        return shares
    own = (shares.columns >= first) & (shares.columns < last)
    return Shares(shares.rows[own], shares.columns[own] - first + to, shares.codes[own], shares.values[own])


def _recoded(shares: Shares, recode: NDArray[np.uint32] | None) -> Shares:
    if recode is None or not len(shares):
        return shares
    return Shares(shares.rows, shares.columns, recode[shares.codes], shares.values)


def _joined(left: Shares, right: Shares) -> Shares:
    if not len(right) or not len(left):
        return left if len(left) else right
    rows, columns = np.concatenate([left.rows, right.rows]), np.concatenate([left.columns, right.columns])
    codes, values = np.concatenate([left.codes, right.codes]), np.concatenate([left.values, right.values])
    return _sorted(rows, columns, codes, values)


def _sorted(
    rows: NDArray[np.int64], columns: NDArray[np.int64], codes: NDArray[np.uint32], values: NDArray[np.uint64]
) -> Shares:
    order = np.lexsort((codes, columns, rows))
    return Shares(rows[order], columns[order], codes[order], values[order])
