"""The merged picture of columns that no node has altered since, so that only the newest columns are merged anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge import MergedCells, fold, merge, select_range
from keyviz_grpc.merge.columns import select_columns, union_of
from keyviz_grpc.model import ALL_KEYS, Catalogue, KeyRange, Matrix, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered.blocks import FAR, between
from keyviz_grpc.remembered.going_on import extended, goes_on, has_room
from keyviz_grpc.remembered.recollected import Recollected
from keyviz_grpc.remembered.shelf import Shelf

Stamps = NDArray[np.int64]

_GoingOn = Callable[[Matrix, slice, Matrix, slice], Matrix | None]
"""As `goes_on`, or as `extended`."""

FEW_ROWS: Final = 1 << 14
"""Rows of all nodes together whose books are written on an event loop."""

FEW_CELLS: Final = 1 << 21
"""Of a picture that goes on with new columns on an event loop: all that is looked at besides those is leaders."""

MOST_IDENTITIES: Final = 1 << 16
"""With more of them than this all is merged anew: those of columns that are gone stay in the table otherwise."""


class Told(TypedDict):
    """What a merge is told besides what it merges, see `merge`."""

    query: MatrixQuery
    now_unix_ms: int
    node_id: str
    incarnation: int


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One node's columns in the range asked for, and what they must share with others to be the same columns."""

    answer: Answer
    life: tuple[str, int, int]
    columns: Stamps

    @property
    def catalogue(self) -> Catalogue:
        return self.answer.matrix.catalogue

    @property
    def is_recollected(self) -> bool:
        """Whether most of it is remembered, and nobody has put it together."""
        return isinstance(self.answer.matrix, Recollected)


@dataclass(frozen=True, slots=True, eq=False)
class _Merged:
    """A merged answer to which every node contributed, and of which columns of which lives it was made.

    shown: what the last question for a range of keys and a budget of rows made of it.
    """

    lives: tuple[tuple[str, int, int], ...]
    catalogues: tuple[Catalogue, ...]
    columns: tuple[Stamps, ...]
    matrix: Matrix
    column_nodes: NDArray[np.int64]
    shown: tuple[KeyRange, int, Matrix] | None

    def fresh_from(self, parts: Sequence[_Part], union: Stamps) -> int:
        """From which stamp on parts of these lives hold what this was not made of; 0: from the first on.

        Merged cells are a function of the nodes' cells in that column, of their catalogues and of their order. A life
        fixes its cells and rows, so what is left to compare is which node holds which column.
        """
        if len(union) == 0 or any(len(known) == 0 for known in self.columns):
            return 0
        first, end = int(union[0]), min(int(known[-1]) for known in self.columns) + 1
        for known, part in zip(self.columns, parts, strict=True):
            if not _are_equal(_cut(known, first, end), _cut(part.columns, first, end)):
                return 0
        return end

    def is_of(self, parts: Sequence[_Part]) -> bool:
        """Whether it was made of these lives, in this order, with these rows."""
        return self.lives == tuple(part.life for part in parts) and all(
            known == part.catalogue for known, part in zip(self.catalogues, parts, strict=True)
        )

    def is_all_of(self, parts: Sequence[_Part]) -> bool:
        """Whether it was made of exactly the columns of these lives, and each node has one at least."""
        return all(
            len(known) and _are_equal(known, part.columns) for known, part in zip(self.columns, parts, strict=True)
        )

    def shows_all(self, query: MatrixQuery) -> bool:
        """Whether nothing has to be folded or cut."""
        return query.keys == ALL_KEYS and (query.rows == 0 or len(self.matrix.catalogue) <= query.rows)

    def shows(self, query: MatrixQuery) -> bool:
        """Whether the rows wanted are here already, folded to the budget."""
        return self.shows_all(query) or (self.shown is not None and self.shown[:2] == (query.keys, query.rows))


