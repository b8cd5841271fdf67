"""The bound on what all answers become together: few rows of one peer and few columns of another make many cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.bytes_budget import HELD_CELL_BYTES, MERGED_CELL_BYTES, BytesBudget, InUse
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge.columns import union_of
from keyviz_grpc.merge.rows import most_rows
from keyviz_grpc.model import Matrix
from keyviz_grpc.outcome import Answer, Outcome, as_failures


class Holdings:
    """What the answers of one request hold, by peer, and the picture that is to be made of them.

    The picture has at least the cells of the largest answer: room for those is kept free from the start, so that
    answers that fit alone are not all refused in the end.
    """

    def __init__(self, budget: BytesBudget) -> None:
        self._budget = budget
        self._parts: dict[str, BytesBudget] = {}
        self._cells = 0

    def part(self) -> BytesBudget:
        """For one answer."""
        return self._budget.part()

    def kept(self, address: str, part: BytesBudget, result: Answer | Outcome) -> Answer | Outcome:
        """The result as it counts from now on, in place of what the same peer may have said before."""
        if isinstance(result, Answer) and not result.leaf_answers and not self.has_room(result.matrix.cells):
            kind, detail = self.refusal(result.matrix.cells)
            known = Outcome(address) if result.merged else result.outcomes[0]
            result = replace(known, address=address, kind=kind, detail=detail)
        if isinstance(result, Outcome):
            part.give_back()
        elif (before := self._parts.get(address)) is not None:
            before.give_back()
        if isinstance(result, Answer):
            self._parts[address] = part
        return result

    def paid(self, address: str, result: Answer | Outcome) -> Answer | Outcome:
        """As `kept`, of an answer that came over no wire, so that nobody has paid for it yet."""
        part = self.part()
        if isinstance(result, Answer):
            cells = result.cells
            if not part.take(cells * HELD_CELL_BYTES):
                kind, detail = _refused(part, f"its {cells} cells are more than memory is left for")
                result = replace(result.outcomes[0], address=address, kind=kind, detail=detail)
        return self.kept(address, part, result)

    def has_room(self, cells: int) -> bool:
        """Whether a picture of so many cells can be made; if so that is taken."""
        if cells > self._cells:
            if not self._budget.take((cells - self._cells) * MERGED_CELL_BYTES):
                return False
            self._cells = cells
        return True

    def refusal(self, cells: int) -> tuple[FailureKind, str]:
        """In which words a picture of so many cells is refused, after `has_room` did."""
        together = f"its rows and columns with those of the peers before it make {cells} cells"
        return _refused(self._budget, f"{together}, more than memory is left for")

    def settle(self, cells: int) -> None:
        """The picture is made and has so many cells: what was kept for more goes back."""
        if cells < self._cells:
            self._budget.put_back((self._cells - cells) * MERGED_CELL_BYTES)
            self._cells = cells

    def in_use(self) -> InUse:
        """For the thread that merges: see `BytesBudget`."""
        return self._budget.in_use()


def _refused(budget: BytesBudget, detail: str) -> tuple[FailureKind, str]:
    kind, advice = budget.refusal
    why = " while other requests hold it" if kind is FailureKind.OVERLOADED else ""
    return kind, f"{detail}{why}: {advice}"


def held_bytes(answer: Answer) -> int:
    """What an answer takes that is merged already, or that carries its leaves as they are."""
    leaves = sum(leaf.matrix.cells for _, leaf in answer.leaf_answers)
    return answer.matrix.cells * MERGED_CELL_BYTES + leaves * HELD_CELL_BYTES


def within(results: Sequence[Answer | Outcome], holdings: Holdings) -> list[Answer | Outcome]:
    """The results, those aside that would make more of the merged picture than there is room for.

    A result is counted with those before it, in configured order: rows and columns of all of them, before alignment.
    One that does not fit any more becomes failures, `message_too_large` or `overloaded`, and later ones may still fit.
    """
    answers = [result for result in results if isinstance(result, Answer)]
    parts = [matrix for answer in answers for matrix in answer.matrices]
    # Rows counted twice make no difference as long as they fit all the same; names are looked at only where not.
    every = union_of([part.columns for part in parts])
    if holdings.has_room(most_rows(part.catalogue for part in parts) * len(every) + _widened_cells(parts, every)):
        return list(results)
    rows: set[str] = set()
    columns = np.empty(0, np.int64)
    taken: list[Matrix] = []
    kept: list[Answer | Outcome] = []
    for result in results:
        if isinstance(result, Outcome):
            kept.append(result)
            continue
        own = result.matrices
        more_rows = rows.union(*(part.catalogue.index for part in own))
        more_columns = union_of([columns, *(part.columns for part in own)])
        cells = len(more_rows) * len(more_columns) + _widened_cells([*taken, *own], more_columns)
        if holdings.has_room(cells):
            rows, columns = more_rows, more_columns
            taken += own
            kept.append(result)
        else:
            kept.extend(as_failures(result.outcomes, *holdings.refusal(cells)))
    return kept


def _widened_cells(parts: Sequence[Matrix], union: NDArray[np.int64]) -> int:
    """What rows take that are made as wide as the union to be compared, as cells of the picture.

    Only those of writes are, where they have traffic and lack columns that others have: many parts of a column each
    may come in few bytes, and make each other wide.
    """
    lacking = [part for part in parts if part.series.is_write and len(part.columns) not in (0, len(union))]
    # Each count, and whether it is one.
    column_bytes = sum(part.busy_cells // len(part.columns) * (1 + part.count_bytes) for part in lacking)
    return column_bytes * len(union) // MERGED_CELL_BYTES
