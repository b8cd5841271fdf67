"""Which merges are little: by all that a peer can make many of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.aggregator.effort import is_little
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import merge
from keyviz_grpc.model import Matrix, Series, Shares
from keyviz_grpc.outcome import Answer, LeafRange, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered.recollected import Recollected


@pytest.mark.parametrize(
    ("shape", "little"),
    [((3, 1024, 60), True), ((3, 1024, 100), False), ((16, 1024, 60), False), ((3, 8000, 3), False)],
)
def test_cells_and_rows_count(shape: tuple[int, int, int], little: bool) -> None:
    """A page of three nodes is little, many nodes, long windows and many rows are not."""
    assert is_little(cluster(Shape(*shape))) is little


def small() -> Answer:
    """One node's, of few cells."""
    return cluster(Shape(1, 4, 4))[0]


def with_shares(count: int) -> Matrix:
    """So many in one cell."""
    at, codes = np.zeros(count, np.int64), np.arange(1, count + 1, dtype=np.uint32)
    shares = Shares(at, at, codes, np.ones(count, np.uint64))
    return replace(small().matrix, shares=shares)


def test_shares_count_also_of_what_is_not_put_together() -> None:
    """A cell may list any number of them; asking puts nothing together."""
    many = with_shares(20_000)
    lazy = Recollected(Series.WRITES, many.catalogue, [(many, slice(0, 4))])
    assert not is_little([replace(small(), matrix=many)])
    assert not is_little([replace(small(), matrix=lazy)])
    with pytest.raises(AttributeError):
        object.__getattribute__(lazy, "values")


def test_leaves_and_their_ranges_count() -> None:
    """Of an aggregator below; and of one that carries them unmerged, the cells of each."""
    parts = cluster(Shape(70, 2, 2))
    assert not is_little([merge(parts, query=MatrixQuery(), now_unix_ms=1)])
    assert is_little([merge(parts[:3], query=MatrixQuery(), now_unix_ms=1)])
    ranges = tuple(LeafRange(0, number, b"a", b"b") for number in range(20_000))
    assert not is_little([replace(small(), leaf_ranges=ranges)])
    wide = cluster(Shape(3, 1024, 100))
    assert not is_little([merge(wide, query=MatrixQuery(unmerged=True), now_unix_ms=1)])


def test_failures_count_a_little() -> None:
    """A thousand dead peers have outcomes to be sorted and told."""
    failed: list[Answer | Outcome] = [Outcome("p", kind=FailureKind.UNREACHABLE)]
    assert is_little(failed * 10)
    assert not is_little(failed * 1000)
