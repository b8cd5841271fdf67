"""Whether a merge is so little work that handing it to a thread would take longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyviz_grpc.merge.columns import union_of
from keyviz_grpc.merge.rows import rows_if_known
from keyviz_grpc.model import Matrix
from keyviz_grpc.outcome import Answer, Outcome

LITTLE: Final = 1 << 18
"""Cells that are merged on the event loop at most: two to three milliseconds of it."""

ANSWER_CELLS: Final = 1536
"""What an answer takes besides its cells, and each of its leaves, in cells."""

ENTRY_CELLS: Final = 16
"""What a row, a column, a share, a range of a leaf or a leaf of a set takes."""

JOINED_CELLS: Final = 1
"""What a row takes whose place in the picture is known, where nobody asks who holds it."""

CONTESTED: Final = 7 << 14
"""Cells in rows with traffic, of writes of several answers: where all of them differ each takes forty times as long."""

IDENTITY_CELLS: Final = 4
WARNING_CELLS: Final = 512


def is_little(results: Sequence[Answer | Outcome], *, for_display: bool) -> bool:
    """By what the answers hold and what they make together; nothing is put together for that.

    for_display: nobody is told which leaf holds which row.
    """
    parts = [matrix for result in results if isinstance(result, Answer) for matrix in result.matrices]
    rows = rows_if_known([part.catalogue for part in parts])
    row_cells = JOINED_CELLS if rows is not None and for_display else ENTRY_CELLS
    stamps = {id(part.columns): len(part.columns) for part in parts}  # peers that share them are aligned once
    cells = sum(map(_cells_of, results)) + sum(_cells_in(part, row_cells) for part in parts)
    if cells + ENTRY_CELLS * sum(stamps.values()) > LITTLE:
        return False
    return _united_cells(parts, rows) <= LITTLE and _contested_cells(parts) <= CONTESTED


def _cells_of(result: Answer | Outcome) -> int:
    """What it takes besides its matrices."""
    if isinstance(result, Outcome):
        return ANSWER_CELLS + WARNING_CELLS * len(result.warnings)
    leaves = len(result.outcomes)
    # A set has each leaf once at most. Sets are not looked at one by one, for there may be millions.
    entries = len(result.leaf_ranges) + len(result.leaf_sets) * (1 + leaves)
    warnings = sum(len(outcome.warnings) for outcome in result.outcomes)
    return ENTRY_CELLS * entries + WARNING_CELLS * warnings + ANSWER_CELLS * leaves


def _cells_in(matrix: Matrix, row_cells: int) -> int:
    entries = ENTRY_CELLS * matrix.share_count + IDENTITY_CELLS * matrix.identity_count
    return matrix.merged_cells + row_cells * matrix.shape[0] + entries


def _united_cells(parts: Sequence[Matrix], rows: int | None) -> int:
    """Of the picture, at most: few rows of one peer and few columns of another make many cells. rows: if known."""
    if rows is None:
        rows = sum(map(len, {id(part.catalogue): part.catalogue for part in parts}.values()))
    return rows * len(union_of([part.columns for part in parts]))


def _contested_cells(parts: Sequence[Matrix]) -> int:
    """In how many, at most, several peers may have written under different leaders; mostly one leads a row."""
    return sum(part.busy_cells for part in parts if part.series.is_write) if len(parts) > 1 else 0
