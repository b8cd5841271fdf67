"""The merge itself: a pure function of the peers' answers in configured order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.merge.cells import merge_cells
from keyviz_grpc.merge.columns import union_of
from keyviz_grpc.merge.entries import Placed
from keyviz_grpc.merge.parts import Part, flatten, prepare
from keyviz_grpc.merge.rows import NO_BOOKS, Holders, Joined, contributing, holders, join, leaf_ranges
from keyviz_grpc.merge.warnings import divergences, of_leaf, short_history, with_warnings
from keyviz_grpc.model import Matrix, Series, Window
from keyviz_grpc.outcome import Answer, LeafRange, Outcome, PeerWarning
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.unchanging import unchanging

_Leaves: TypeAlias = "tuple[tuple[int, ...], ...]"
"""Of each answer the number that its first leaf has in the merge; then which of its own have their data in it."""


@unchanging(frozen=True, slots=True, eq=False)
class MergedCells:
    """The cells of a merged answer. column_nodes: as in `Answer`."""

    matrix: Matrix
    column_nodes: NDArray[np.int64]


def merge(
    parts: Sequence[Answer | Outcome],
    *,
    query: MatrixQuery,
    now_unix_ms: int,
    node_id: str = "",
    incarnation: int = 0,
    known: MergedCells | None = None,
) -> Answer:
    """One answer from many (docs/merge.md), not folded to a budget.

    parts: one a peer in configured order, local node first; an Outcome is a peer that failed. query: what was asked of
    the aggregator; its window cuts aligned stamps. now_unix_ms: the aggregator's clock, for `clock_skew` alone.
    node_id, incarnation: the aggregator's own.
    known: the cells that come out; then none are merged, and of the parts' columns the newest one is enough.

    The result lists every leaf's outcome in order. Merging merged answers gives what merging the leaves gives, where
    all leaves have one step and `query.for_display` did not leave out what that needs. With `query.unmerged` the result
    carries each leaf's own answer and an empty matrix. Nothing usable gives an empty matrix; the inputs are not
    changed, the result may share arrays with them.
    """
    if query.unmerged:
        return _unmerged(parts, query.series, now_unix_ms=now_unix_ms, node_id=node_id, incarnation=incarnation)
    prepared, grid = prepare(parts, query, now_unix_ms)
    answers, firsts, outcomes = _in_order(prepared)
    joined = join([answer.matrix.catalogue for answer in answers])
    leaves = _leaves(answers, firsts)
    merged = _merged(answers, leaves, joined, query) if known is None else known
    held = NO_BOOKS if query.for_display else _held(answers, leaves, joined)
    ranges, diverging = _divergences(answers, leaves, joined)
    return Answer(
        merged.matrix,
        _warned(outcomes, diverging, window=query.window, grid_ms=grid),
        node_id=node_id,
        incarnation=incarnation,
        step_ms=grid,
        generated_at_unix_ms=now_unix_ms,
        oldest_unix_ms=min([o.oldest_unix_ms for o in outcomes if o.oldest_unix_ms and o.contributes], default=0),
        merged=True,
        column_nodes=merged.column_nodes,
        leaf_sets=held.leaf_sets,
        row_leaf_set=held.row_leaf_set,
        leaf_ranges=() if query.for_display else ranges,
        revision=sum(answer.revision for answer in answers),
    )


def _merged(answers: Sequence[Answer], leaves: _Leaves, joined: Joined, query: MatrixQuery) -> MergedCells:
    columns = union_of([answer.matrix.columns for answer in answers])
    placed = [
        Placed(answer.matrix, rows, _where(answer.matrix.columns, columns))
        for answer, rows in zip(answers, joined.maps, strict=True)
    ]
    matrix = merge_cells(
        placed,
        query.series,
        columns,
        joined.catalogue,
        places=joined.places,
        list_shares=not query.for_display,
    )
    return MergedCells(matrix, _column_nodes(answers, leaves, placed, len(columns)))


_Diverging: TypeAlias = tuple[tuple[LeafRange, ...], dict[int, tuple[PeerWarning, ...]]]

_diverging: KeptByIdentity[dict[_Leaves, _Diverging]] = KeptByIdentity(16)


def _divergences(answers: Sequence[Answer], leaves: _Leaves, joined: Joined) -> _Diverging:
    """Leaves' own ranges, and the warnings about them by leaf; found once where catalogues are all that tells them."""

    def find() -> _Diverging:
        ranges = leaf_ranges(answers, _firsts(leaves), joined)
        return ranges, divergences(ranges, joined.catalogue)

    if any(answer.leaf_ranges or answer.row_leaf_set is not None for answer in answers):
        return find()
    if not any(joined.diverging):
        return (), {}
    known = _diverging.get((joined,), dict)
    found = known.get(leaves)
    if found is None:
        known.clear()
        found = known[leaves] = find()
    return found


