"""A matrix carried on from the one before is the matrix made from nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from keyviz_grpc.model import Catalogue, Matrix, Series, Window
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler, assembled
from keyviz_grpc.sampler.history import Columns


def told(matrix: Matrix) -> list[object]:
    """Everything that an answer shows, as plain values."""
    shares = matrix.shares
    optional = (matrix.codes, matrix.soft, matrix.conflicts)
    return [
        matrix.columns.tolist(),
        matrix.catalogue,
        matrix.values.tolist(),
        matrix.identities.tolist(),
        [None if array is None else array.tolist() for array in optional],
        *[array.tolist() for array in (shares.rows, shares.columns, shares.codes, shares.values)],
    ]


def at_once(sampler: Sampler, query: MatrixQuery) -> Matrix | None:
    """What is there without a thread; one of no columns tells no identities, and is not looked at."""
    soon = sampler.matrix_at_once(query)
    return None if soon is None or not len(soon.matrix.columns) else soon.matrix


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("one_in", [1, 2])
def test_polls_tell_what_a_fresh_node_would_tell(seed: int, one_in: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While windows close, leaders change, routes split, old columns are counted into, and windows asked for differ."""
    carried_on: list[int] = []
    whole = assembled._carried_on

    def counting(
        old: assembled.Earlier, stamps: NDArray[np.int64], held: Columns, state: assembled.State, rows: Catalogue
    ) -> Matrix:
        carried_on.append(len(stamps))
        return whole(old, stamps, held, state, rows)

    monkeypatch.setattr(assembled, "_carried_on", counting)
    chance = random.Random(seed)
    soons, now_s = 0, 10_000.0
    with Sampler(
        node_id="n", step_ms=1000, columns=30, stall_s=1e9, clock=lambda: now_s, sample_one_in=one_in, slices=2
    ) as sampler:
        routes = [Route(n, b"%d" % n, b"%d" % (n + 1), n % 2 + 1) for n in range(1, 6)]
        sampler.register_routes(routes)
        for turn in range(120):
            for _ in range(chance.randrange(12)):
                route = chance.choice(routes)
                key = route.start + bytes([chance.randrange(256)])
                sampler.observe(route.route_id, key, chance.choice((Op.READ, Op.WRITE)), chance.randrange(9))
            if chance.random() < 0.1:
                sampler.set_leader(chance.randrange(1, 3), turn + 1)
            if chance.random() < 0.05:
                old = chance.choice(routes)
                sampler.register_routes([Route(old.route_id, old.start, old.end, 3 - old.raft_group_id)])
            if chance.random() < 0.05:
                sampler.register_routes([Route(1, b"1", b"2", 1, slices=chance.randrange(1, 4))])
            if chance.random() < 0.05:
                late = int(now_s * 1000) - 3000
                sampler.observe_many([2], [b"2"], [1], [5], at_unix_ms=[late])
            now_s += chance.choice((0.3, 1.0))
            window = Window(*chance.choice(((0, 0), (int(now_s * 1000) - 9000, 0), (0, int(now_s * 1000) - 5000))))
            query = MatrixQuery(chance.choice(list(Series)), window)
            soon = at_once(sampler, query)
            soons += soon is not None
            carried = sampler.matrix(query).matrix if soon is None else soon
            sampler._assembled.clear()
            assert told(carried) == told(sampler.matrix(query).matrix)
            if chance.random() < 0.7:
                for series in Series:
                    sampler.matrix(MatrixQuery(series))
    assert len(carried_on) > 30
    assert soons > 10


def test_an_old_poll_is_not_altered_by_a_later_one() -> None:
    """Matrices are handed out read-only, and stay as they were told."""
    now_s = 10_000.0
    with Sampler(node_id="n", step_ms=1000, stall_s=1e9, clock=lambda: now_s) as sampler:
        sampler.register_routes([Route(1, b"", b"", 1)])
        sampler.observe(1, b"a", Op.WRITE, 1)
        now_s += 3
        first = sampler.matrix(MatrixQuery()).matrix
        kept = told(first)
        sampler.observe(1, b"a", Op.WRITE, 1)
        now_s += 1
        second = sampler.matrix(MatrixQuery()).matrix
        assert told(first) == kept
        assert second.values[0].tolist() == [1, 0, 0, 1]
        assert not np.shares_memory(first.values, second.values)


