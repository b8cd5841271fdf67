"""A matrix of which most is remembered is merged as any other one."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.merge import merge
from keyviz_grpc.merge.columns import with_columns
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered.blocks import Narrow
from keyviz_grpc.remembered.recollected import Recollected


def node(stamps: list[int], name: str, step_ms: int, *, remembered: bool = False) -> Answer:
    """With traffic in as many columns as there are stamps, its first ones remembered."""
    made = cluster(Shape(1, 20, len(stamps)))[0].matrix
    plain = with_columns(made, np.array(stamps, np.int64))
    matrix: Matrix = plain
    if remembered:
        before, end = Narrow.of(plain), len(stamps)
        matrix = Recollected(plain.series, plain.catalogue, [(before, slice(0, 1)), (plain, slice(1, end))])
    outcome = Outcome(name, node_id=name, step_ms=step_ms)
    return Answer(matrix, (outcome,), node_id=name, incarnation=1, step_ms=step_ms)


def told(parts: list[Answer]) -> bytes:
    """The merged answer."""
    merged = merge(parts, query=MatrixQuery(Series.WRITES), now_unix_ms=9000)
    return encode_answer(merged).SerializeToString(deterministic=True)


@pytest.mark.parametrize("stamps", [[1000, 3000], [1000, 2000, 3000], [2000, 4000]], ids=["apart", "together", "on it"])
def test_a_finer_step(stamps: list[int]) -> None:
    """While the step of a cluster is changed: alone in their windows, added up, and on the coarser grid."""
    others = [node([2000, 4000], name, 2000) for name in ("b", "c")]
    whole, remembered = (told([node(stamps, "a", 1000, remembered=known), *others]) for known in (False, True))
    assert remembered == whole


def test_stamps_beside_the_grid() -> None:
    """A node that tells its history may send any."""
    others = [node([2000, 4000], "b", 2000)]
    whole, remembered = (told([node([2100, 4100], "a", 2000, remembered=known), *others]) for known in (False, True))
    assert remembered == whole


def test_the_newest_columns_are_a_matrix_only_where_they_are_all_of_it() -> None:
    """Of one that is cut, or that has rows of its own, a view is made."""
    plain = with_columns(cluster(Shape(1, 20, 3))[0].matrix, np.array([1000, 2000, 3000], np.int64))
    rows = plain.catalogue
    whole = Recollected(plain.series, rows, [(plain, slice(0, 3))])
    assert whole.since(1000) is plain
    cut = whole.since(2000)
    assert cut.columns.tolist() == [2000, 3000]
    assert cut.values.tolist() == plain.values[:, 1:].tolist()
    assert Recollected(plain.series, rows, [(plain, slice(0, 2))]).since(1000).columns.tolist() == [1000, 2000]
    other = Recollected(plain.series, Catalogue(rows.rows), [(plain, slice(0, 3))])
    assert other.since(1000) is not plain
    assert other.since(1000).catalogue is other.catalogue


@pytest.mark.parametrize("start", range(0, 8000, 500))
def test_the_newest_columns_of_many_pieces_are_those_of_the_whole(start: int) -> None:
    """Also of a piece that is cut at both ends, and beside one of which nothing is left."""
    plain = with_columns(cluster(Shape(1, 20, 7))[0].matrix, np.arange(1000, 8000, 1000))
    blocks = [(plain, part) for part in (slice(0, 2), slice(2, 2), slice(2, 5), slice(5, 5), slice(5, 6))]
    newest = Recollected(plain.series, plain.catalogue, blocks).since(start)
    inside = (plain.columns >= start) & (plain.columns < 7000)
    assert newest.columns.tolist() == plain.columns[inside].tolist()
    assert newest.values.tolist() == plain.values[:, inside].tolist()
