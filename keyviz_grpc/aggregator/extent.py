"""The bound on what all answers become together: few rows of one peer and few columns of another make many cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import FailureKind
from keyviz_grpc.outcome import Answer, Outcome

Stamps = NDArray[np.int64]


def within(results: Sequence[Answer | Outcome], total_bytes: int) -> list[Answer | Outcome]:
    """The results, those aside that would make more cells of the merged picture than the total allows: a byte each.

    A result is counted with those before it, in configured order: rows and columns of all of them, before alignment.
    One that does not fit any more becomes failures, `message_too_large`, and later ones may still fit.
    """
    answers = [result for result in results if isinstance(result, Answer)]
    parts = [matrix for answer in answers for matrix in _matrices(answer)]
    # Rows counted twice make no difference as long as they fit all the same; names are looked at only where not.
    if sum(len(rows) for rows, _ in parts) * len(_union([columns for _, columns in parts])) <= total_bytes:
        return list(results)
    rows: set[str] = set()
    columns: Stamps = np.empty(0, np.int64)
    kept: list[Answer | Outcome] = []
    for result in results:
        if isinstance(result, Outcome):
            kept.append(result)
            continue
        own = _matrices(result)
        more_rows = rows.union(*(names for names, _ in own))
        more_columns = _union([columns, *(stamps for _, stamps in own)])
        cells = len(more_rows) * len(more_columns)
        if cells <= total_bytes:
            rows, columns = more_rows, more_columns
            kept.append(result)
        else:
            kept.extend(_too_many(result, cells, total_bytes))
    return kept


def _matrices(answer: Answer) -> list[tuple[dict[str, int], Stamps]]:
    every = (answer, *(leaf for _, leaf in answer.leaf_answers))
    return [(one.matrix.catalogue.index, one.matrix.columns) for one in every]


def _union(columns: Sequence[Stamps]) -> Stamps:
    if all(one is columns[0] or np.array_equal(one, columns[0]) for one in columns[1:]):
        return columns[0] if columns else np.empty(0, np.int64)
    return np.unique(np.concatenate(columns))


def _too_many(answer: Answer, cells: int, most: int) -> list[Outcome]:
    detail = f"its rows and columns with those of the peers before it make {cells} cells, at most {most} are merged"
    return [
        replace(outcome, kind=FailureKind.MESSAGE_TOO_LARGE, detail=detail) if outcome.ok else outcome
        for outcome in answer.outcomes
    ]
