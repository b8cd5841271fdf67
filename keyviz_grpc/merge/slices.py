"""One answer from the answers to consecutive slices of time of one peer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.merge.cells import merge_cells
from keyviz_grpc.merge.entries import Placed
from keyviz_grpc.merge.rows import join
from keyviz_grpc.outcome import Answer


def join_in_time(slices: Sequence[Answer]) -> Answer:
    """What the peer would have said to the whole range; `slices` in ascending order of time, at least one.

    Metadata is that of the newest slice. A row that a slice lacks is zero there. Raises MalformedAnswer where the
    slices cannot be parts of one answer: columns that repeat or go back, another life of the node in between, or an
    aggregator whose leaves or rows changed meanwhile.
    """
    if len(slices) == 1:
        return slices[0]
    newest = slices[-1]
    _check(slices)
    columns = np.concatenate([part.matrix.columns for part in slices])
    if (np.diff(columns) <= 0).any():
        raise MalformedAnswer("slices of time hold columns twice or out of order")
    joined = join([part.matrix.catalogue for part in slices])
    starts = np.cumsum([0, *(len(part.matrix.columns) for part in slices)])
    placed = [
        Placed(part.matrix, rows, np.arange(start, start + len(part.matrix.columns)))
        for part, rows, start in zip(slices, joined.maps, starts.tolist(), strict=False)
    ]
    # No cell has two sources, so the rule for merging peers places every cell as it is.
    matrix = merge_cells(placed, newest.matrix.series, columns, joined.catalogue)
    nodes = [part.column_nodes for part in slices if part.column_nodes is not None]
    return replace(newest, matrix=matrix, column_nodes=np.concatenate(nodes) if nodes else None)


def _check(slices: Sequence[Answer]) -> None:
    newest = slices[-1]
    life = [(o.node_id, o.incarnation, o.kind) for o in newest.outcomes]
    for part in slices:
        if [(o.node_id, o.incarnation, o.kind) for o in part.outcomes] != life:
            raise MalformedAnswer("the peer restarted, or a node below it came or went, between slices of time")
        if (part.column_nodes is None) != (newest.column_nodes is None) or part.leaf_answers:
            raise MalformedAnswer("slices of time are answers of different kinds")
        if newest.merged and not _same_rows(part, newest):
            raise MalformedAnswer("the rows of an aggregator changed between slices of time")


def _same_rows(one: Answer, other: Answer) -> bool:
    if one.matrix.catalogue != other.matrix.catalogue or one.leaf_sets != other.leaf_sets:
        return False
    if one.row_leaf_set is None or other.row_leaf_set is None:
        return one.row_leaf_set is other.row_leaf_set and one.leaf_ranges == other.leaf_ranges
    return one.leaf_ranges == other.leaf_ranges and np.array_equal(one.row_leaf_set, other.row_leaf_set)
