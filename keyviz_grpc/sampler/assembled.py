"""Matrices that were made before: found again, or carried on by the columns that closed since."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.identities import unite
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.sampler.carried import carried_on, places_of
from keyviz_grpc.sampler.column import Column
from keyviz_grpc.sampler.history import Columns, Layout, ShownRows
from keyviz_grpc.sampler.picture import matrix_of
from keyviz_grpc.sampler.ring import Held

KEPT_MATRICES: Final = 8
KEPT_BYTES: Final = 32 << 20
"""So many, four series with roles and without, and so large together: one day of 1024 rows is 18 MB.

What is the same cells in rows with roles and without counts once.
"""

COUNT_BYTES: Final = 8
SHARE_BYTES: Final = 28

MADE_AT_ONCE_CELLS: Final = 1 << 16
MADE_AT_ONCE_COLUMNS: Final = 4
MADE_AT_ONCE_SHARES: Final = 1 << 10
MADE_AT_ONCE_IDENTITIES: Final = 1 << 12
"""What a matrix may have, what may be read for it, and what may be listed, while an event loop waits for it."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What cells depend on apart from series and columns.

    layout: which slots are which row; rewrites: how often columns that were told before were altered, see `Ring`.
    identities: uint64[I, 2] by the codes that columns use, see `Identities`.
    """

    layout: Layout
    rewrites: int
    identities: NDArray[np.uint64]

    def same_as(self, other: State) -> bool:
        """Whether one column gives the same under both."""
        is_same = self.identities is other.identities and self.layout is other.layout
        return is_same and self.rewrites == other.rewrites

    def goes_on_in(self, later: State, *, exact: bool) -> bool:
        """The same by identities and not by their codes: a later table may have more of them behind.

        And in other rows, if each is one slot: where all is exact, one that was not shown had no traffic.
        """
        known, told = self.identities, later.identities
        rows_stay = self.layout is later.layout or (exact and self.layout.single and later.layout.single)
        goes_on = rows_stay and self.rewrites == later.rewrites
        return goes_on and (known is told or np.array_equal(known, told[: len(known)]))


class Earlier(NamedTuple):
    """A matrix, and the state that it was made in."""

    state: State
    matrix: Matrix


class Assembled:
    """The last few matrices, each with the state that it was made in; safe to use from several threads.

    Closed columns do not change, so what a poll has in common with the one before is copied, and only the rest read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Earlier] = []
        # Of no columns: the same object each time, for what is made of one is found by that.
        self._empty: list[Matrix] = []

    def matrix(self, series: Series, held: Columns, state: State, rows: Catalogue) -> Matrix:
        """The matrix of these columns. rows: one for each of the layout."""
        stamps = _stamps(held)
        before = self._before(series)
        there = _of_columns(before, stamps, state)
        if there:
            return self._in_rows(there, state, rows)
        return self._made(series, stamps, held, state, rows=rows, old=_earlier(before, stamps, held, state))

    def at_once(self, series: Series, held: Columns, state: State, rows: Catalogue) -> Matrix | None:
        """What `matrix` gives, where it is there or little has to be done for it: a few columns are read, if any."""
        if not held:
            return self._of_no_columns(series, rows)
        stamps = _stamps(held)
        before = self._before(series)
        there = _of_columns(before, stamps, state)
        if there:
            return self._in_rows(there, state, rows)
        if not _is_small(held, state):
            return None
        old = _earlier(before, stamps, held, state)
        new = held if old is None else held[_common(old.matrix.columns, stamps) :]
        return self._made(series, stamps, held, state, rows=rows, old=old) if _is_little(new, old) else None

    def _of_no_columns(self, series: Series, rows: Catalogue) -> Matrix:
        for known in self._empty:
            if known.series is series and known.catalogue is rows:
                return known
        matrix = Matrix(series, np.empty(0, np.int64), rows, np.empty((len(rows), 0), np.uint64))
        self._empty = [*self._empty[1 - KEPT_MATRICES :], matrix]
        return matrix

    def _in_rows(self, there: Sequence[Matrix], state: State, rows: Catalogue) -> Matrix:
        """Those cells in these rows: the same object each time, as of no columns."""
        for matrix in there:
            if matrix.catalogue is rows:
                return matrix
        matrix = _with_rows(there[-1], rows)
        self._keep(state, matrix)
        return matrix

    def _made(
        self,
        series: Series,
        stamps: NDArray[np.int64],
        held: Columns,
        state: State,
        *,
        rows: Catalogue,
        old: Earlier | None,
    ) -> Matrix:
        made = _read(series, held, state, rows) if old is None else _carried_on(old, stamps, held, state, rows)
        self._keep(state, made)
        return made

    def _before(self, series: Series) -> list[Earlier]:
        with self._lock:
            return [each for each in self._kept if each.matrix.series is series]

    def clear(self) -> None:
        """Forgets them all."""
        with self._lock:
            self._kept.clear()
            self._empty.clear()

    def _keep(self, state: State, matrix: Matrix) -> None:
        with self._lock:
            kept = [*self._kept[1 - KEPT_MATRICES :], Earlier(state, matrix)]
            while kept and _size_bytes([each.matrix for each in kept]) > KEPT_BYTES:
                del kept[0]
            self._kept = kept


