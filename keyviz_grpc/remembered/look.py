"""How what single nodes answered stands to the merged picture that is remembered of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge.columns import select_columns, union_of
from keyviz_grpc.model import ALL_KEYS, Catalogue, KeyRange, Matrix
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered.blocks import FAR, between
from keyviz_grpc.remembered.recollected import Recollected, Stamps
from keyviz_grpc.remembered.still import Still
from keyviz_grpc.unchanging import unchanging

Life: TypeAlias = tuple[str, int, int]
"""A node, its incarnation, and the number of its history: they fix its rows, and its cells in every column."""


@unchanging(frozen=True, slots=True, eq=False)
class Parts:
    """Answers of single nodes, each node once, all on one grid already.

    lives[i], columns[i]: of answers[i], its stamps in the range asked for. union: those of all.
    """

    answers: Sequence[Answer]
    lives: tuple[Life, ...]
    columns: tuple[Stamps, ...]
    union: Stamps

    @classmethod
    def of(cls, results: Sequence[Answer | Outcome], query: MatrixQuery) -> Parts | None:
        """What was told, where that is all there and of this kind; None for anything else."""
        if query.unmerged or query.bucket_ids or query.node_id or query.exclude:
            return None
        answers: list[Answer] = []
        lives: list[Life] = []
        for result in results:
            if not isinstance(result, Answer) or result.merged or result.history is None or not result.node_id:
                return None
            answers.append(result)
            lives.append((result.node_id, result.incarnation, result.history.number))
        steps, nodes = {answer.step_ms for answer in answers}, {life[0] for life in lives}
        if len(steps) != 1 or min(steps) <= 0 or len(nodes) < len(answers):
            return None
        told = [answer.matrix.columns for answer in answers]
        every = told[0] if all(_are_equal(told[0], own) for own in told[1:]) else union_of(told)
        if bool((every % min(steps)).any()):
            return None
        window = query.window
        return cls(answers, tuple(lives), tuple([own[window.bounds(own)] for own in told]), every[window.bounds(every)])

    @property
    def catalogues(self) -> tuple[Catalogue, ...]:
        """The rows of each."""
        return tuple([answer.matrix.catalogue for answer in self.answers])

    @property
    def are_recollected(self) -> bool:
        """Whether most of each is remembered, and nobody has put it together."""
        return all(isinstance(answer.matrix, Recollected) for answer in self.answers)

    def since(self, start: int) -> list[Answer]:
        """Their columns from a stamp on, of each node the last one at least: for what is said of its clock."""
        start = min([start, *(int(own[-1]) for own in self.columns if len(own))])
        return [_since(answer, start) for answer in self.answers]


@unchanging(frozen=True, slots=True, eq=False)
class Merged:
    """A merged answer to which every node contributed, and of which columns of which lives it was made.

    shown: what the last question for a range of keys and a budget of rows made of it. still: what was answered last
    while nothing was new, None where anything was.
    """

    lives: tuple[Life, ...]
    catalogues: tuple[Catalogue, ...]
    columns: tuple[Stamps, ...]
    matrix: Matrix
    column_nodes: NDArray[np.int64]
    shown: tuple[KeyRange, int, Matrix] | None
    still: Still | None = None

    def fresh_from(self, parts: Parts) -> int:
        """From which stamp on parts of these lives hold what this was not made of; 0: from the first on.

        Merged cells are a function of the nodes' cells in that column, of their catalogues and of their order. A life
        fixes its cells and rows, so what is left to compare is which node holds which column.
        """
        if len(parts.union) == 0 or not all(map(len, self.columns)):
            return 0
        first, end = int(parts.union[0]), min([int(known[-1]) for known in self.columns]) + 1
        same = all(
            _are_equal(_cut(known, first, end), _cut(own, first, end))
            for known, own in zip(self.columns, parts.columns, strict=True)
        )
        return end if same else 0

    def is_of(self, parts: Parts) -> bool:
        """Whether it was made of these lives, in this order, with these rows."""
        return self.lives == parts.lives and self.catalogues == parts.catalogues

    def is_all_of(self, parts: Parts) -> bool:
        """Whether it was made of exactly the columns of these lives, and each node has one at least."""
        return all(
            len(known) and _are_equal(known, own) for known, own in zip(self.columns, parts.columns, strict=True)
        )

    def shows_all(self, query: MatrixQuery) -> bool:
        """Whether nothing has to be folded or cut."""
        return query.keys == ALL_KEYS and (query.rows == 0 or len(self.matrix.catalogue) <= query.rows)

    def shown_to(self, query: MatrixQuery) -> Matrix | None:
        """What it was cut and folded to, where the last question wanted the same."""
        return self.shown[2] if self.shown is not None and self.shown[:2] == (query.keys, query.rows) else None


@unchanging(frozen=True, eq=False)
class Look:
    """What was answered beside what is remembered, found once for all who want to know.

    is_of_known: whether that was made of the same lives.
    """

    query: MatrixQuery
    parts: Parts
    known: Merged | None
    is_of_known: bool

    @classmethod
    def at(cls, parts: Parts, known: Merged | None, query: MatrixQuery) -> Look:
        """At these parts."""
        return cls(query, parts, known, known is not None and known.is_of(parts))

    @cached_property
    def fresh_from(self) -> int:
        """From which stamp on is to be merged, 0 = from the first on."""
        return self.known.fresh_from(self.parts) if self.known is not None and self.is_of_known else 0

    @cached_property
    def newest(self) -> list[Answer]:
        """The answers from there on."""
        return self.parts.since(self.fresh_from)

    @property
    def is_uneven(self) -> bool:
        """Whether a node was late for a column that is known, or is for one that is new, where any is remembered.

        Such a column is merged twice, and what is remembered has to be copied up to there.
        """
        late = any(len(own) and int(own[-1]) < self.fresh_from for own in self.parts.columns)
        return late or (self.known is not None and self.fresh_from <= int(self.known.matrix.columns[-1]))

    @property
    def new_columns(self) -> int:
        """How many of them are to be merged."""
        union = self.parts.union
        return len(union) - int(union.searchsorted(self.fresh_from))

    @property
    def cells(self) -> int:
        """What is known and what is new make so many, where nothing is folded."""
        return 0 if self.known is None else len(self.known.matrix.catalogue) * len(self.parts.union)


def _since(answer: Answer, start: int) -> Answer:
    matrix = answer.matrix
    if isinstance(matrix, Recollected):
        return answer.of(matrix.since(start))
    return answer.of(select_columns(matrix, between(matrix, start, FAR)))


def _are_equal(some: Stamps, others: Stamps) -> bool:
    # There are few, and to compare them as numbers takes more code than bytes do.
    return some is others or some.tobytes() == others.tobytes()


def _cut(columns: Stamps, first: int, end: int) -> Stamps:
    return columns[columns.searchsorted(first) : columns.searchsorted(end)]