_held_rows: KeptByIdentity[dict[_Leaves, Holders]] = KeptByIdentity(16)


def _held(answers: Sequence[Answer], leaves: _Leaves, joined: Joined) -> Holders:
    """Who holds which row; found once where catalogues are all that tells it."""
    if joined.places is None or any(answer.row_leaf_set is not None for answer in answers):
        return holders(answers, _firsts(leaves), joined)
    known = _held_rows.get((joined,), dict)
    found = known.get(leaves)
    if found is None:
        known.clear()
        found = known[leaves] = holders(answers, _firsts(leaves), joined)
    return found


def _warned(
    outcomes: Sequence[Outcome], diverging: Mapping[int, tuple[PeerWarning, ...]], *, window: Window, grid_ms: int
) -> tuple[Outcome, ...]:
    """The outcomes of all leaves with what is found of each beside the others. diverging: as `_divergences` tells."""
    if window.from_unix_ms:
        outcomes = [with_warnings(outcome, short_history(outcome, window, grid_ms)) for outcome in outcomes]
    warned = list(outcomes)
    for leaf, found in diverging.items():
        warned[leaf] = with_warnings(warned[leaf], (), found)
    return tuple(warned)


def _leaves(answers: Sequence[Answer], firsts: Sequence[int]) -> _Leaves:
    return tuple([(first, *contributing(answer)) for answer, first in zip(answers, firsts, strict=True)])


def _firsts(leaves: _Leaves) -> list[int]:
    return [first for first, *_ in leaves]


def _unmerged(
    parts: Sequence[Answer | Outcome], series: Series, *, now_unix_ms: int, node_id: str, incarnation: int
) -> Answer:
    flat = flatten(parts)
    outcomes = tuple(
        part
        if isinstance(part, Outcome)
        else with_warnings(part.outcomes[0], of_leaf(part, step_ms=part.step_ms, now_unix_ms=now_unix_ms))
        for part in flat
    )
    own = tuple((number, part) for number, part in enumerate(flat) if isinstance(part, Answer))
    return Answer(
        Matrix.empty(series),
        outcomes,
        node_id=node_id,
        incarnation=incarnation,
        generated_at_unix_ms=now_unix_ms,
        merged=True,
        leaf_answers=own,
    )


def _in_order(parts: Sequence[Part]) -> tuple[list[Answer], list[int], list[Outcome]]:
    """(the answers that are used, the number of the first leaf of each, the outcomes of all leaves)."""
    answers: list[Answer] = []
    firsts: list[int] = []
    outcomes: list[Outcome] = []
    for part in parts:
        if part.answer is not None:
            answers.append(part.answer)
            firsts.append(len(outcomes))
        outcomes.extend(part.outcomes)
    return answers, firsts, outcomes


def _where(own: NDArray[np.int64], union: NDArray[np.int64]) -> NDArray[np.int64] | None:
    if own is union or np.array_equal(own, union):
        return None
    return np.searchsorted(union, own)


def _column_nodes(
    answers: Sequence[Answer], leaves: _Leaves, placed: Sequence[Placed], width: int
) -> NDArray[np.int64]:
    counts, everywhere = np.zeros(width, np.int64), 0
    unknown: list[NDArray[np.int64]] = []
    for answer, (_, *own_leaves), part in zip(answers, leaves, placed, strict=True):
        nodes = answer.column_nodes
        if nodes is None and part.columns is None:
            everywhere += len(own_leaves)
            continue
        where = np.arange(width) if part.columns is None else part.columns
        counts[where] += len(own_leaves) if nodes is None else nodes
        if nodes is not None:
            unknown.append(where[nodes == 0])
    counts += everywhere
    for columns in unknown:
        counts[columns] = 0
    return counts
