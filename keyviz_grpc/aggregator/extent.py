"""The bound on what all answers become together: few rows of one peer and few columns of another make many cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge.columns import union_of
from keyviz_grpc.model import Matrix
from keyviz_grpc.outcome import Answer, Outcome, as_failures


def within(results: Sequence[Answer | Outcome], total_bytes: int) -> list[Answer | Outcome]:
    """The results, those aside that would make more cells of the merged picture than the total allows: a byte each.

    A result is counted with those before it, in configured order: rows and columns of all of them, before alignment.
    One that does not fit any more becomes failures, `message_too_large`, and later ones may still fit.
    """
    answers = [result for result in results if isinstance(result, Answer)]
    parts = [matrix for answer in answers for matrix in _matrices(answer)]
    # Rows counted twice make no difference as long as they fit all the same; names are looked at only where not.
    if sum(len(part.catalogue) for part in parts) * len(union_of([part.columns for part in parts])) <= total_bytes:
        return list(results)
    rows: set[str] = set()
    columns = np.empty(0, np.int64)
    kept: list[Answer | Outcome] = []
    for result in results:
        if isinstance(result, Outcome):
            kept.append(result)
            continue
        own = _matrices(result)
        more_rows = rows.union(*(part.catalogue.index for part in own))
        more_columns = union_of([columns, *(part.columns for part in own)])
        cells = len(more_rows) * len(more_columns)
        if cells <= total_bytes:
            rows, columns = more_rows, more_columns
            kept.append(result)
        else:
            kept.extend(_too_many(result, cells, total_bytes))
    return kept


def _matrices(answer: Answer) -> list[Matrix]:
    return [answer.matrix, *(leaf.matrix for _, leaf in answer.leaf_answers)]


def _too_many(answer: Answer, cells: int, most: int) -> tuple[Outcome, ...]:
    detail = f"its rows and columns with those of the peers before it make {cells} cells, at most {most} are merged"
    return as_failures(answer.outcomes, FailureKind.MESSAGE_TOO_LARGE, detail)
