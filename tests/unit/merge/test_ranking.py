"""Which rows stay single where totals are beyond 64 bits."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.merge import fold
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome

TOP = 2**64 - 1


@pytest.mark.parametrize("top", [TOP, 2**62 + 2**59, 2**61])
@pytest.mark.parametrize("near", [1, 2**31, 2**32, 2**33, 2**62])
@pytest.mark.parametrize("seed", range(8))
def test_the_hottest_row_stays_single_however_large_its_total(top: int, near: int, seed: int) -> None:
    """Five rows of three huge cells that are `near` below the top at most; room for one row and what is beside it.

    The totals are far above 64 bits, on both sides of 63, or below 63 where five of them are not.
    """
    chance = np.random.default_rng(seed)
    values = [[max(0, top - int(chance.integers(0, near))) for _ in range(3)] for _ in range(5)]
    totals = [sum(row) for row in values]
    hottest = totals.index(max(totals))
    rows = tuple(Row(f"route:{number}", b"%d" % number, b"%d" % (number + 1)) for number in range(5))
    matrix = Matrix(Series.READS, np.array([1000, 2000, 3000], np.int64), Catalogue(rows), np.array(values, np.uint64))
    answer = Answer(matrix, (Outcome("n1", node_id="n1", incarnation=1, step_ms=1000),), node_id="n1", step_ms=1000)
    folded = fold(answer, 3, shares=False)
    single = [row.bucket_id for row in folded.matrix.catalogue.rows if not row.aggregate]
    assert len(folded.matrix.catalogue) <= 3
    assert f"route:{hottest}" in single
