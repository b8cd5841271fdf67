"""From what peers returned to parts that can be merged: flat, each node once, on one grid, cut to the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge.align import Stamps, effective_steps, grid_step_ms
from keyviz_grpc.merge.columns import select_columns, with_columns
from keyviz_grpc.merge.rows import with_range_ids
from keyviz_grpc.merge.warnings import of_leaf, with_warnings, without_recomputed
from keyviz_grpc.model import ALL_KEYS, Catalogue, KeyRange, Matrix, Shares
from keyviz_grpc.outcome import Answer, Outcome, PeerWarning, WarningCode, as_failures
from keyviz_grpc.query import MatrixQuery

LeafKey = tuple[str, int]


@dataclass(slots=True, eq=False)
class Part:
    """One answer on its way into the merge; `answer` None: nothing of it is used, its outcomes stay.

    outcomes: with the warnings found so far, which those of the answer itself lack.
    """

    outcomes: tuple[Outcome, ...]
    answer: Answer | None


def flatten(results: Sequence[Answer | Outcome]) -> list[Answer | Outcome]:
    """Answers that carry their leaves unmerged, replaced by those leaves."""
    flat: list[Answer | Outcome] = []
    for result in results:
        if not isinstance(result, Answer) or not (result.leaf_answers or _unmerged_failures(result)):
            flat.append(result)
            continue
        own = dict(result.leaf_answers)
        for number, outcome in enumerate(result.outcomes):
            flat.append(_passed_on(own[number], outcome) if number in own else outcome)
    return flat


def _passed_on(own: Answer, outcome: Outcome) -> Answer:
    # The aggregator next to the leaf has told of its clock; by now its moment is stale.
    moment = own.generated_at_unix_ms
    return replace(own, outcomes=(outcome,), asked_unix_ms=moment, received_unix_ms=moment)


def _unmerged_failures(answer: Answer) -> bool:
    return answer.merged and len(answer.matrix.catalogue) == 0 and not any(o.contributes for o in answer.outcomes)


def duplicate_leaves(results: Sequence[Answer | Outcome]) -> dict[int, tuple[LeafKey, ...]]:
    """For each merged result that holds leaves which an earlier result holds too: their (node_id, incarnation).

    Such a result cannot be mended by subtraction; it must be asked again with these excluded. Own answers of single
    nodes do not occur here: the merge leaves duplicates of those out by itself.
    """
    seen: set[LeafKey] = set()
    again: dict[int, tuple[LeafKey, ...]] = {}
    if not any(isinstance(result, Answer) and result.merged for result in results):
        return again  # as a rule nobody merged anything
    for number, result in enumerate(results):
        if not isinstance(result, Answer):
            continue
        keys = [_key(outcome) for outcome in result.outcomes if outcome.contributes and outcome.node_id]
        if result.merged and not result.leaf_answers:
            repeated = tuple(key for key in keys if key in seen)
            if repeated:
                again[number] = repeated
        seen.update(keys)
    return again


def _key(outcome: Outcome) -> LeafKey:
    return (outcome.node_id, outcome.incarnation)


def each_node_once(parts: list[Part], exclude: Sequence[LeafKey]) -> None:
    """Leaves out repeated nodes in place, with the warning; marks two lives of one id at two addresses."""
    names = [each.node_id for part in parts if part.answer is not None for each in part.outcomes if each.node_id]
    if not exclude and len(set(names)) == len(names):
        return  # as a rule
    seen: dict[LeafKey, str] = dict.fromkeys(exclude, "another aggregator")
    lives: dict[str, LeafKey] = {}
    for part in parts:
        if part.answer is None:
            continue
        if part.answer.merged and any(o.contributes and o.node_id and _key(o) in seen for o in part.outcomes):
            part.outcomes = inseparable(part.outcomes)
            part.answer = None
        else:
            _tell_repeated(part, seen, lives)


def _tell_repeated(part: Part, seen: dict[LeafKey, str], lives: dict[str, LeafKey]) -> None:
    """seen: by which address each node counts already; lives: the first one of every id. The part's are added."""
    marked: dict[int, Outcome] = {}
    for number, outcome in enumerate(part.outcomes):
        if not outcome.node_id or not outcome.contributes:
            continue
        key = _key(outcome)
        if key in seen:
            found = _duplicate(outcome, seen[key])
            part.answer = None
        else:
            seen[key] = outcome.address or "self"
            if lives.setdefault(outcome.node_id, key) == key:
                continue
            found = PeerWarning(WarningCode.DUPLICATE_NODE_ID, "", f"another node calls itself {outcome.node_id!r} too")
        marked[number] = with_warnings(outcome, (found,))
    if marked:
        part.outcomes = tuple(marked.get(number, outcome) for number, outcome in enumerate(part.outcomes))


def _duplicate(outcome: Outcome, counted_as: str) -> PeerWarning:
    return PeerWarning(
        WarningCode.DUPLICATE_NODE, "", f"node {outcome.node_id!r} is listed twice and counted once, as {counted_as}"
    )


