"""Whether a merge is so little work that handing it to a thread would take longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyviz_grpc.merge.columns import union_of
from keyviz_grpc.merge.rows import Joined, joined_before, most_rows
from keyviz_grpc.model import ALL_KEYS, Catalogue, Matrix
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

JOINED_CELLS: Final = 4
"""What a row takes where the union is known and nobody asks that."""

CONTESTED: Final = 7 << 14
"""Cells in rows with traffic, of writes of several answers: where all of them differ each takes forty times as long."""

IDENTITY_CELLS: Final = 4
WARNING_CELLS: Final = 512
"""What a warning takes, or a row that gives one because its range is another."""


def is_little(results: Sequence[Answer | Outcome], query: MatrixQuery) -> bool:
    """By what the answers hold and what they make together; nothing is put together for that."""
    cells = merged = 0
    parts: list[Matrix] = []
    catalogues: list[Catalogue] = []
    older_rows = 0
    for result in results:
        outcomes = (result,) if isinstance(result, Outcome) else result.outcomes
        cells += ANSWER_CELLS * len(outcomes)
        for outcome in outcomes:
            if outcome.warnings:
                cells += WARNING_CELLS * len(outcome.warnings)
        if isinstance(result, Outcome):
            continue
        # A set has each leaf once at most. Sets are not looked at one by one, for there may be millions.
        cells += ENTRY_CELLS * (len(result.leaf_ranges) + len(result.leaf_sets) * (1 + len(outcomes)))
        for matrix in result.matrices:
            parts.append(matrix)
            merged += matrix.merged_cells
            cells += ENTRY_CELLS * matrix.share_count + IDENTITY_CELLS * matrix.identity_count
            if result.node_id:
                catalogues.append(matrix.catalogue)
            else:
                older_rows += len(matrix.catalogue)
    cells += merged + OLDER_CELLS * older_rows + ENTRY_CELLS * _own_columns(parts)
    if cells > LITTLE:
        return False
    known = _known_union(results, catalogues, query)
    if known is None:
        rows = most_rows([part.catalogue for part in parts])
        cells += _row_cells(catalogues, query, ENTRY_CELLS)
    else:
        rows = len(known.catalogue)
        cells += _row_cells(catalogues, query, JOINED_CELLS) + WARNING_CELLS * sum(map(len, known.diverging))
    if cells + ENTRY_CELLS * rows * _passes(query, rows) > LITTLE:
        return False
    # Few rows of one peer and few columns of another make many cells.
    united = rows * len(union_of([part.columns for part in parts]))
    # No more can be contested than are merged.
    return united <= LITTLE and (merged <= CONTESTED or _contested_cells(parts) <= CONTESTED)


def _known_union(
    results: Sequence[Answer | Outcome], catalogues: Sequence[Catalogue], query: MatrixQuery
) -> Joined | None:
    """The rows of all, where they are at hand and it is sure that they are asked for: that each answer is merged whole.

    One that is not, because its node is another's or its step does not fit, leaves another union, to be made anew.
    """
    if query.bucket_ids or query.node_id or query.exclude:
        return None
    answers = [result for result in results if isinstance(result, Answer)]
    steps, nodes = {answer.step_ms for answer in answers}, {answer.node_id for answer in answers}
    if len(steps) > 1 or 0 in steps or len(nodes) < len(answers) or "" in nodes:
        return None
    if any(answer.merged for answer in answers):
        return None  # of which nodes and steps these are made nobody knows yet
    return joined_before(catalogues)


def _row_cells(catalogues: Sequence[Catalogue], query: MatrixQuery, first: int) -> int:
    """Of joining all rows. first: what one takes of a catalogue that none before it is."""
    if not query.for_display:
        return ENTRY_CELLS * sum([len(catalogue) for catalogue in catalogues])
    different = most_rows(catalogues)
    return first * different + SHARED_CELLS * (sum([len(catalogue) for catalogue in catalogues]) - different)


def _passes(query: MatrixQuery, rows: int) -> int:
    """How often so many joined rows are looked through once more: to be cut to a range of keys, and to be folded."""
    return (query.keys != ALL_KEYS) + (0 < query.rows < rows)


def _own_columns(parts: Sequence[Matrix]) -> int:
    """Peers that share them are put on the grid once."""
    return sum({id(part.columns): len(part.columns) for part in parts}.values())


def _contested_cells(parts: Sequence[Matrix]) -> int:
    """In how many, at most, several peers may have written under different leaders; mostly one leads a row."""
    return sum(part.busy_cells for part in parts if part.series.is_write) if len(parts) > 1 else 0