@pytest.mark.parametrize(("columns", "kept"), [(3, 2), (4, 1), (7, 0)])
def test_matrices_are_kept_that_fit_together(columns: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large one is: those that were made before give way to it."""
    monkeypatch.setattr(assembled, "KEPT_BYTES", 6 * 8)
    monkeypatch.setattr(assembled, "MADE_AT_ONCE_COLUMNS", 0)
    now_s = 10_000.0
    with Sampler(node_id="n", step_ms=1000, stall_s=1e9, clock=lambda: now_s, drain_interval_s=3600) as sampler:
        sampler.register_routes([Route(1, b"", b"", 1)])
        now_s += columns
        sampler.tick()
        queries = [MatrixQuery(series) for series in (Series.READS, Series.READ_BYTES, Series.WRITE_BYTES)]
        for query in queries:
            sampler.matrix(query)
        there = [sampler.matrix_at_once(query) is not None for query in queries]
        assert there == [False] * (3 - kept) + [True] * kept


def test_a_new_leader_leaves_the_columns_before_it_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the column that closed is read; terms in between those that are known are told all the same."""
    reads: list[int] = []
    whole = assembled._read

    def counting(series: Series, held: Columns, state: assembled.State, rows: Catalogue) -> Matrix:
        reads.append(len(held))
        return whole(series, held, state, rows)

    monkeypatch.setattr(assembled, "_read", counting)
    now_s = 10_000.0
    with Sampler(node_id="n", step_ms=1000, stall_s=1e9, clock=lambda: now_s, drain_interval_s=3600) as sampler:
        sampler.register_routes([Route(1, b"", b"m", 1), Route(2, b"m", b"", 2)])
        for term in (5, 9, 7):
            sampler.set_leader(1, term)
            for _ in range(4):
                sampler.observe(1, b"a", Op.WRITE, 1)
                now_s += 1
                sampler.tick()
                matrix = sampler.matrix(MatrixQuery()).matrix
        assert reads == [1] * 12
        arrays = matrix.identity_arrays()
        assert arrays is not None
        assert arrays[1].tolist() == [[5] * 4 + [9] * 4 + [7] * 4, [0] * 12]


def test_counts_are_as_narrow_as_they_were_counted() -> None:
    """Whether read, or carried on; a larger one makes all of them wider, and nothing is lost."""
    now_s = 10_000.0
    with Sampler(node_id="n", step_ms=1000, stall_s=1e9, clock=lambda: now_s, drain_interval_s=3600) as sampler:
        sampler.register_routes([Route(1, b"", b"", 1)])
        told: list[int] = []
        for size, kind in ((1, np.uint8), (200, np.uint8), (70_000, np.uint32), (3, np.uint32), (1 << 33, np.uint64)):
            sampler.observe(1, b"", Op.WRITE, size)
            told.append(size)
            now_s += 1
            matrix = sampler.matrix(MatrixQuery(Series.WRITE_BYTES)).matrix
            assert matrix.narrowest.dtype == kind
            assert matrix.narrowest[0].tolist() == told
        assert matrix.values.dtype == np.uint64
        assert matrix.values[0].tolist() == told


def test_callers_with_roles_and_without_share_their_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put together anew where two of their own would find no room; each goes on from the other's columns."""
    monkeypatch.setattr(assembled, "KEPT_BYTES", (8 + 4) * 2 * 8 + 100)
    made: list[tuple[str, int]] = []
    read, carried_on = assembled._read, assembled._carried_on

    def reading(series: Series, held: Columns, state: assembled.State, rows: Catalogue) -> Matrix:
        made.append(("read", len(held)))
        return read(series, held, state, rows)

    def carrying_on(
        old: assembled.Earlier, stamps: NDArray[np.int64], held: Columns, state: assembled.State, rows: Catalogue
    ) -> Matrix:
        made.append(("carried on", len(stamps)))
        return carried_on(old, stamps, held, state, rows)

    monkeypatch.setattr(assembled, "_read", reading)
    monkeypatch.setattr(assembled, "_carried_on", carrying_on)
    now_s = 10_000.0
    with Sampler(node_id="n", step_ms=1000, columns=8, stall_s=1e9, clock=lambda: now_s) as sampler:
        sampler.register_routes([Route(1, b"", b"m", 1), Route(2, b"m", b"", 1)])
        sampler.set_leader(1, 3)
        for column in range(12):
            sampler.observe(1, b"a", Op.WRITE, 1)
            if column == 10:
                sampler.observe(2, b"x", Op.READ, 1)  # a role more, which alters no cell
            now_s += 1
            made.clear()
            asked = [MatrixQuery(without_roles=(column + turn) % 2 == 0) for turn in range(4)]
            first, other, *again = [sampler.matrix(query).matrix for query in asked]
            assert made == ([("carried on", min(8, column + 1)), ("read", 1)] if column else [("read", 1)])
            assert again == [first, other], "the very same objects"
            assert (first.narrowest is other.narrowest, first.codes is other.codes) == (True, True)
            roles = [[row.sample_roles for row in matrix.catalogue.rows] for matrix in (first, other)]
            assert roles[column % 2] == [(), ()]
            assert roles[1 - column % 2] == [(1,), () if column < 10 else (3,)]


def test_a_split_leaves_all_cells_before_it_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the column that closed is read, in the rows of both halves; shares stay with their rows, in their order."""
    reads: list[int] = []
    whole = assembled._read

    def reading(series: Series, held: Columns, state: assembled.State, rows: Catalogue) -> Matrix:
        reads.append(len(held))
        return whole(series, held, state, rows)

    monkeypatch.setattr(assembled, "_read", reading)
    now_s = 10_000.0
    with Sampler(
        node_id="n", step_ms=1000, columns=5, stall_s=1e9, clock=lambda: now_s, drain_interval_s=60
    ) as sampler:
        sampler.register_routes([Route(1, b"d", b"k", 1), Route(2, b"k", b"p", 1), Route(3, b"p", b"", 2)])
        for column in range(9):
            if column == 2:
                sampler.remove_routes([3])
            if column == 3:
                sampler.register_routes([Route(1, b"d", b"f", 1), Route(4, b"f", b"k", 1), Route(5, b"a", b"b", 2)])
            routes = (1, 2, 3) if column < 2 else (1, 2) if column < 3 else (1, 2, 4, 5)
            for term in (2 * column + 1, 2 * column + 2):
                sampler.set_leader(1, term)
                sampler.set_leader(2, term)
                for route in routes:
                    sampler.observe(route, b"x", Op.WRITE, 1)
            now_s += 1
            reads.clear()
            carried = sampler.matrix(MatrixQuery()).matrix
            assert reads == [1]
            assert told(carried) == told(fresh(sampler))
        assert [row.bucket_id for row in carried.catalogue.rows] == ["route:5", "route:1", "route:4", "route:2"]


def fresh(sampler: Sampler) -> Matrix:
    """The matrix made from nothing; what was there before goes on to be there."""
    kept, sampler._assembled._kept = sampler._assembled._kept, []
    try:
        return sampler.matrix(MatrixQuery()).matrix
    finally:
        sampler._assembled._kept = kept


def test_rows_whose_cells_may_be_soft_are_read_anew() -> None:
    """Where a part is counted, that nothing was kept proves nothing, nor of a row that was not shown for a while."""
    now_s = 10_000.0
    both = [Route(1, b"", b"m", 1), Route(2, b"m", b"", 1)]
    with Sampler(node_id="n", step_ms=1000, stall_s=1e9, clock=lambda: now_s, sample_one_in=100) as sampler:
        sampler.register_routes(both)
        sampler.matrix(MatrixQuery())
        now_s += 3
        sampler.remove_routes([2])
        assert len(sampler.matrix(MatrixQuery()).matrix.catalogue) == 1
        now_s += 1
        sampler.register_routes(both)
        carried = sampler.matrix(MatrixQuery()).matrix
        assert carried.soft is not None
        assert told(carried) == told(fresh(sampler))
