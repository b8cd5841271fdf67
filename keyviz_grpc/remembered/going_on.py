"""The merged picture of the columns before, and of those that came since."""

from __future__ import annotations

import numpy as np

from keyviz_grpc.model import Matrix
from keyviz_grpc.remembered.continued import Continued
from keyviz_grpc.remembered.joining import joined, united
from keyviz_grpc.remembered.leading import lead_on
from keyviz_grpc.remembered.room import Place


def goes_on(before: Matrix, old: slice, after: Matrix, new: slice) -> Continued:
    """The columns `old` of one matrix, then the columns `new` of a later one over the same rows, cell by cell.

    New cells alone are written, behind those of the matrix before, where there is room; else some is made, but not
    while a node is late.
    """
    if (longer := extended(before, old, after, new)) is not None:
        return longer
    whole = joined(before.series, before.catalogue, [(before, old), (after, new)])
    # Where a node is late the last columns are replaced again soon: room behind them would be made in vain.
    even = old.stop == len(before.columns) and new.start == 0
    if not even or not _has_leaders(whole):
        return Continued.of(whole, before, old)
    return Continued.at(
        Place.around(whole),
        before,
        old,
        columns=whole.columns,
        identities=whole.identities,
        leaders=whole.leaders,
    )


def extended(before: Matrix, old: slice, after: Matrix, new: slice) -> Continued | None:
    """The same, where nothing but new cells has to be written; else None."""
    place = before.place if isinstance(before, Continued) else None
    if place is None or old.stop != len(before.columns) or new != slice(0, len(after.columns)):
        return None
    if not (_has_leaders(before) and _has_leaders(after)):
        return None
    more = place.extended(old.start, after)
    if more is None:
        return None
    identities, (first, second) = united([before.identities, after.identities])
    columns = np.concatenate([before.columns[old], after.columns])
    leaders = lead_on(before, old.start, after, (first, second))
    return Continued.at(more, before, old, columns=columns, identities=identities, leaders=leaders)


def has_room(matrix: Matrix, columns: int) -> bool:
    """Whether so many more can be written behind those of a matrix."""
    place = matrix.place if isinstance(matrix, Continued) else None
    return place is not None and place.has_room(columns)


def _has_leaders(matrix: Matrix) -> bool:
    """Whether they are all that there is to be known of identities: no shares, and no codes without them."""
    return not len(matrix.shares) and (matrix.leaders is not None or matrix.codes is None)
