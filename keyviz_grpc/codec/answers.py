"""Whole answers on their way in."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec import known
from keyviz_grpc.codec.apart import Large
from keyviz_grpc.codec.outcomes import decode_leaf_ranges, decode_leaf_sets, decode_outcomes
from keyviz_grpc.codec.row_form import decode_rows
from keyviz_grpc.codec.rows_as_bytes import Traffic, plain
from keyviz_grpc.codec.times import moment_ms, step_ms
from keyviz_grpc.codec.unpacking import decode_columnar
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model import Catalogue, Matrix, Series, check_columns
from keyviz_grpc.outcome import Answer, History, LeafRange, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb

MAX_CELLS: Final = 100_000_000


def decode_answer(
    response: pb.GetKeyVizMatrixResponse,
    *,
    series: Series,
    outcome: Outcome,
    max_cells: int = MAX_CELLS,
    rows: Catalogue | None = None,
    large: Large | None = None,
) -> Answer:
    """The model of an answer; `outcome` says whom it came from and how long it took, the answer fills up the rest.

    rows: those of an answer that may leave out what its caller knows, None where nothing was said to be known.
    large: what the message lacks because it is read where it came (`set_apart`).
    The message is used up: its rows may lose their traffic. Raises MalformedAnswer that names the broken law and its
    place, TooLarge for more than `max_cells` cells; numbers of rows are read before that is looked at, and are no more
    than their bytes, which were paid for. A merged answer (one that has outcomes) keeps its leaves' own
    outcomes.
    """
    traffic = Traffic.of(response, outcome.address) if response.rows else None
    if traffic is None and response.rows:
        response = plain(response)
    columns = _columns_of(response, large)
    stated = _stated(outcome, response)
    history = _decode_history(response)
    rows = _left_out(history, rows)
    matrix = _decode_matrix(response, series, columns, max_cells=max_cells, rows=rows, large=large, traffic=traffic)
    _check_aggregates(matrix.catalogue, response.node_id)
    merged = bool(response.outcomes)  # only an answer of many leaves has books of them
    outcomes = decode_outcomes(response.outcomes) if merged else (stated,)
    books = _decode_books(response, matrix.shape, len(outcomes)) if merged else NO_BOOKS
    return Answer(
        matrix,
        outcomes,
        node_id=response.node_id,  # not what the outcome knows from elsewhere: older nodes follow rules of their own
        incarnation=response.incarnation,
        step_ms=stated.step_ms,
        generated_at_unix_ms=stated.generated_at_unix_ms,
        oldest_unix_ms=stated.oldest_unix_ms,
        merged=merged,
        column_nodes=books.column_nodes,
        leaf_sets=books.leaf_sets,
        row_leaf_set=books.row_leaf_set,
        leaf_ranges=books.leaf_ranges,
        leaf_answers=_decode_leaf_answers(response, series, outcomes, max_cells) if response.leaf_answers else (),
        revision=response.revision,
        history=None if merged else history,
    )


def _columns_of(response: pb.GetKeyVizMatrixResponse, large: Large | None) -> NDArray[np.int64]:
    if large is not None and large.columns is not None:
        return large.columns
    columns = known.columns_like(np.array(response.column_unix_ms, np.int64), _check_columns)
    if large is not None and large.stamps:
        known.meet_columns(large.stamps, columns)
    return columns


def _check_columns(columns: NDArray[np.int64]) -> None:
    if len(columns):
        moment_ms("column_unix_ms", int(columns.max()))
    check_columns(columns)


def _stated(outcome: Outcome, response: pb.GetKeyVizMatrixResponse) -> Outcome:
    """By hand, for many are: `replace` takes twice as long."""
    return Outcome(
        outcome.address,
        response.node_id or outcome.node_id,
        outcome.kind,
        outcome.detail,
        outcome.warnings,
        moment_ms("generated_at_unix_ms", response.generated_at_unix_ms),
        outcome.latency_ms,
        response.incarnation or outcome.incarnation,
        step_ms("step_ms", response.step_ms),
        moment_ms("oldest_unix_ms", response.oldest_unix_ms),
        outcome.newest_unix_ms,
    )


def _decode_history(response: pb.GetKeyVizMatrixResponse) -> History | None:
    if not response.HasField("history"):
        return None
    told = response.history
    if not told.number:
        raise MalformedAnswer("history: number must not be 0")
    newest = moment_ms("history: newest_unix_ms", told.newest_unix_ms)
    below = moment_ms("history: left_out_below_unix_ms", told.left_out_below_unix_ms)
    return History(told.number, newest, below, told.left_out_columns)


def _left_out(history: History | None, rows: Catalogue | None) -> Catalogue | None:
    """The rows of an answer that leaves out columns and rows, of those that are known; None of one that does not."""
    if history is None or not history.left_out_below_unix_ms:
        return None
    if rows is None:
        raise MalformedAnswer("history: columns are left out, of which nobody said that they are known")
    return rows


def _decode_matrix(
    response: pb.GetKeyVizMatrixResponse,
    series: Series,
    columns: NDArray[np.int64],
    *,
    max_cells: int,
    rows: Catalogue | None,
    large: Large | None,
    traffic: Traffic | None,
) -> Matrix:
    if rows is not None and not response.HasField("columnar"):
        if response.rows or len(columns):
            raise MalformedAnswer("history: columns are left out, and the rest is not in columnar form")
        return Matrix(series, columns, rows, np.zeros((len(rows), 0), np.uint64))
    if response.HasField("columnar"):
        if response.rows:
            raise MalformedAnswer("both rows and columnar are filled")
        return decode_columnar(
            response.columnar,
            series=series,
            columns=columns,
            max_cells=max_cells,
            rows=rows,
            node_id=response.node_id,
            large=large,
        )
    return decode_rows(response, traffic, series, columns, max_cells=max_cells)


def _check_aggregates(catalogue: Catalogue, node_id: str) -> None:
    # An older node's aggregates are told apart by range alone.
    if not node_id and catalogue.aggregated_twice is not None:
        start, end = catalogue.aggregated_twice
        raise MalformedAnswer(f"two aggregates have the range start={start!r}, end={end!r}")


class Books(NamedTuple):
    """Which leaves hold what, see `Answer`."""

    column_nodes: NDArray[np.int64] | None
    leaf_sets: tuple[tuple[int, ...], ...]
    row_leaf_set: NDArray[np.int64] | None
    leaf_ranges: tuple[LeafRange, ...]


NO_BOOKS: Final = Books(None, (), None, ())


def _decode_books(response: pb.GetKeyVizMatrixResponse, shape: tuple[int, int], leaves: int) -> Books:
    nodes = np.array(response.column_nodes, np.int64) if response.column_nodes else np.zeros(shape[1], np.int64)
    if len(nodes) != shape[1]:
        raise MalformedAnswer(f"column_nodes has {len(nodes)} entries for {shape[1]} columns")
    if len(nodes) and int(nodes.max()) > leaves:
        raise MalformedAnswer(f"column_nodes: {int(nodes.max())} nodes of {leaves} leaves")
    sets = decode_leaf_sets(response.leaf_sets, leaves)
    numbers = np.array(response.row_leaf_set, np.int64) if response.row_leaf_set else None
    if numbers is not None and (len(numbers) != shape[0] or int(numbers.max()) >= len(sets)):
        raise MalformedAnswer(f"row_leaf_set: {len(numbers)} entries for {shape[0]} rows, {len(sets)} sets")
    return Books(nodes, sets, numbers, decode_leaf_ranges(response.leaf_ranges, rows=shape[0], leaves=leaves))


def _decode_leaf_answers(
    response: pb.GetKeyVizMatrixResponse, series: Series, outcomes: tuple[Outcome, ...], max_cells: int
) -> tuple[tuple[int, Answer], ...]:
    own = []
    for item in response.leaf_answers:
        if item.leaf >= len(outcomes) or item.answer.leaf_answers or not response.outcomes:
            raise MalformedAnswer(f"leaf_answers: leaf {item.leaf} of {len(outcomes)}, or an answer inside an answer")
        answer = decode_answer(item.answer, series=series, outcome=outcomes[item.leaf], max_cells=max_cells)
        own.append((item.leaf, replace(answer, outcomes=(outcomes[item.leaf],))))
    return tuple(own)
