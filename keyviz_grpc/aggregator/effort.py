"""Whether a merge is so little work that handing it to a thread would take longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyviz_grpc.merge.columns import union_of
from keyviz_grpc.model import Matrix
from keyviz_grpc.outcome import Answer, Outcome

LITTLE: Final = 1 << 18
"""Cells that are merged on the event loop at most: two to three milliseconds of it."""

ANSWER_CELLS: Final = 4096
"""What an answer takes besides its cells, and each of its leaves, in cells."""

ENTRY_CELLS: Final = 16
"""What a row, a column, a share, a range of a leaf or a leaf of a set takes."""

CONTESTED: Final = 7 << 14
"""Cells in rows with traffic, of writes of several answers: where all of them differ each takes forty times as long."""

IDENTITY_CELLS: Final = 4
WARNING_CELLS: Final = 512


def is_little(results: Sequence[Answer | Outcome]) -> bool:
    """By what the answers hold and what they make together; nothing is put together for that."""
    if sum(_cells_of(result) for result in results) > LITTLE:
        return False
    parts = [matrix for result in results if isinstance(result, Answer) for matrix in result.matrices]
    return _united_cells(parts) <= LITTLE and _contested_cells(parts) <= CONTESTED


def _cells_of(result: Answer | Outcome) -> int:
    if isinstance(result, Outcome):
        return ANSWER_CELLS + WARNING_CELLS * len(result.warnings)
    leaves = len(result.outcomes)
    # A set has each leaf once at most. Sets are not looked at one by one, for there may be millions.
    entries = len(result.leaf_ranges) + len(result.leaf_sets) * (1 + leaves)
    warnings = sum(len(outcome.warnings) for outcome in result.outcomes)
    listed = ENTRY_CELLS * entries + WARNING_CELLS * warnings + ANSWER_CELLS * leaves
    return listed + sum(map(_cells_in, result.matrices))


def _cells_in(matrix: Matrix) -> int:
    entries = sum(matrix.shape) + matrix.share_count
    return matrix.cells + ENTRY_CELLS * entries + IDENTITY_CELLS * matrix.identity_count


def _united_cells(parts: Sequence[Matrix]) -> int:
    """Of the picture, at most: few rows of one peer and few columns of another make many cells."""
    catalogues = {id(part.catalogue): part.catalogue for part in parts}
    return sum(map(len, catalogues.values())) * len(union_of([part.columns for part in parts]))


def _contested_cells(parts: Sequence[Matrix]) -> int:
    """In how many, at most, several peers may have written under different leaders; mostly one leads a row."""
    return sum(part.busy_cells for part in parts if part.series.is_write) if len(parts) > 1 else 0
