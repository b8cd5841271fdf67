"""A picture that goes on with the one before is, cell by cell, what both are made of; what is shown already stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyviz_grpc.model import Catalogue, Details, Matrix, Row, Series, Shares
from keyviz_grpc.remembered import continues, room
from keyviz_grpc.remembered.blocks import size_bytes_of
from keyviz_grpc.remembered.continued import Continued
from keyviz_grpc.remembered.going_on import extended, goes_on
from keyviz_grpc.remembered.joining import joined, united
from keyviz_grpc.remembered.room import Place, Room
from keyviz_grpc.traffic import Leaders

ROWS = 6
CATALOGUE = Catalogue(tuple(Row(f"route:{n}", b"%03d" % n, b"%03d" % (n + 1)) for n in range(ROWS)))
TABLES = [
    np.array(rows, np.uint64)
    for rows in (
        [[0, 0], [1, 1], [1, 2]],
        [[0, 0], [1, 2]],
        [[0, 0], [1, 1], [1, 2], [3, 1]],
        [[0, 0], [2**32 + 1, 1]],
        [[0, 0], [1, 2**32 + 2]],
    )
]


def drawn(chance: np.random.Generator, first: int, width: int, series: Series = Series.WRITES) -> Matrix:
    """Rows under one leader or several, some of them unknown, and some without traffic; marks in some of its cells."""
    shape = (ROWS, width)
    values = chance.integers(0, chance.choice([2, 200, 70_000]), shape, np.uint64)
    values[chance.random(ROWS) < 0.3] = 0
    table = TABLES[chance.integers(len(TABLES))]
    codes = np.broadcast_to(chance.integers(0, len(table), (ROWS, 1), np.uint32), shape).copy()
    codes[chance.random(shape) < 0.1] = len(table) - 1
    codes[values == 0] = 0
    soft, conflicts = ((chance.random(shape) < 0.1) if chance.random() < 0.5 else None for _ in range(2))
    columns = np.arange(first, first + width) * 1000
    narrow = values.astype(np.min_scalar_type(int(values.max(initial=0))))
    if not series.is_write:
        return Matrix.of_counts(series, columns, CATALOGUE, narrow, None, soft=soft, conflicts=conflicts)
    told = Leaders.found(values, codes)
    leaders = told if told.any else None
    return Matrix.of_leaders(
        series, columns, CATALOGUE, narrow, leaders, identities=table, soft=soft, conflicts=conflicts
    )


def cells_of(matrix: Matrix) -> list[object]:
    """All that it says, and that its leaders say the same as its codes."""
    identities, none = matrix.identity_arrays(), np.zeros(matrix.shape, np.bool_)
    if matrix.leaders is not None:
        codes = matrix.leaders.spread(matrix.narrowest)
        assert codes.tolist() == (np.zeros_like(codes) if matrix.codes is None else matrix.codes).tolist()
        busy = (matrix.narrowest != 0).all(axis=1)
        assert not (matrix.leaders.whole & ~busy & (matrix.leaders.of != 0)).any()
        led = matrix.leaders.of > 0
        assert matrix.leaders.whole[led].tolist() == busy[led].tolist()
    return [
        matrix.columns.tolist(),
        matrix.values.tolist(),
        [none.tolist()] * 2 if identities is None else [array.tolist() for array in identities],
        (none if matrix.soft is None else matrix.soft).tolist(),
        (none if matrix.conflicts is None else matrix.conflicts).tolist(),
    ]


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 12), spare=st.integers(1, 8), reads=st.booleans())
def test_any_steps(seed: int, steps: int, spare: int, reads: bool) -> None:
    """Columns that go and come, one or several, from a picture that others went on with before too."""
    chance = np.random.default_rng(seed)
    series = Series.READS if reads else Series.WRITES
    shown: list[tuple[Matrix, list[object]]] = []
    matrix: Matrix = drawn(chance, 1, int(chance.integers(1, 6)), series)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(room, "LEAST_SPARE", spare)
        for _ in range(steps):
            before = matrix if chance.random() < 0.8 or not shown else shown[chance.integers(len(shown))][0]
            width, new = len(before.columns), int(chance.integers(1, 4))
            dropped = int(chance.integers(0, min(3, width)))
            end = width - int(chance.random() < 0.1 and width - dropped > 1)
            old = slice(dropped, end)
            after = drawn(chance, int(before.columns[-1]) // 1000 + 1, new, series)
            newest = slice(int(chance.random() < 0.1 and new > 1), new)
            expected = cells_of(joined(series, CATALOGUE, [(before, old), (after, newest)]))
            matrix = goes_on(before, old, after, newest)
            assert continues(matrix, before) == old
            assert cells_of(matrix) == expected
            shown.append((matrix, expected))
    # None of them was written to since.
    for one, expected in shown:
        again = Matrix(series, one.columns, CATALOGUE, np.array(one.narrowest, np.uint64), one.identities, one.codes)
        assert cells_of(again)[1:3] == expected[1:3]
        assert [(np.zeros(one.shape) if marks is None else marks).tolist() for marks in (one.soft, one.conflicts)] == (
            expected[3:]
        )


def one_more(before: Matrix, number: int) -> Continued:
    """Without the first column, and with one more."""
    after = drawn(np.random.default_rng(number), int(before.columns[-1]) // 1000 + 1, 1)
    return goes_on(before, slice(1, len(before.columns)), after, slice(0, 1))


def wide(matrix: Matrix) -> Matrix:
    """In counts of eight bytes, so that whatever comes fits behind."""
    more: Details = {
        "identities": matrix.identities,
        "shares": matrix.shares,
        "soft": matrix.soft,
        "conflicts": matrix.conflicts,
    }
    leaders = matrix.leaders
    return Matrix.of_leaders(matrix.series, matrix.columns, CATALOGUE, np.array(matrix.values), leaders, **more)


def test_new_columns_alone_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is room; then a room for more is made. Who goes on with the same picture later gets another one."""
    monkeypatch.setattr(room, "LEAST_SPARE", 16)
    first = wide(drawn(np.random.default_rng(1), 1, 40))
    matrix, rooms = one_more(first, 0), list[Room]()
    for number in range(room.LEAST_SPARE + 1):
        assert matrix.place is not None
        rooms.append(matrix.place.room)
        matrix, before = one_more(matrix, number), matrix
        other = one_more(before, number)
        assert matrix.place is not None
        assert other.place is not None
        assert other.place.room is not matrix.place.room
        assert cells_of(other) == cells_of(matrix)
    assert len({id(each) for each in rooms}) == 1
    assert matrix.place is not None
    assert matrix.place.room is not rooms[0]