def inseparable(outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Of an aggregator's answer in which a node is that counts elsewhere already."""
    detail = "its aggregator merged a node that is listed elsewhere too and did not leave it out when asked to"
    return as_failures(outcomes, FailureKind.INCOMPATIBLE, detail)


def prepare(results: Sequence[Answer | Outcome], query: MatrixQuery, now_unix_ms: int) -> tuple[list[Part], int]:
    """(parts in order, step of the common grid, 0 = none known). Parts that do not fit have become failures."""
    parts = [
        Part((result,), None)
        if isinstance(result, Outcome)
        else Part(tuple([without_recomputed(outcome) for outcome in result.outcomes]), result)
        for result in flatten(results)
    ]
    each_node_once(parts, query.exclude)
    live = [part for part in parts if part.answer is not None]
    answers = [part.answer for part in live if part.answer is not None]
    steps = effective_steps([a.step_ms for a in answers], [a.matrix.columns for a in answers])
    grid = grid_step_ms(steps, (sum(o.contributes for o in a.outcomes) for a in answers))
    stamps = Stamps(grid)
    for part, answer, step in zip(live, answers, steps, strict=True):
        _fit(part, answer, step=step, stamps=stamps, query=query, now_unix_ms=now_unix_ms)
    return parts, grid


def _fit(part: Part, answer: Answer, *, step: int, stamps: Stamps, query: MatrixQuery, now_unix_ms: int) -> None:
    grid = stamps.grid_ms
    if step and grid % step:
        detail = f"its step of {step} ms does not divide the cluster's step of {grid} ms"
        part.outcomes = as_failures(part.outcomes, FailureKind.INCOMPATIBLE, detail)
        part.answer = None
        return
    if not answer.merged:
        part.outcomes = (_filled_up(part.outcomes[0], answer, step or grid, now_unix_ms),)
        if query.node_id and part.outcomes[0].node_id != query.node_id:
            part.answer = None
            return
    matrix = answer.matrix
    aligned = stamps.of(matrix.columns, step)
    column_nodes = answer.column_nodes
    if aligned is not matrix.columns:
        if column_nodes is not None and not np.array_equal(aligned, matrix.columns):
            _, starts = np.unique(aligned, return_index=True)
            column_nodes = np.maximum.reduceat(column_nodes, starts) if len(starts) else column_nodes
        matrix = with_columns(matrix, aligned)
    if query.window.from_unix_ms or query.window.to_unix_ms:
        bounds = query.window.bounds(matrix.columns)
        column_nodes = None if column_nodes is None else column_nodes[bounds]
        matrix = select_columns(matrix, bounds)
    if not answer.node_id and not answer.merged:
        catalogue = with_range_ids(matrix.catalogue)
        matrix = matrix if catalogue is matrix.catalogue else replace(matrix, catalogue=catalogue)
    if matrix is not answer.matrix:
        answer = replace(answer, matrix=matrix, column_nodes=column_nodes)
    part.answer = select_rows(answer, query.bucket_ids)


def _filled_up(outcome: Outcome, answer: Answer, step: int, now_unix_ms: int) -> Outcome:
    oldest = outcome.oldest_unix_ms or answer.oldest_unix_ms
    if not oldest and not answer.node_id and len(answer.matrix.columns):
        oldest = int(answer.matrix.columns[0])  # an older node does not say; what it sent is all that is known
    filled = outcome if oldest == outcome.oldest_unix_ms else replace(outcome, oldest_unix_ms=oldest)
    return with_warnings(filled, of_leaf(answer, step_ms=step, now_unix_ms=now_unix_ms))


def select_rows(answer: Answer, bucket_ids: Sequence[str]) -> Answer:
    """Only the rows named; names that do not exist are passed over. An empty selection means every row."""
    if not bucket_ids:
        return answer
    index = answer.matrix.catalogue.index
    return _take(answer, np.array(sorted({index[name] for name in bucket_ids if name in index}), np.int64))


def select_range(answer: Answer, keys: KeyRange) -> Answer:
    """Only the rows that have a key of the range, whole ones: an aggregate that reaches out of it stays as it is."""
    if keys == ALL_KEYS:
        return answer
    rows = answer.matrix.catalogue.rows
    return _take(answer, np.array([number for number, row in enumerate(rows) if keys.meets(row)], np.int64))


def _take(answer: Answer, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Answer:
    row_leaf_set = None if answer.row_leaf_set is None else answer.row_leaf_set[numbers]
    moved = {int(old): new for new, old in enumerate(numbers)}
    ranges = tuple(replace(item, row=moved[item.row]) for item in answer.leaf_ranges if item.row in moved)
    return replace(answer, matrix=take_rows(answer.matrix, numbers), row_leaf_set=row_leaf_set, leaf_ranges=ranges)


def take_rows(matrix: Matrix, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Matrix:
    """The rows of those (ascending) numbers."""
    shares = matrix.shares
    if len(shares):
        kept = np.isin(shares.rows, numbers)
        shares = Shares(
            np.searchsorted(numbers, shares.rows[kept]), shares.columns[kept], shares.codes[kept], shares.values[kept]
        )
    return Matrix(
        matrix.series,
        matrix.columns,
        Catalogue(tuple(matrix.catalogue.rows[number] for number in numbers.tolist())),
        matrix.values[numbers],
        matrix.identities,
        None if matrix.codes is None else matrix.codes[numbers],
        shares,
        soft=None if matrix.soft is None else matrix.soft[numbers],
        conflicts=None if matrix.conflicts is None else matrix.conflicts[numbers],
    )