def _size_bytes(matrices: Sequence[Matrix]) -> int:
    """With wide counts, for narrow ones become that when somebody reads them so."""
    sizes: dict[int, int] = {}
    for matrix in matrices:
        sizes[id(matrix.narrowest)] = COUNT_BYTES * matrix.cells
        sizes[id(matrix.shares)] = SHARE_BYTES * len(matrix.shares)
        sizes |= {id(array): array.nbytes for array in (matrix.codes, matrix.soft) if array is not None}
    return sum(sizes.values())


def _stamps(held: Columns) -> NDArray[np.int64]:
    return np.array([stamp for stamp, _ in held], np.int64)


def _of_columns(before: list[Earlier], stamps: NDArray[np.int64], state: State) -> list[Matrix]:
    """Those of these very columns; all have the same cells."""
    return [each.matrix for each in before if each.state.same_as(state) and _are_equal(each.matrix.columns, stamps)]


def _are_equal(left: NDArray[np.int64], right: NDArray[np.int64]) -> bool:
    """As `np.array_equal`, which takes some ten times as long where both are short."""
    return left.tobytes() == right.tobytes()


def _earlier(before: list[Earlier], stamps: NDArray[np.int64], held: Columns, state: State) -> Earlier | None:
    """The newest one that goes on in these columns, of the same rows if there is one."""
    exact = all(_is_exact(column) for _, column in held[:1])  # as all columns of a sampler
    for rows_stay in (True, False):
        for each in reversed(before):
            is_asked = (each.state.layout is state.layout) is rows_stay
            if is_asked and each.state.goes_on_in(state, exact=exact) and _common(each.matrix.columns, stamps):
                return each
    return None


def _is_exact(held: Held) -> bool:
    return (held.soft if isinstance(held, Column) else held.block.soft) is None


def _is_small(held: Columns, state: State) -> bool:
    """Whether a matrix of these columns has few cells, under few leaders, and no row that is several slots."""
    slots = len(state.layout.slots)
    is_small = len(held) * slots <= MADE_AT_ONCE_CELLS and len(state.identities) <= MADE_AT_ONCE_IDENTITIES
    return is_small and state.layout.single


def _is_little(new: Columns, old: Earlier | None) -> bool:
    """Whether reading these columns, and carrying shares on, takes a fraction of a millisecond."""
    loose = [held for _, held in new if isinstance(held, Column)]
    if not len(loose) == len(new) <= MADE_AT_ONCE_COLUMNS:
        return False
    shares = sum(len(column.frozen.codes) for column in loose) + (0 if old is None else len(old.matrix.shares))
    return shares <= MADE_AT_ONCE_SHARES


def _read(series: Series, held: Columns, state: State, rows: Catalogue) -> Matrix:
    identities, (recode,) = unite([state.identities])
    if recode is None:
        recode = np.arange(len(state.identities), dtype=np.uint32)
    shown = ShownRows(state.layout, rows)
    return matrix_of(series, held, shown=shown, identities=identities, recode=recode)


def _with_rows(matrix: Matrix, rows: Catalogue) -> Matrix:
    """The very same cells."""
    return Matrix.of_counts(
        matrix.series,
        matrix.columns,
        rows,
        matrix.narrowest,
        matrix.codes,
        identities=matrix.identities,
        shares=matrix.shares,
        soft=matrix.soft,
    )


def _common(old: NDArray[np.int64], stamps: NDArray[np.int64]) -> int:
    """How many of the first stamps are a run of the old ones; 0 where they are too few to be worth it."""
    if len(stamps) == 0 or len(old) == 0:
        return 0
    first = int(old.searchsorted(stamps[0]))
    length = min(len(old) - first, len(stamps))
    if length * 2 < len(stamps) or not _are_equal(old[first : first + length], stamps[:length]):
        return 0
    return length


def _carried_on(before: Earlier, stamps: NDArray[np.int64], held: Columns, state: State, rows: Catalogue) -> Matrix:
    old, was, now = before.matrix, before.state.layout, state.layout
    length = _common(old.columns, stamps)
    first = int(old.columns.searchsorted(stamps[0]))
    new = _read(old.series, held[length:], state, rows)
    places = None if was is now else places_of(was, now)
    return carried_on(old, slice(first, first + length), new, stamps, places)