@dataclass(frozen=True, eq=False)
class Look:
    """What single nodes answered beside what is remembered, found once for all who want to know.

    is_of_known: whether that was made of the same lives.
    """

    query: MatrixQuery
    parts: Sequence[_Part]
    known: _Merged | None
    is_of_known: bool

    @cached_property
    def union(self) -> Stamps:
        """The stamps of all."""
        return union_of([part.columns for part in self.parts])

    @cached_property
    def fresh_from(self) -> int:
        """From which stamp on is to be merged, 0 = from the first on."""
        return self.known.fresh_from(self.parts, self.union) if self.known is not None and self.is_of_known else 0

    @cached_property
    def newest(self) -> list[Answer]:
        """The answers from there on."""
        # Every node's last column comes along, for what is said of its clock.
        start = min(self.fresh_from, *(int(part.columns[-1]) for part in self.parts if len(part.columns)))
        return [_from(part.answer, start) for part in self.parts]

    @property
    def is_uneven(self) -> bool:
        """Whether a node was late for a column that is known, or is for one that is new, where any is remembered.

        Such a column is merged twice, and what is remembered has to be copied up to there.
        """
        late = any(len(part.columns) and int(part.columns[-1]) < self.fresh_from for part in self.parts)
        return late or (self.known is not None and self.fresh_from <= int(self.known.matrix.columns[-1]))

    @property
    def cells(self) -> int:
        """What is known and what is new make so many, where nothing is folded."""
        return 0 if self.known is None else len(self.known.matrix.catalogue) * len(self.union)


