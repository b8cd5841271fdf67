"""Who holds which row below is looked at in each answer that tells it, however often its rows were joined before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge import merge
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery

FIRST, SECOND = Row("route:1", b"", b"m"), Row("route:2", b"m", b"")


def answer(*names: str, rows: tuple[Row, ...]) -> Answer:
    """Of one node, or of an aggregator of several; a read in every row."""
    columns, values = np.array([10_000], np.int64), np.ones((len(rows), 1), np.uint64)
    outcomes = tuple(Outcome(f"{name}:1", node_id=name, incarnation=1, step_ms=1000) for name in names)
    is_node = len(names) == 1
    return Answer(
        Matrix(Series.READS, columns, Catalogue(rows), values),
        outcomes,
        node_id=names[0] if is_node else "below",
        incarnation=1,
        step_ms=1000,
        merged=not is_node,
        column_nodes=None if is_node else np.array([len(names)]),
    )


def holders(*parts: Answer) -> list[tuple[int, ...]]:
    """The leaves of each row."""
    made = merge(parts, query=MatrixQuery(Series.READS), now_unix_ms=11_000, node_id="agg", incarnation=5)
    sets: NDArray[np.int64] | None = made.row_leaf_set
    assert sets is not None
    return [made.leaf_sets[number] for number in sets.tolist()]


def test_other_holders_of_the_same_rows_are_told() -> None:
    """The very same catalogues and leaves: in turn as the aggregator below says it, and where it says nothing."""
    node, below = answer("a", rows=(FIRST,)), answer("b", "c", rows=(FIRST, SECOND))
    one, other = (
        replace(below, leaf_sets=((0,), (0, 1)), row_leaf_set=np.array(numbers)) for numbers in ([0, 1], [1, 0])
    )
    for _ in range(2):
        assert holders(node, one) == [(0, 1), (1, 2)]
        assert holders(node, other) == [(0, 1, 2), (1,)]
        assert holders(node, below) == [(0, 1, 2), (1, 2)]
