"""One closed window, kept small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Series
from keyviz_grpc.traffic import begins, where

SERIES: Final = (Series.READS, Series.READ_BYTES, Series.WRITES, Series.WRITE_BYTES)


@dataclass(frozen=True, slots=True, eq=False)
class FrozenShares:
    """Write counts of S (slot, identity) pairs, for slots that were counted under more than one identity.

    slots: int64[S] ascending; codes: uint32[S]; writes, write_bytes: uint64[S].
    """

    slots: NDArray[np.int64]
    codes: NDArray[np.uint32]
    writes: NDArray[np.uint64]
    write_bytes: NDArray[np.uint64]


NO_FROZEN: Final = FrozenShares(
    np.empty(0, np.int64), np.empty(0, np.uint32), np.empty(0, np.uint64), np.empty(0, np.uint64)
)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Counts by slot in one window: counts[series][slot], unsigned integers as narrow as the column allows.

    Arrays are as long as there were slots when the window closed; a slot beyond has no traffic. codes[slot]: identity
    of the writes of slots that are not in `frozen`, which lists every share of those that are. soft[series][slot]
    marks estimates, None where everything is exact.
    """

    counts: dict[Series, NDArray[np.unsignedinteger]]
    codes: NDArray[np.unsignedinteger]
    frozen: FrozenShares
    soft: dict[Series, NDArray[np.bool_]] | None = None


def narrow(values: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """A copy in the narrowest of uint8, 16, 32, 64 that holds every value."""
    top = int(values.max()) if len(values) else 0
    return values.astype(np.min_scalar_type(top))


def added(old: Column, new: Column) -> Column:
    """Both columns of one window together, share by share."""
    size = max(len(old.codes), len(new.codes))
    counts: dict[Series, NDArray[np.unsignedinteger]] = {
        series: narrow(_wide(old.counts[series], size) + _wide(new.counts[series], size)) for series in SERIES
    }
    lists = [_all_shares(column) for column in (old, new)]
    slots = np.concatenate([shares.slots for shares in lists])
    codes = np.concatenate([shares.codes for shares in lists])
    order = np.lexsort((codes, slots))
    slots, codes = slots[order], codes[order]
    writes = np.concatenate([shares.writes for shares in lists])[order]
    write_bytes = np.concatenate([shares.write_bytes for shares in lists])[order]
    shown, frozen = settle(slots, codes, writes, write_bytes, size=size)
    return Column(counts, narrow(shown), frozen, _either(old.soft, new.soft, size))


def settle(
    slots: NDArray[np.int64],
    codes: NDArray[np.uint32],
    writes: NDArray[np.uint64],
    write_bytes: NDArray[np.uint64],
    *,
    size: int,
) -> tuple[NDArray[np.uint32], FrozenShares]:
    """(codes by slot, the shares of slots with several identities) from shares sorted by slot, then code."""
    shown = np.zeros(size, np.uint32)
    if len(slots) == 0:
        return shown, NO_FROZEN
    starts = where(begins(slots, codes))
    slots, codes = slots[starts], codes[starts]
    writes, write_bytes = np.add.reduceat(writes, starts), np.add.reduceat(write_bytes, starts)
    many = np.bincount(slots, minlength=size)[slots] > 1
    shown[slots[~many]] = codes[~many]
    return shown, FrozenShares(slots[many], codes[many], writes[many], write_bytes[many])


def _all_shares(column: Column) -> FrozenShares:
    writes = column.counts[Series.WRITES].astype(np.uint64)
    write_bytes = column.counts[Series.WRITE_BYTES].astype(np.uint64)
    plain = writes > 0
    plain[column.frozen.slots] = False
    slots = np.flatnonzero(plain)
    return FrozenShares(
        np.concatenate([slots, column.frozen.slots]),
        np.concatenate([column.codes[slots], column.frozen.codes]),
        np.concatenate([writes[slots], column.frozen.writes]),
        np.concatenate([write_bytes[slots], column.frozen.write_bytes]),
    )


def _wide(values: NDArray[np.unsignedinteger], size: int) -> NDArray[np.uint64]:
    wide = np.zeros(size, np.uint64)
    wide[: len(values)] = values
    return wide


def _either(
    old: dict[Series, NDArray[np.bool_]] | None, new: dict[Series, NDArray[np.bool_]] | None, size: int
) -> dict[Series, NDArray[np.bool_]] | None:
    if old is None and new is None:
        return None
    united = {series: np.zeros(size, np.bool_) for series in SERIES}
    for marks in (old, new):
        for series in SERIES if marks is not None else ():
            united[series][: len(marks[series])] |= marks[series]  # type: ignore[index]
    return united
