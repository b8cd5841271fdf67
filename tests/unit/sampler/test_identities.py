"""Identities are numbered anew once no column holds them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from keyviz_grpc.model import Matrix, Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.sampler.identities import SPARE, Identities


def shares_of(matrix: Matrix) -> dict[tuple[int, int, int, int], int]:
    """Writes by (row, stamp, group, term), from shares where there are some, else from the cell."""
    found: dict[tuple[int, int, int, int], int] = {}
    arrays = matrix.identity_arrays()
    stamps = matrix.columns.tolist()
    shares = matrix.shares
    listed = zip(
        shares.rows.tolist(), shares.columns.tolist(), shares.codes.tolist(), shares.values.tolist(), strict=True
    )
    for row, column, code, value in listed:
        group, term = matrix.identities[code].tolist()
        found[row, stamps[column], group, term] = value
    split = {(row, stamp) for row, stamp, _, _ in found}
    for row, column in np.argwhere(matrix.values).tolist():
        if (row, stamps[column]) not in split:
            assert arrays is not None
            group, term = int(arrays[0][row, column]), int(arrays[1][row, column])
            found[row, stamps[column], group, term] = int(matrix.values[row, column])
    return found


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_terms_leave_no_trace(seed: int) -> None:
    """Each write keeps the term under which it came in, late ones too, and the table stays small."""
    chance = random.Random(seed)
    now_s = 100_000.0
    truth: dict[tuple[int, int, int, int], int] = {}
    with Sampler(node_id="n", step_ms=1000, columns=20, stall_s=1e9, clock=lambda: now_s) as sampler:
        sampler.register_routes([Route(1, b"", b"m", 1), Route(2, b"m", b"", 2)])
        terms = {1: 1, 2: 1}
        for group in terms:
            sampler.set_leader(group, 1)
        for turn in range(4000):
            group = chance.choice((1, 2))
            terms[group] += 1
            sampler.set_leader(group, terms[group])
            stamp = (int(now_s * 1000) // 1000 + 1) * 1000
            if chance.random() < 0.7:
                sampler.observe(group, b"k", Op.WRITE, 1)
                key = (group - 1, stamp, group, terms[group])
                truth[key] = truth.get(key, 0) + 1
            if chance.random() < 0.05:
                late = stamp - 5000
                sampler.observe_many([group], [b"k"], [1], [1], at_unix_ms=[late - 1])
                key = (group - 1, late, group, terms[group])
                truth[key] = truth.get(key, 0) + 1
            now_s += chance.choice((0.0, 0.1, 0.4))
            if turn % 40 == 39:
                now_s += 1.0  # a late operation is shown once the window that was open then has closed
                matrix = sampler.matrix(MatrixQuery(Series.WRITES)).matrix
                held = set(matrix.columns.tolist())
                assert shares_of(matrix) == {key: count for key, count in truth.items() if key[1] in held}
        assert len(matrix.identities) <= 2 * 20 * 12 + SPARE
        assert len(sampler._counting.identities.table) <= 3 * SPARE


def test_a_table_that_was_handed_out_stays_what_it_was() -> None:
    """A reader holds it beside columns of its time."""
    identities = Identities()
    code = identities.add((1, 1))
    before = identities.table
    identities.release(1, ())
    assert identities.known((1, 1)) is None
    assert identities.add((2, 5)) == code
    assert before.tolist() == [[0, 0], [1, 1]]
    assert identities.table.tolist() == [[0, 0], [2, 5]]


def test_what_is_in_use_is_kept() -> None:
    """By a column that is held, or by what is open."""
    identities = Identities()
    first, second, third = (identities.add((1, term)) for term in (1, 2, 3))
    identities.mark_used(np.array([first], np.uint8), 5000)
    identities.release(5000, [second])
    assert [identities.known((1, term)) for term in (1, 2, 3)] == [first, second, None]
    identities.release(5001, [])
    assert len(identities) == 1
    assert third not in (first, second)
