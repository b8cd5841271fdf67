"""Whether a merge is so little work that handing it to a thread would take longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyviz_grpc.outcome import Answer, Outcome

LITTLE: Final = 1 << 18
"""Cells that are merged on the event loop at most: two to three milliseconds of it."""

ANSWER_CELLS: Final = 4096
"""What an answer takes besides its cells, and each of its leaves, in cells."""

ENTRY_CELLS: Final = 16
"""What a row, a share or a range of a leaf takes."""


def is_little(results: Sequence[Answer | Outcome]) -> bool:
    """By what the answers hold; nothing is put together for that."""
    return sum(_cells_of(result) for result in results) <= LITTLE


def _cells_of(result: Answer | Outcome) -> int:
    if isinstance(result, Outcome):
        return ANSWER_CELLS
    listed = sum(len(matrix.catalogue) + matrix.share_count for matrix in result.matrices)
    entries = listed + len(result.leaf_ranges)
    cells = sum(matrix.cells for matrix in result.matrices)
    return cells + ENTRY_CELLS * entries + ANSWER_CELLS * len(result.outcomes)
