"""The union of all parts' writes: values and leaders so far, and which cells need a closer look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.mixed import Mixed
from keyviz_grpc.traffic import Counts, Leaders, RowCodes, is_any, rows_and_columns

Numbers: TypeAlias = NDArray[np.int64]

Region: TypeAlias = "tuple[Numbers | slice, Numbers | slice]"
"""Rows and columns of the union."""


@dataclass(slots=True, eq=False)
class Union:
    """values: Counts[R, C], the largest of what any part says of a cell, in as few bytes as hold them all.

    codes: a row under one leader has one code for all of its traffic; the others are mixed. whole: bool[R], whether
    some part has traffic in every column of the row. differing: bool[R, C], where parts say different counts of a cell,
    None for nowhere; of tangled cells it says nothing yet. tangled: the numbers, ascending, of the cells that are left
    to the sparse pass. mixed: what was told there, where all of them were looked at already.
    """

    values: Counts
    codes: RowCodes
    whole: NDArray[np.bool_]
    differing: NDArray[np.bool_] | None
    tangled: Numbers
    mixed: Mixed | None = None

    def decide(
        self, cells: Numbers, values: NDArray[np.uint64], codes: NDArray[np.uint32], conflicts: NDArray[np.bool_]
    ) -> None:
        """What the sparse pass found of tangled cells."""
        # `max`, `any` and `all` go through Python, which takes five times as long.
        if int(values[values.argmax()]) >> 8 * self.values.itemsize:
            self.values = self.values.astype(np.uint64)
        self.values.ravel()[cells] = values.astype(self.values.dtype)
        if self.differing is None:
            self.differing = np.zeros(self.values.shape, np.bool_)
        # Whole cells differ where their shares may not.
        self.differing.ravel()[cells] = conflicts
        if self.mixed is not None:
            self.codes.codes.ravel()[self.mixed.places] = codes
            return
        rows, columns = rows_and_columns(cells, self.values.shape[1])
        # In a row that is not mixed all parts say the same, so that its leader is not to be decided.
        several, places = self.codes.mixed(rows)
        self.codes.codes[places, columns[several]] = codes[several]

    def leaders(self) -> Leaders | None:
        """Of all rows; None where every cell is unknown."""
        leaders = Leaders(self.codes.of, self.codes.codes, self.whole)
        return leaders if leaders.any else None

    def conflicts(self, more: Sequence[tuple[Region, NDArray[np.bool_]]]) -> NDArray[np.bool_] | None:
        """bool[R, C], with what parts say themselves; None where there is none."""
        united = self.differing
        for region, marks in more:
            united = np.zeros(self.values.shape, np.bool_) if united is None else united
            united[region] |= marks
        return united if united is not None and is_any(united) else None