@pytest.mark.parametrize(("columns", "spare"), [(1, 64), (60, 64), (512, 64), (520, 65), (1440, 180)])
def test_there_is_room_for_an_eighth_more(columns: int, spare: int) -> None:
    """And where that is few, for so many that an hour of columns a minute is copied once: it is weighed as well."""
    place = Place.around(drawn(np.random.default_rng(1), 1, columns))
    assert place.has_room(spare)
    assert not place.has_room(spare + 1)
    assert place.room.values.shape[1] == columns + spare


def test_shares_are_not_lost() -> None:
    """A room has no place for them: who comes with some is put together with all the others."""
    before = one_more(drawn(np.random.default_rng(1), 1, 40), 0)
    number = int(before.columns[-1]) // 1000 + 1
    values, columns = np.full((ROWS, 1), 5, np.uint8), np.array([number * 1000])
    shares = Shares(np.array([2, 2]), np.array([0, 0]), np.array([1, 2], np.uint32), np.array([2, 3], np.uint64))
    codes = np.full((ROWS, 1), 2, np.uint32)
    leaders = Leaders.found(values, codes)
    after = Matrix.of_leaders(Series.WRITES, columns, CATALOGUE, values, leaders, identities=TABLES[0], shares=shares)
    old, new = slice(0, len(before.columns)), slice(0, 1)
    assert extended(before, old, after, new) is None
    matrix = goes_on(before, old, after, new)
    assert matrix.shares.values.tolist() == [2, 3]
    assert matrix.shares.columns.tolist() == [old.stop] * 2
    assert cells_of(matrix) == cells_of(joined(Series.WRITES, CATALOGUE, [(before, old), (after, new)]))
    plain = Matrix.of_leaders(Series.WRITES, columns, CATALOGUE, values, leaders, identities=TABLES[0])
    assert extended(before, old, plain, new) is not None


def test_a_room_is_weighed() -> None:
    """Whoever keeps a picture keeps it too."""
    matrix = one_more(drawn(np.random.default_rng(1), 1, 40), 0)
    assert matrix.place is not None
    alone = Matrix.like(matrix)
    assert size_bytes_of(matrix) == size_bytes_of(alone) + matrix.place.room.size_bytes
    assert matrix.place.room.size_bytes >= ROWS * (40 + room.LEAST_SPARE) * matrix.narrowest.itemsize


@pytest.mark.parametrize("first", range(len(TABLES)))
@pytest.mark.parametrize("second", range(len(TABLES)))
def test_a_table_that_holds_the_other_stays(first: int, second: int) -> None:
    """The very object, whatever its numbers are; else both are in a new one."""
    tables = [TABLES[first], TABLES[second]]
    table, codes = united(tables)
    for own, new in zip(tables, codes, strict=True):
        assert (table if new is None else table[new]).tolist()[: len(own)] == own.tolist()
    pairs = [{tuple(pair) for pair in each.tolist()} for each in tables]
    assert (table is tables[0]) == (pairs[1] <= pairs[0])


def test_while_a_node_is_late_no_room_is_made() -> None:
    """For a column that is known, which is then merged again, or for a new one; the next even picture has room."""
    before = one_more(drawn(np.random.default_rng(1), 1, 40), 0)
    assert before.place is not None
    last = int(before.columns[-1]) // 1000
    again = drawn(np.random.default_rng(2), last, 2)
    late = goes_on(before, slice(1, len(before.columns) - 1), again, slice(0, 2))
    later = goes_on(before, slice(1, len(before.columns)), again, slice(1, 2))
    assert (late.place, later.place) == (None, None)
    assert one_more(late, 3).place is not None