class MergedColumns:
    """Merges, selects and folds as the merge room does, byte for byte, and remembers the last picture of each series.

    Only plain answers of single nodes that tell their history are merged here; any doubt, and any node that fails,
    leaves the whole merge to the caller. Thread-safe.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def look(self, results: Sequence[Answer | Outcome], query: MatrixQuery) -> Look | None:
        """How the answers stand to what is remembered; None where memory must not be used."""
        parts = _plain_parts(results, query)
        if parts is None:
            return None
        known = self._known(query)
        return Look(query, parts, known, known is not None and known.is_of(parts))

    def merge(self, results: Sequence[Answer | Outcome], **told: Unpack[Told]) -> Answer | None:
        """The merged answer with the rows wanted, folded to the budget; None where memory must not be used."""
        look = self.look(results, told["query"])
        if look is None:
            return None
        known, end = look.known, look.fresh_from
        if known is None or end == 0:
            return self._shown(merge([part.answer for part in look.parts], **told), look)
        whole = _continued(known, merge(look.newest, **told), look, goes_on)
        return None if whole is None else self._shown(whole, look)

    def at_once(
        self, look: Look, is_little: Callable[[Sequence[Answer], MatrixQuery], bool], **told: Unpack[Told]
    ) -> Answer | None:
        """What `merge` gives, where little is new in it: quick enough for an event loop.

        None where there is much to merge, or anything to fold, to copy or to spread. is_little: whether so much can be
        merged there.
        """
        known, query = look.known, look.query
        if known is None or not look.is_of_known or not all(each.is_recollected for each in look.parts):
            return None  # told in full a whole matrix would be spread to take its newest column
        if not query.for_display and len(known.matrix.catalogue) * len(look.parts) > FEW_ROWS:
            return None  # books of who holds which row are written for whoever merges again
        if known.is_all_of(look.parts):
            return self._unchanged(look, known, **told) if known.shows(query) else None
        end = look.fresh_from
        new = len(look.union) - int(look.union.searchsorted(end))
        if not end or not known.shows_all(query) or known.matrix.cells > FEW_CELLS or not has_room(known.matrix, new):
            return None
        if look.is_uneven or not is_little(newest := look.newest, query):
            return None
        # What is new may have wider counts, or shares.
        whole = _continued(known, merge(newest, **told), look, extended)
        return None if whole is None else self._shown(whole, look)

    def _unchanged(self, look: Look, known: _Merged, **told: Unpack[Told]) -> Answer | None:
        newest = [_from(part.answer, int(part.answer.matrix.columns[-1])) for part in look.parts]
        return self._shown(merge(newest, known=MergedCells(known.matrix, known.column_nodes), **told), look)

    def _known(self, query: MatrixQuery) -> _Merged | None:
        there = self._shelf.get(self, (query.series, query.for_display))
        return there if isinstance(there, _Merged) and len(there.matrix.identities) <= MOST_IDENTITIES else None

    def _shown(self, whole: Answer, look: Look) -> Answer | None:
        """The rows asked for, folded to the budget; the same matrix, object by object, while nothing is new.

        None where a node does not contribute after all.
        """
        if not all(outcome.contributes for outcome in whole.outcomes):
            return None
        query, parts, known = look.query, look.parts, look.known
        asked = (query.keys, query.rows)
        same = known is not None and known.matrix is whole.matrix
        if same and known is not None and known.shown is not None and known.shown[:2] == asked:
            return replace(whole, matrix=known.shown[2], leaf_sets=(), row_leaf_set=None, leaf_ranges=())
        answer = fold(select_range(whole, query.keys), query.rows, shares=not query.for_display)
        plain = answer.matrix is whole.matrix
        # Books are not kept: only where there are none is the remembered matrix all of the answer.
        kept = None if plain or answer.leaf_ranges or answer.row_leaf_set is not None else (*asked, answer.matrix)
        if whole.column_nodes is not None and not (same and kept is None):
            merged = _Merged(
                tuple(part.life for part in parts),
                tuple(part.catalogue for part in parts),
                tuple(part.columns for part in parts),
                whole.matrix,
                whole.column_nodes,
                kept,
            )
            self._put((query.series, query.for_display), merged)
        return answer

    def forget(self) -> None:
        """Gives everything back."""
        self._shelf.drop_all(self)

    def _put(self, key: tuple[Series, bool], merged: _Merged) -> None:
        matrices = (merged.matrix, *((merged.shown[2],) if merged.shown else ()))
        size = sum(columns.nbytes for columns in merged.columns) + merged.column_nodes.nbytes
        self._shelf.put(
            self, key, merged, size_bytes=size, shared=(merged.matrix.catalogue, *merged.catalogues, *matrices)
        )


def _plain_parts(results: Sequence[Answer | Outcome], query: MatrixQuery) -> list[_Part] | None:
    """What single nodes say that are all there, each once, all on one grid already; None for anything else."""
    if query.unmerged or query.bucket_ids or query.node_id or query.exclude or not results:
        return None
    parts: list[_Part] = []
    for result in results:
        if not isinstance(result, Answer) or result.merged or result.history is None or not result.node_id:
            return None
        columns = result.matrix.columns
        if result.step_ms <= 0 or bool((columns % result.step_ms).any()):
            return None
        life = (result.node_id, result.incarnation, result.history.number)
        parts.append(_Part(result, life, columns[query.window.bounds(columns)]))
    alone = len({part.life[0] for part in parts}) == len(parts)
    one_step = len({part.answer.step_ms for part in parts}) == 1
    return parts if alone and one_step else None


def _continued(known: _Merged, newest: Answer, look: Look, going_on: _GoingOn) -> Answer | None:
    """The remembered columns, then those merged anew; the rest of the answer is that of the newest.

    None where that is not how they go on.
    """
    before, after = known.matrix, newest.matrix
    old = between(before, int(look.union[0]), look.fresh_from)
    new = between(after, look.fresh_from, FAR)
    nodes = newest.column_nodes
    if nodes is None:
        raise ValueError("a merged answer says how many nodes hold each column")
    if old == slice(0, len(before.columns)) and new.start == new.stop:
        return replace(newest, matrix=before, column_nodes=known.column_nodes)
    matrix = going_on(before, old, after, new)
    if matrix is None:
        return None
    return replace(newest, matrix=matrix, column_nodes=np.concatenate([known.column_nodes[old], nodes[new]]))


def _from(answer: Answer, start: int) -> Answer:
    matrix = answer.matrix
    if isinstance(matrix, Recollected):
        return answer.of(matrix.since(start))
    return answer.of(select_columns(matrix, between(matrix, start, FAR)))


def _are_equal(some: Stamps, others: Stamps) -> bool:
    # There are few, and to compare them as numbers takes more code than bytes do.
    return some.tobytes() == others.tobytes()


def _cut(columns: Stamps, first: int, end: int) -> Stamps:
    bounds = np.searchsorted(columns, (first, end))
    return columns[bounds[0] : bounds[1]]
