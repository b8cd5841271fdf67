"""Whether a merge is so little work that handing it to a thread would take longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyviz_grpc.merge.columns import union_of
from keyviz_grpc.merge.rows import most_rows
from keyviz_grpc.model import ALL_KEYS, Matrix
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery

LITTLE: Final = 1 << 18
"""Cells that are merged on the event loop at most: two to three milliseconds of it."""

ANSWER_CELLS: Final = 1536
"""What an answer takes besides its cells, and each of its leaves, in cells."""

ENTRY_CELLS: Final = 16
"""What a row, a column, a share, a range of a leaf or a leaf of a set takes."""

OLDER_CELLS: Final = 48
"""What a row takes of a node without an id: it may have to be named anew, each time."""

SHARED_CELLS: Final = 1
"""What a row takes of one more node with the very same rows, where nobody asks who holds them."""

CONTESTED: Final = 7 << 14
"""Cells in rows with traffic, of writes of several answers: where all of them differ each takes forty times as long."""

IDENTITY_CELLS: Final = 4
WARNING_CELLS: Final = 512


def is_little(results: Sequence[Answer | Outcome], query: MatrixQuery) -> bool:
    """By what the answers hold and what they make together; nothing is put together for that."""
    answers = [result for result in results if isinstance(result, Answer)]
    parts = [matrix for answer in answers for matrix in answer.matrices]
    rows = most_rows(part.catalogue for part in parts)
    cells = sum(map(_cells_of, results)) + sum(map(_cells_in, parts))
    cells += _row_cells(answers, query) + ENTRY_CELLS * (rows * _passes(query, rows) + _own_columns(parts))
    if cells > LITTLE:
        return False
    # Few rows of one peer and few columns of another make many cells.
    united = rows * len(union_of([part.columns for part in parts]))
    return united <= LITTLE and _contested_cells(parts) <= CONTESTED


def _cells_of(result: Answer | Outcome) -> int:
    """What it takes besides its matrices."""
    if isinstance(result, Outcome):
        return ANSWER_CELLS + WARNING_CELLS * len(result.warnings)
    leaves = len(result.outcomes)
    # A set has each leaf once at most. Sets are not looked at one by one, for there may be millions.
    entries = len(result.leaf_ranges) + len(result.leaf_sets) * (1 + leaves)
    warnings = sum(len(outcome.warnings) for outcome in result.outcomes)
    return ENTRY_CELLS * entries + WARNING_CELLS * warnings + ANSWER_CELLS * leaves


def _cells_in(matrix: Matrix) -> int:
    return matrix.merged_cells + ENTRY_CELLS * matrix.share_count + IDENTITY_CELLS * matrix.identity_count


def _row_cells(answers: Sequence[Answer], query: MatrixQuery) -> int:
    """Of joining all rows."""
    cells, seen = 0, set[int]()
    for answer in answers:
        for catalogue in (matrix.catalogue for matrix in answer.matrices):
            if not answer.node_id:
                each = OLDER_CELLS
            else:
                each = SHARED_CELLS if id(catalogue) in seen and query.for_display else ENTRY_CELLS
                seen.add(id(catalogue))
            cells += len(catalogue) * each
    return cells


def _passes(query: MatrixQuery, rows: int) -> int:
    """How often so many joined rows are looked through once more: to be cut to a range of keys, and to be folded."""
    return (query.keys != ALL_KEYS) + (0 < query.rows < rows)


def _own_columns(parts: Sequence[Matrix]) -> int:
    """Peers that share them are put on the grid once."""
    return sum({id(part.columns): len(part.columns) for part in parts}.values())


def _contested_cells(parts: Sequence[Matrix]) -> int:
    """In how many, at most, several peers may have written under different leaders; mostly one leads a row."""
    return sum(part.busy_cells for part in parts if part.series.is_write) if len(parts) > 1 else 0
