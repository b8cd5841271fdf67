"""Answers that are built at once, where there is room for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.aggregator.building import Building
from keyviz_grpc.aggregator.extent import Holdings
from keyviz_grpc.bytes_budget import MERGED_CELL_BYTES, BytesBudget
from keyviz_grpc.merge.columns import select_columns
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, History
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import Shelf
from keyviz_grpc.remembered.recollected import Recollected

COLUMNS = 8
QUERY = MatrixQuery(rows=1024, for_display=True)


def node(first: int, end: int) -> list[Answer]:
    """One alone, with those columns, which are put together from memory."""
    answer = cluster(Shape(1, 30, COLUMNS + 2))[0]
    matrix = select_columns(answer.matrix, slice(first, end))
    told = Recollected(Series.WRITES, matrix.catalogue, [(matrix, slice(0, end - first))])
    return [replace(answer, matrix=told, history=History(7, int(matrix.columns[-1])))]


def holdings(cells: int) -> Holdings:
    """Room for a picture of so many cells."""
    return Holdings(BytesBudget(cells * MERGED_CELL_BYTES))


@pytest.mark.parametrize("first", [0, 1], ids=["nothing new", "a new column"])
def test_nothing_is_built_without_room(first: int) -> None:
    """Whoever builds it after that says in which words it is refused."""
    building = Building(node_id="gw", incarnation=3, wall_clock=lambda: 5.0, remembered=Shelf(1 << 24))
    for end in (COLUMNS, COLUMNS + 1):
        building.built(node(0, end), QUERY, holdings(1 << 20))
    asked = node(first, COLUMNS + 1 + first)
    cells = asked[0].matrix.cells
    assert building.at_once(asked, QUERY, holdings(cells - 1)) is None
    answer = building.at_once(asked, QUERY, holdings(cells))
    assert answer is not None
    assert answer.matrix.columns.tolist() == asked[0].matrix.columns.tolist()
