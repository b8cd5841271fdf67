"""Which row each entry is, and in which lot: found again for the very same rows, and for no others."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.merge.layout import Layout, layout_of
from keyviz_grpc.merge.rows import Places
from keyviz_grpc.traffic import Strip


def strip(*rows: int) -> Strip:
    """Of these rows; what they count does not matter here."""
    return Strip(np.array(rows, np.int64), np.ones((len(rows), 2), np.uint8))


def test_the_same_rows_are_laid_out_once() -> None:
    """With other counts too, as nodes send them at the next request."""
    own, theirs = strip(0, 2), strip(1, 2)
    places = Places(np.array([0, 1, 2, 1, 2, 3]), (0, 3))
    known = layout_of([(0, own), (1, theirs)], places, 4)
    again = layout_of([(0, Strip(own.rows, own.values + 1)), (1, theirs)], places, 4)
    assert again is known
    assert (known.rows.tolist(), known.in_order.tolist()) == ([0, 2, 2, 3], [0, 1, 2, 3])


def test_other_rows_places_parts_or_unions_are_laid_out_anew() -> None:
    """Each of them alone."""
    own, theirs = strip(0, 2), strip(1, 2)
    places = Places(np.array([0, 1, 2, 1, 2, 3]), (0, 3))
    moved = Places(np.array([0, 1, 2, 0, 1, 2]), (0, 3))
    told = [(0, own), (1, theirs)]
    found = [
        layout_of(told, places, 4),
        layout_of(told, moved, 4),
        layout_of([(0, own), (0, theirs)], places, 4),
        layout_of([(0, own), (1, strip(1))], places, 4),
    ]
    assert [layout.rows.tolist() for layout in found] == [[0, 2, 2, 3], [0, 2, 1, 2], [0, 2, 1, 2], [0, 2, 2]]
    assert [layout_of([], None, rows).union_rows for rows in (3, 4, 3)] == [3, 4, 3]


def test_entries_of_two_strips_are_told_row_by_row() -> None:
    """A part's narrow rows come before its wide ones."""
    layout = Layout.of([(0, strip(1, 4)), (0, strip(0, 3)), (1, strip(2))], None, 5)
    assert layout.rows.take(layout.in_order).tolist() == [0, 1, 3, 4, 2]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_lots_have_every_entry_once_and_every_row_first(seed: int, share: float) -> None:
    """Of all entries, and of some."""
    chance = np.random.default_rng(seed)
    strips = [(part, strip(*np.flatnonzero(chance.random(9) < share).tolist())) for part in range(4)]
    layout = Layout.of(strips, None, 9)
    every = np.arange(len(layout.rows))
    for chosen in (None, every[chance.random(len(every)) < 0.5]):
        lots = layout.lots(chosen)
        wanted = every if chosen is None else chosen
        assert sorted(np.concatenate([lot.entries for lot in lots]).tolist()) == wanted.tolist()
        assert sorted(lots[0].rows.tolist()) == sorted(set(layout.rows[wanted].tolist()))
        for lot in lots:
            expected = np.full(9, len(every))
            expected[layout.rows[lot.entries]] = lot.entries
            assert lot.of_rows.tolist() == expected.tolist()
            assert lot.rows.tolist() == layout.rows[lot.entries].tolist()
            assert (np.diff(lot.entries) > 0).all()
            assert len(set(lot.rows.tolist())) == len(lot.rows)


@pytest.mark.parametrize(("parts", "kept"), [(4, True), (16, False)])
def test_many_lots_of_few_entries_are_not_kept(parts: int, *, kept: bool) -> None:
    """Each has a number for every row of the union, and a row that all parts report makes as many lots as these."""
    strips = [(0, strip(*range(32))), *((part, strip(0)) for part in range(1, parts))]
    layout = Layout.of(strips, None, 32)
    assert len(layout.lots()) == parts
    assert (layout.lots() is layout.lots()) == kept
