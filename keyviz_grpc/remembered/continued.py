"""A matrix that begins with columns of an earlier one, and says so to whoever made something of those columns."""

from __future__ import annotations

import weakref
from typing import cast

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Matrix
from keyviz_grpc.remembered.room import Place
from keyviz_grpc.traffic import Leaders


class Continued(Matrix):
    """Its first columns are those of a slice of an earlier matrix: equal cells in every row, in order.

    The earlier matrix is not kept alive. A changed copy of this does not say it.
    """

    __slots__ = ("_begins_with", "_place")

    _begins_with: tuple[weakref.ref[Matrix], slice]
    _place: Place

    @property
    def begins_with(self) -> tuple[weakref.ref[Matrix], slice] | None:
        """(the earlier matrix, which of its columns), None on a changed copy."""
        return getattr(self, "_begins_with", None)

    @property
    def place(self) -> Place | None:
        """Where its cells are and more may come behind them, None where there is no room."""
        return getattr(self, "_place", None)

    @classmethod
    def of(cls, matrix: Matrix, before: Matrix, part: slice) -> Continued:
        """`matrix`, of which the caller knows that it begins with `part` of the columns of `before`."""
        own = cls.like(matrix)
        object.__setattr__(own, "_begins_with", (weakref.ref(before), part))
        return own

    @classmethod
    def at(
        cls,
        place: Place,
        before: Matrix,
        part: slice,
        *,
        columns: NDArray[np.int64],
        identities: NDArray[np.uint64],
        leaders: Leaders | None,
    ) -> Continued:
        """The matrix of what is at that place, which begins with `part` of the columns of `before`.

        columns: the stamps of all.
        """
        told = leaders if leaders is not None and leaders.any else None
        made = cls.of_leaders(
            before.series,
            columns,
            before.catalogue,
            place.values,
            told,
            identities=identities,
            soft=place.soft,
            conflicts=place.conflicts,
        )
        own = cast("Continued", made)  # as every constructor of a matrix it makes one of the very class
        object.__setattr__(own, "_begins_with", (weakref.ref(before), part))
        object.__setattr__(own, "_place", place)
        return own


def continues(matrix: Matrix, earlier: Matrix) -> slice | None:
    """Which columns of `earlier` the cells of `matrix` begin with, None where that is not known."""
    if not isinstance(matrix, Continued) or matrix.begins_with is None:
        return None
    before, part = matrix.begins_with
    return part if before() is earlier else None
