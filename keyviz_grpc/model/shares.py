"""Under which leaders traffic was counted, where a cell has several."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.unchanging import unchanging

UNKNOWN: Final = (0, 0)
"""The identity (raft_group_id, leader_term) of traffic whose leader is not known; either number 0 means this."""


@unchanging(frozen=True, slots=True, eq=False)
class Shares:
    """Parts of cells, S of them, sorted by (row, column, group, term), no two of one cell with one identity.

    rows, columns: int64[S] indexes into the matrix; codes: uint32[S] indexes into its `identities` (0 = unknown);
    values: uint64[S], all positive. A cell either lists all its shares here or none (then it has one: its value
    under its identity). On a leaf's matrix the shares of a listed cell sum to its value; on a merged one they may not.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    codes: NDArray[np.uint32]
    values: NDArray[np.uint64]

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.columns) == len(self.codes) == len(self.values):
            raise MalformedAnswer("shares: rows, columns, codes and values differ in length")
        for array in (self.rows, self.columns, self.codes, self.values):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls) -> Shares:
        """No cell lists its shares."""
        return NO_SHARES


NO_SHARES: Final = Shares(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint32), np.empty(0, np.uint64))

NO_IDENTITIES: Final[NDArray[np.uint64]] = np.zeros((1, 2), np.uint64)
NO_IDENTITIES.setflags(write=False)
