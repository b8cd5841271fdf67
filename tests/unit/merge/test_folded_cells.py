"""Which identity the cells of folded rows show, and their sums, case by case."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.merge.folding import fold_runs
from keyviz_grpc.merge.saturating import row_totals, sum_runs
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.traffic import Leaders

TOP = 2**64 - 1

FAR = 70_000

IDENTITIES = np.column_stack([np.arange(FAR + 1), np.full(FAR + 1, 7)]).astype(np.uint64)
IDENTITIES[0] = 0


def led(values: list[list[int]], leaders: list[int | list[int]]) -> Matrix:
    """Each row under one code, or with one a cell."""
    counts, cells = np.array(values, np.uint64), [told for told in leaders if isinstance(told, list)]
    of = [-1 - cells.index(told) if isinstance(told, list) else told for told in leaders]
    codes = np.array(cells, np.uint32).reshape(len(cells), counts.shape[1])
    return Matrix.of_leaders(
        Series.WRITES,
        np.arange(1, 1 + counts.shape[1], dtype=np.int64),
        Catalogue(tuple(Row(f"route:{n}", b"%02d" % n, b"%02d" % (n + 1)) for n in range(len(values)))),
        counts,
        Leaders(np.array(of, np.int64), codes, np.all(counts != 0, axis=1)),
        identities=IDENTITIES,
    )


def folded(matrix: Matrix, *starts: int) -> Matrix:
    """Runs from those rows on."""
    catalogue = Catalogue(tuple(Row(f"run:{n}", b"%02d" % n, b"%02d" % (n + 1)) for n in range(len(starts))))
    totals = row_totals(matrix.values)
    return fold_runs(matrix, np.array(starts, np.int64), catalogue, totals=totals, shares=False)


@pytest.mark.parametrize(
    ("leaders", "shown"),
    [
        ([4, 4, 4], [4, 4, 4, 4, 0]),
        ([4, 5, 6], [4, 0, 5, 0, 0]),
        ([4, 4, 5], [4, 4, 4, 0, 0]),
        ([4, 5, 4], [4, 0, 5, 4, 0]),
        ([4, 0, 4], [4, 0, 0, 4, 0]),
        ([0, 0, 0], None),
        ([4, 68, 132], [4, 0, 68, 0, 0]),
        ([4, 260, 516], [4, 0, 260, 0, 0]),
        ([1, 256, 2], [1, 0, 256, 0, 0]),
        ([256, 0, 2], [256, 0, 0, 0, 0]),
        ([1, 256, 511], [1, 0, 256, 0, 0]),
        ([1, 257, 513], [1, 0, 257, 0, 0]),
        ([1, 65_536, 2], [1, 0, 65_536, 0, 0]),
        ([65_024, 0, 65_001], [65_024, 0, 0, 0, 0]),
        ([1, 65_537, 2], [1, 0, 65_537, 0, 0]),
        ([FAR, 1, 0], [FAR, 0, 1, 0, 0]),
        ([[1, 3, 0, 1, 0], 4, 5], [1, 0, 4, 0, 0]),
        ([[4, 5, 0, 4, 0], 5, 6], [4, 5, 5, 0, 0]),
        ([[4, 4, 0, 4, 0], [0, 4, 5, 0, 0], 4], [4, 4, 5, 4, 0]),
        ([[5, 0, 0, 0, 0], [0, 5, 5, 0, 0], 0], [5, 0, 5, 0, 0]),
        ([[4, FAR, 0, 0, 0], [0, FAR, 0, 0, 0], 1], [4, FAR, 0, 0, 0]),
    ],
)
def test_a_cell_shows_what_all_of_its_rows_with_traffic_show(
    leaders: list[int | list[int]], shown: list[int] | None
) -> None:
    """Three rows: traffic of one, of neighbours, of one, of those at the ends, of none. A row before and one after."""
    values = [[9, 9, 9, 9, 9], [1, 2, 0, 3, 0], [0, 3, 4, 0, 0], [0, 0, 0, 5, 0], [0, 8, 0, 0, 0]]
    before, after = (0, 0) if shown is None else (5, [0, 3, 0, 0, 0])
    whole = folded(led(values, [before, *leaders, after]), 0, 1, 4)
    assert whole.values.tolist() == [values[0], [1, 5, 4, 8, 0], values[4]]
    if shown is None:
        assert (whole.leaders, whole.codes) == (None, None)
        return
    assert whole.codes is not None
    assert whole.codes.tolist() == [[5] * 5, shown, after]
    assert whole.leaders is not None
    assert whole.leaders.whole.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("leaders", "shown"),
    [
        ([4, 4, 4], [4, 4]),
        ([4, 4, 5], [4, 0]),
        ([4, 5, 5], [0, 0]),
        ([0, 4, 4], [0, 0]),
        ([4, 0, 0], [0, 0]),
        ([4, [4, 5], 4], [4, 0]),
        ([[4, 5], [5, 5], 5], [0, 5]),
        ([[4, 5], [4, 5], 5], [4, 5]),
    ],
)
def test_rows_with_traffic_in_every_column_agree_or_not(leaders: list[int | list[int]], shown: list[int]) -> None:
    """Two of three rows; before and after them a run that agrees and one that does not."""
    values = [[1, 1], [1, 1], [6, 7], [8, 9], [0, 3], [1, 1], [1, 1]]
    whole = folded(led(values, [7, 7, *leaders, 1, 2]), 0, 2, 5)
    assert whole.codes is not None
    assert whole.codes.tolist() == [[7, 7], shown, [0, 0]]


def test_a_row_of_one_leader_says_so_again() -> None:
    """Of a run, of a row that stays alone, and of one with several; what only folded rows had is no longer there."""
    rows: list[int | list[int]] = [3, 3, [4, 4], [4, 5], 6, [7, 8]]
    whole = folded(led([[1, 1], [1, 0], [1, 1], [0, 1], [0, 2], [1, 1]], rows), 0, 2, 4, 5)
    assert whole.leaders is not None
    assert whole.leaders.of.tolist() == [3, -2, 6, -1]
    assert whole.leaders.codes.tolist() == [[7, 8], [4, 0]]
    assert whole.leaders.whole.tolist() == [True, True, False, True]


@pytest.mark.parametrize("width", [1, 3, 4, 7, 8, 60])
@pytest.mark.parametrize("top", [2**16 - 1, 2**16, 2**32 - 1, 2**32, TOP])
def test_sums_are_whole_on_both_sides_of_what_a_lane_holds(width: int, top: int) -> None:
    """Of two rows beside each other, whose neighbours in every lane are full; a row alone may be larger than a lane."""
    for part in (0, 1, top // 2, top - 1, top):
        for alone in (0, 2**16, 2**32, TOP):
            rows = np.array([[alone] * width, [part] * width, [top - part] * width, [alone] * width], np.uint64)
            matrix = led(rows.tolist(), [1, 2, 2, 3])
            whole = folded(matrix, 0, 1, 3)
            assert whole.values.tolist() == [[alone] * width, [top] * width, [alone] * width]
            assert whole.codes is not None
            assert whole.codes.tolist() == [[1 if alone else 0] * width, [2] * width, [3 if alone else 0] * width]
            assert sum_runs(rows, np.array([0, 1, 3])).tolist() == whole.values.tolist()


def test_identities_are_told_where_sums_stop_at_the_top() -> None:
    """No narrow lane holds these."""
    whole = folded(led([[TOP, TOP], [TOP, 0], [1, 0]], [2, 3, 3]), 0, 1)
    assert whole.values.tolist() == [[TOP, TOP], [TOP, 0]]
    assert whole.codes is not None
    assert whole.codes.tolist() == [[2, 2], [3, 0]]


def test_rows_without_columns_stay_without() -> None:
    """A window in which nothing is closed yet."""
    empty = led([[], [], []], [0, 0, 0])
    assert folded(empty, 0, 1).values.shape == (2, 0)


def test_marks_of_any_row_are_marks_of_the_run() -> None:
    """At every place of a word, and beyond the first."""
    for width in (3, 8, 13):
        for at in range(width):
            marks = np.zeros((4, width), np.bool_)
            marks[2, at] = True
            values = np.ones((4, width), np.uint64)
            columns = np.arange(1, 1 + width, dtype=np.int64)
            catalogue = led([[1]] * 4, [1] * 4).catalogue
            whole = folded(Matrix(Series.READS, columns, catalogue, values, soft=marks, conflicts=marks), 0, 1, 3)
            for found in (whole.soft, whole.conflicts):
                assert found is not None
                assert found.tolist() == [[False] * width, marks[2].tolist(), [False] * width]
