"""One series of one window of traffic: counts by row and column, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model.rows import Catalogue
from keyviz_grpc.model.series import Series
from keyviz_grpc.model.shares import NO_IDENTITIES, NO_SHARES, Shares
from keyviz_grpc.traffic import Busy, Counts, Leaders


def check_columns(columns: NDArray[np.int64]) -> None:
    """Raises MalformedAnswer for stamps that no matrix has."""
    if len(columns) and (columns[0] <= 0 or np.count_nonzero(columns[1:] <= columns[:-1])):
        raise MalformedAnswer("column_unix_ms is not positive and strictly ascending")


class Details(TypedDict, total=False):
    """What a matrix says besides its counts, see `Matrix`; nothing of it where it is left out."""

    identities: NDArray[np.uint64]
    shares: Shares
    soft: NDArray[np.bool_] | None
    conflicts: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Matrix:
    """values[i, j] is the count of bucket i (of `catalogue`) in the window that ends at columns[j].

    busy: the same values and codes once more, of the rows that have traffic alone, or None where nobody has them ready.
    leaders: the same codes once more, row by row, or None.
    counts: the same values once more, as narrow as they were put together, or None.

    columns: int64[C], strictly ascending, positive. values: uint64[R, C].
    identities: uint64[I, 2] of distinct (raft_group_id, leader_term), identities[0] == (0, 0), no other row has a 0.
    codes: uint32[R, C] indexes into `identities`, or None where every cell is unknown; a cell without traffic has
    code 0. soft, conflicts: bool[R, C] or None for all false. Arrays are read-only, and nobody else writes to them.

    Raises MalformedAnswer when a shape or order law is broken.
    """

    series: Series
    columns: NDArray[np.int64]
    catalogue: Catalogue
    values: NDArray[np.uint64]
    identities: NDArray[np.uint64] = field(default_factory=lambda: NO_IDENTITIES)
    codes: NDArray[np.uint32] | None = None
    shares: Shares = NO_SHARES
    soft: NDArray[np.bool_] | None = None
    conflicts: NDArray[np.bool_] | None = None
    busy: Busy | None = None
    leaders: Leaders | None = None
    counts: Counts | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._check(values=self.values, codes=self.codes, soft=self.soft, conflicts=self.conflicts)

    @classmethod
    def of_busy(
        cls,
        series: Series,
        columns: NDArray[np.int64],
        catalogue: Catalogue,
        busy: Busy,
        **more: Unpack[Details],
    ) -> Matrix:
        """A matrix whose `values` and `codes` are spread over all rows when somebody first reads them.

        Merging reads the busy rows alone, and most nodes lead few of the rows that they hold. columns: checked by the
        caller (`check_columns`), for most are those of other matrices as well.
        """
        width = len(columns)
        for strip in busy.strips:
            if strip.values.shape != (len(strip.rows), width):
                raise MalformedAnswer(
                    f"busy rows have shape {strip.values.shape}, expected ({len(strip.rows)}, {width})"
                )
        matrix = cls._bare(series, columns, catalogue, busy=busy, **more)
        object.__setattr__(matrix, "counts", None)
        return matrix

    @classmethod
    def of_leaders(
        cls,
        series: Series,
        columns: NDArray[np.int64],
        catalogue: Catalogue,
        values: Counts,
        leaders: Leaders | None,
        **more: Unpack[Details],
    ) -> Matrix:
        """A matrix whose `codes` are spread over all cells when somebody first reads them: mostly nobody does.

        values: narrow ones are made wider when somebody first reads `values`. columns: checked by the caller, for they
        are those of other matrices.
        """
        return cls._of(series, columns, catalogue, values, leaders=leaders, **more)

    @classmethod
    def of_counts(
        cls,
        series: Series,
        columns: NDArray[np.int64],
        catalogue: Catalogue,
        counts: Counts,
        codes: NDArray[np.uint32] | None,
        **more: Unpack[Details],
    ) -> Matrix:
        """A matrix of narrow counts, which are made wider when somebody first reads `values`."""
        check_columns(columns)
        return cls._of(series, columns, catalogue, counts, codes=codes, **more)

    @classmethod
    def like(cls, matrix: Matrix) -> Self:
        """The same cells, of this very class; what was not read of the other is not read now."""
        own = object.__new__(cls)
        for name in _NAMES:
            if matrix.is_filled(name):
                object.__setattr__(own, name, getattr(matrix, name))
        return own

    @classmethod
    def _of(
        cls,
        series: Series,
        columns: NDArray[np.int64],
        catalogue: Catalogue,
        counts: Counts,
        *,
        leaders: Leaders | None = None,
        codes: NDArray[np.uint32] | None = None,
        **more: Unpack[Details],
    ) -> Matrix:
        """With all fields but those that are filled when they are read."""
        matrix, put = cls._bare(series, columns, catalogue, leaders=leaders, **more), object.__setattr__
        is_wide = counts.dtype == np.uint64
        put(matrix, "counts", None if is_wide else counts)
        if is_wide:
            put(matrix, "values", counts)
        _freeze("counts", counts, matrix.shape)
        if codes is not None:
            put(matrix, "codes", codes)
            _freeze("codes", codes, matrix.shape)
        return matrix

    @classmethod
    def _bare(
        cls,
        series: Series,
        columns: NDArray[np.int64],
        catalogue: Catalogue,
        *,
        busy: Busy | None = None,
        leaders: Leaders | None = None,
        identities: NDArray[np.uint64] = NO_IDENTITIES,
        shares: Shares = NO_SHARES,
        soft: NDArray[np.bool_] | None = None,
        conflicts: NDArray[np.bool_] | None = None,
    ) -> Matrix:
        """With all fields but counts, values and codes."""
        # One by one, for many are made: a loop over names takes thrice as long.
        matrix, put = object.__new__(cls), object.__setattr__
        put(matrix, "series", series)
        put(matrix, "columns", columns)
        put(matrix, "catalogue", catalogue)
        put(matrix, "identities", identities)
        put(matrix, "shares", shares)
        put(matrix, "soft", soft)
        put(matrix, "conflicts", conflicts)
        put(matrix, "busy", busy)
        put(matrix, "leaders", leaders)
        if soft is not None or conflicts is not None:
            matrix._check_arrays(soft=soft, conflicts=conflicts)
        columns.setflags(write=False)
        identities.setflags(write=False)
        return matrix

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Called for a slot that is not filled yet: one of the two that are left out until they are read."""
            array = None
            if name == "values":
                array = self.narrowest.astype(np.uint64, copy=False)
            elif name != "codes":
                raise AttributeError(name)
            elif (told := self.leaders or (self.busy and self.busy.runs)) is not None:
                array = told.spread(self.narrowest)
            if array is not None:
                array.setflags(write=False)
            object.__setattr__(self, name, array)
            if name == "values":
                object.__setattr__(self, "counts", array)  # one of both is enough to keep
            return array

    def _check(self, **arrays: NDArray[Any] | None) -> None:
        self._check_arrays(**arrays)
        check_columns(self.columns)
        self.columns.setflags(write=False)
        self.identities.setflags(write=False)

    def _check_arrays(self, **arrays: NDArray[Any] | None) -> None:
        for name, array in arrays.items():
            if array is not None:
                _freeze(name, array, self.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return (len(self.catalogue), len(self.columns))

    @property
    def cells(self) -> int:
        """Rows times columns."""
        return len(self.catalogue) * len(self.columns)

    @property
    def narrowest(self) -> Counts:
        """Its values, of fewer bytes each where nobody has made them wider yet."""
        if self.counts is None and self.busy is not None and not self.is_filled("values"):
            counts = self.busy.spread(self.shape)
            counts.setflags(write=False)
            object.__setattr__(self, "counts", counts)
        return self.values if self.counts is None else self.counts

    def is_filled(self, name: str) -> bool:
        """Whether a field is there without being made now."""
        # Asked of every field of what goes on with a remembered picture: `suppress` takes several times as long.
        try:
            object.__getattribute__(self, name)
        except AttributeError:
            return False
        return True

    @property
    def share_count(self) -> int:
        """How many shares are listed, or more than that where they are not put together yet."""
        return len(self.shares)

    @property
    def identity_count(self) -> int:
        """How many identities its table has; what is not put together yet may have one more a cell or share."""
        return len(self.identities)

    @property
    def busy_cells(self) -> int:
        """Those of the rows that have traffic."""
        busy = np.count_nonzero(self.narrowest.any(axis=1)) if self.busy is None else self.busy.row_count
        return int(busy) * len(self.columns)

    @property
    def merged_cells(self) -> int:
        """How many a merge looks at: of rows without traffic none, where they are told apart already."""
        if self.busy is None or self.soft is not None or self.conflicts is not None:
            return self.cells
        return self.busy_cells

    def read_once(self) -> tuple[Counts, NDArray[np.uint32] | None]:
        """Its values and codes, made anew where nobody has read them yet, and not kept by it."""
        if self.busy is None:
            return self.narrowest, self.codes
        values = self.busy.spread(self.shape)
        return values, None if self.busy.runs is None else self.busy.runs.spread(values)

    def row_leaders(self) -> Leaders | None:
        """The codes row by row, looked for now where nobody has them ready; None: every cell is unknown."""
        if self.leaders is not None or self.codes is None:
            return self.leaders
        return Leaders.found(self.narrowest, self.codes)

    @property
    def count_bytes(self) -> int:
        """Of the largest count as it was sent, 8 where nobody has it ready."""
        return 8 if self.busy is None else max((strip.values.itemsize for strip in self.busy.strips), default=0)

    def identity_arrays(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
        """(raft_group_ids, leader_terms), uint64[R, C] each, or None where unknown throughout."""
        if self.codes is None or not self.codes.any():
            return None
        return self.identities[:, 0][self.codes], self.identities[:, 1][self.codes]

    @classmethod
    def empty(cls, series: Series) -> Matrix:
        """No rows and no columns: the identity element of merging."""
        return cls(series, np.empty(0, np.int64), Catalogue(()), np.empty((0, 0), np.uint64))


def _freeze(name: str, array: NDArray[Any], shape: tuple[int, int]) -> None:
    """Makes an array of a matrix read-only; raises MalformedAnswer for one of another shape."""
    if array.shape != shape:
        raise MalformedAnswer(f"{name} has shape {array.shape}, expected {shape} (rows, columns)")
    array.setflags(write=False)


_NAMES: Final = tuple(each.name for each in fields(Matrix))
