"""Long rows as JSON: the encoder is handed a dictionary of arrays and ready texts a row, and many rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.leader_texts import LeaderTexts, of_several, told_apart
from gateway.row_texts import ShownRow
from keyviz_grpc.model import Matrix
from keyviz_grpc.traffic import true_cells, where

_IDENTITIES: Final[LeaderTexts[orjson.Fragment | None]] = LeaderTexts(orjson.Fragment, None)

ROW: Final = b'{"bucket_id":,"values":,"conflict":false},'
IDENTITY_NAMES: Final = b',"raft_group_ids":,"leader_terms":'

ROW_BYTES: Final = 1 << 10
"""What a row takes at most besides what its arrays hold: a dictionary, and one view for each array."""


class LongRows:
    """All rows of a matrix. heads: what each says before its values, head_bytes together."""

    def __init__(self, heads: Sequence[orjson.Fragment], head_bytes: int, matrix: Matrix, *, identity: bool) -> None:
        values = np.ascontiguousarray(matrix.narrowest)
        self.rows: list[ShownRow] = [
            {"bucket_id": head, "values": own, "conflict": False} for head, own in zip(heads, values, strict=True)
        ]
        self._columns = matrix.shape[1]
        self._mark_bytes = 0
        self._numbers: list[NDArray[Any]] = [values]
        self._repeated = np.empty((0, 2), np.uint64)
        # All but digits; an array of numbers has a bracket before it, and a comma or bracket after each.
        self._around = head_bytes + len(self.rows) * (len(ROW) + self._array_bytes) - bool(self.rows)
        if matrix.conflicts is not None:
            for row in self._add_marks("conflicts", matrix.conflicts):
                row["conflict"] = True
                self._around -= 1  # `true` for `false`
        if matrix.soft is not None:
            self._add_marks("soft", matrix.soft)
        if identity:
            self._add_identities(matrix)

    @property
    def size_bytes(self) -> int:
        """Of their JSON with what stands between them, without writing it."""
        return self._around + sum(map(_digits_of, self._numbers)) + self._columns * _digits_of(self._repeated)

    @property
    def held_bytes(self) -> int:
        """What they take until they are written."""
        return len(self.rows) * ROW_BYTES + sum(numbers.nbytes for numbers in self._numbers) + self._mark_bytes

    @property
    def _array_bytes(self) -> int:
        return 1 + max(1, self._columns)

    def _add_marks(self, name: str, marks: NDArray[np.bool_]) -> list[ShownRow]:
        """To the rows in which anything is marked, which it returns."""
        counts = true_cells(marks)
        numbers = where(counts > 0)
        marked = [self.rows[number] for number in numbers.tolist()]
        for row, own in zip(marked, marks.take(numbers, axis=0), strict=True):
            row[name] = own
        self._around += len(marked) * (len(f',"{name}":') + self._array_bytes) - int(counts.sum())
        self._around += len("false") * len(marked) * self._columns
        self._mark_bytes += len(marked) * self._columns
        return marked

    def _add_identities(self, matrix: Matrix) -> None:
        """Both arrays to every row that has any known identity, nothing to the others."""
        leaders = matrix.row_leaders()
        if leaders is None or not self._columns:
            return
        shown, others = told_apart(leaders)
        for row, told in zip(self.rows, _IDENTITIES.of_rows(matrix.identities, shown, self._columns), strict=True):
            if told is not None:
                row["raft_group_ids"] = told
        self._repeated = matrix.identities.take(shown[shown > 0], axis=0)
        numbers, groups, terms = of_several(matrix, leaders, others)
        for number, own_groups, own_terms in zip(numbers.tolist(), groups, terms, strict=True):
            row = self.rows[number]
            row["raft_group_ids"] = own_groups
            row["leader_terms"] = own_terms
        self._numbers += [groups, terms]
        told_rows = len(self._repeated) + len(numbers)
        self._around += told_rows * (len(IDENTITY_NAMES) + 2 * self._array_bytes)


def _digits_of(numbers: NDArray[Any]) -> int:
    """How many decimal digits numbers[N, C] have together."""
    most, bound, digits = numbers.max(axis=1, initial=0), 10, numbers.size
    while len(rows := where(most >= bound)):
        if 2 * len(rows) < len(numbers):
            # Large numbers stand in few rows.
            numbers, most = numbers.take(rows, axis=0), most.take(rows)
        digits += int(np.count_nonzero(numbers >= bound))
        bound *= 10
    return digits
