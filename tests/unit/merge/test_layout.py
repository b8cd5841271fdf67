"""Which row each entry is, and in which lot."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.merge.layout import Layout
from keyviz_grpc.merge.rows import Places
from keyviz_grpc.traffic import Strip


def strip(*rows: int) -> Strip:
    """Of these rows; what they count does not matter here."""
    return Strip(np.array(rows, np.int64), np.ones((len(rows), 2), np.uint8))


def test_rows_go_where_their_parts_do() -> None:
    """Those that several parts have occur several times."""
    own, theirs = strip(0, 2), strip(1, 2)
    places = Places(np.array([0, 1, 2, 1, 2, 3]), (0, 3))
    layout = Layout.of([(0, own), (1, theirs)], places, 4)
    assert (layout.rows.tolist(), layout.places.tolist()) == ([0, 2, 2, 3], [0, 1, 2, 3, 4])
    assert (layout.sources, layout.union_rows) == ([(0, 2), (1, 2)], 4)


def test_entries_of_two_strips_are_told_row_by_row() -> None:
    """A part's narrow rows come before its wide ones."""
    layout = Layout.of([(0, strip(1, 4)), (0, strip(0, 3)), (1, strip(2))], None, 5)
    assert layout.rows.take(layout.places[:-1]).tolist() == [0, 1, 3, 4, 2]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_lots_have_every_entry_once_and_every_row_first(seed: int, share: float) -> None:
    """Of all entries, and of some."""
    chance = np.random.default_rng(seed)
    strips = [(part, strip(*np.flatnonzero(chance.random(9) < share).tolist())) for part in range(4)]
    layout = Layout.of(strips, None, 9)
    every = np.arange(len(layout.rows))
    for wanted in (every, every[chance.random(len(every)) < 0.5]):
        lots = layout.lots(wanted)
        assert sorted(np.concatenate([lot.entries for lot in lots]).tolist()) == wanted.tolist()
        assert sorted(lots[0].rows.tolist()) == sorted(set(layout.rows[wanted].tolist()))
        for lot in lots:
            assert lot.rows.tolist() == layout.rows[lot.entries].tolist()
            assert (np.diff(lot.entries) > 0).all()
            assert len(set(lot.rows.tolist())) == len(lot.rows)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_tables_have_every_entry_once_and_every_row_first(seed: int, share: float) -> None:
    """Each tells of every row which entry it has, or that it has none."""
    chance = np.random.default_rng(seed)
    strips = [(part, strip(*np.flatnonzero(chance.random(9) < share).tolist())) for part in range(4)]
    layout = Layout.of(strips, None, 9)
    every = np.arange(len(layout.rows))
    for chosen in (every, every[chance.random(len(every)) < 0.5]):
        tables = layout.tables(layout.rows.take(chosen), chosen)
        there = [table[table < len(every)] for table in tables]
        assert sorted(np.concatenate(there).tolist()) == chosen.tolist()
        assert set(layout.rows.take(there[0]).tolist()) == set(layout.rows.take(chosen).tolist())
        for table, entries in zip(tables, there, strict=True):
            assert layout.rows.take(entries).tolist() == np.flatnonzero(table < len(every)).tolist()
