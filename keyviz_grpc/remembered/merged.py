"""The merged picture of columns that no node has altered since, so that only the newest columns are merged anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypedDict, Unpack

import numpy as np

from keyviz_grpc.merge import MergedCells, fold, merge, select_range
from keyviz_grpc.model import Matrix, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered.blocks import FAR, between
from keyviz_grpc.remembered.going_on import extended, goes_on, has_room
from keyviz_grpc.remembered.look import Look, Merged, Parts
from keyviz_grpc.remembered.shelf import Shelf
from keyviz_grpc.remembered.still import Still

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


class MergedColumns:
    """Merges, selects and folds as the merge room does, byte for byte, and remembers the last picture of each series.

    Only plain answers of single nodes that tell their history are merged here; any doubt, and any node that fails,
    leaves the whole merge to the caller. Thread-safe.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def again(self, results: Sequence[Answer | Outcome], query: MatrixQuery, *, now_unix_ms: int) -> Answer | None:
        """The last answer at this moment, where nodes told what they told then; None where anything may be another."""
        known = self._known(query)
        return None if known is None or known.still is None else known.still.at(results, query, now_unix_ms=now_unix_ms)

    def look(self, results: Sequence[Answer | Outcome], query: MatrixQuery) -> Look | None:
        """How the answers stand to what is remembered; None where memory must not be used."""
        parts = Parts.of(results, query)
        return None if parts is None else Look.at(parts, self._known(query), query)

    def merge(self, results: Sequence[Answer | Outcome], **told: Unpack[Told]) -> Answer | None:
        """The merged answer with the rows wanted, folded to the budget; None where memory must not be used."""
        look = self.look(results, told["query"])
        if look is None:
            return None
        if look.known is None or not look.fresh_from:
            return self._shown(merge(look.parts.answers, **told), look)
        whole = _continued(look.known, merge(look.newest, **told), look, goes_on)
        return None if whole is None else self._shown(whole, look)

    def at_once(
        self, look: Look, is_little: Callable[[Sequence[Answer], MatrixQuery], bool], **told: Unpack[Told]
    ) -> Answer | None:
        """What `merge` gives, where little is new in it: quick enough for an event loop.

        None where there is much to merge, or anything to fold, to copy or to spread. is_little: whether so much can be
        merged there.
        """
        known, query = look.known, look.query
        if known is None or not look.is_of_known or not look.parts.are_recollected:
            return None  # told in full a whole matrix would be spread to take its newest column
        if not query.for_display and len(known.matrix.catalogue) * len(look.parts.answers) > FEW_ROWS:
            return None  # books of who holds which row are written for whoever merges again
        if known.is_all_of(look.parts):
            return self._unchanged(look, known, **told)
        if not known.shows_all(query) or not _goes_on_there(look, known) or not is_little(look.newest, query):
            return None
        # What is new may have wider counts, or shares.
        whole = _continued(known, merge(look.newest, **told), look, extended)
        return None if whole is None else self._shown(whole, look)

    def _unchanged(self, look: Look, known: Merged, **told: Unpack[Told]) -> Answer | None:
        if not known.shows_all(look.query) and known.shown_to(look.query) is None:
            return None
        newest = look.parts.since(FAR)
        answer = self._shown(merge(newest, known=MergedCells(known.matrix, known.column_nodes), **told), look)
        if answer is not None and (still := Still.of(answer, look.parts.answers, look.query)) is not None:
            self._put(replace(known, still=still), look.query)
        return answer

    def _known(self, query: MatrixQuery) -> Merged | None:
        there = self._shelf.get(self, _kind_of(query))
        return there if isinstance(there, Merged) and len(there.matrix.identities) <= MOST_IDENTITIES else None

    def _shown(self, whole: Answer, look: Look) -> Answer | None:
        """The rows asked for, folded to the budget; the same matrix, object by object, while nothing is new.

        None where a node does not contribute after all.
        """
        if not all(outcome.contributes for outcome in whole.outcomes):
            return None
        query, same = look.query, look.known is not None and look.known.matrix is whole.matrix
        if same and look.known is not None and (shown := look.known.shown_to(query)) is not None:
            return replace(whole, matrix=shown, leaf_sets=(), row_leaf_set=None, leaf_ranges=())
        answer = fold(select_range(whole, query.keys), query.rows, shares=not query.for_display)
        # Books are not kept: only where there are none is the remembered matrix all of the answer.
        is_kept = answer.matrix is not whole.matrix and not answer.leaf_ranges and answer.row_leaf_set is None
        if is_kept or not same:
            self._keep(whole, answer.matrix if is_kept else None, look)
        return answer

    def _keep(self, whole: Answer, shown: Matrix | None, look: Look) -> None:
        query, parts, nodes = look.query, look.parts, whole.column_nodes
        if nodes is None:
            return
        made = None if shown is None else (query.keys, query.rows, shown)
        self._put(Merged(parts.lives, parts.catalogues, parts.columns, whole.matrix, nodes, made), query)

    def _put(self, merged: Merged, query: MatrixQuery) -> None:
        matrix, shown = merged.matrix, () if merged.shown is None else merged.shown[2:]
        size = sum([columns.nbytes for columns in merged.columns], merged.column_nodes.nbytes)
        shared = (matrix.catalogue, *merged.catalogues, matrix, *shown)
        self._shelf.put(self, _kind_of(query), merged, size_bytes=size, shared=shared)

    def forget(self) -> None:
        """Gives everything back."""
        self._shelf.drop_all(self)


def _kind_of(query: MatrixQuery) -> tuple[Series, bool, bool]:
    """Whatever answers that are merged for it have in common."""
    return query.series, query.for_display, query.without_roles


def _goes_on_there(look: Look, known: Merged) -> bool:
    """Whether what is new can be written behind what is known, and what is known is not too much."""
    if not look.fresh_from or known.matrix.cells > FEW_CELLS:
        return False
    return has_room(known.matrix, look.new_columns) and not look.is_uneven


def _continued(known: Merged, newest: Answer, look: Look, going_on: _GoingOn) -> Answer | None:
    """The remembered columns, then those merged anew; the rest of the answer is that of the newest.

    None where that is not how they go on.
    """
    before, after = known.matrix, newest.matrix
    old = between(before, int(look.parts.union[0]), look.fresh_from)
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
