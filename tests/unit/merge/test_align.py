"""Phases, rounding and steps of single peers, number by number."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from keyviz_grpc.merge.align import effective_steps, grid_step_ms, into_coarser, on_grid, phase_shift_ms


def stamps(residues: list[int], step_ms: int) -> NDArray[np.int64]:
    """One column a window, each this far after a multiple of the step."""
    return np.array([(number + 5) * step_ms + residue for number, residue in enumerate(residues)], np.int64)


@pytest.mark.parametrize(
    ("residues", "step_ms", "shift_ms"),
    [
        ([], 1000, 0),
        ([7], 0, 0),
        ([499], 1000, -499),
        ([500], 1000, 500),  # half a step goes up
        ([1, 600, 1], 1000, -1),
        ([100, 600, 102, 101], 1000, -101),  # one outlier moves nothing
        ([998, 1, 0, 2, 997], 1000, 0),  # jitter across the edge of the step
        ([995, 996, 994, 997], 1000, 5),  # of four, the lower of the two in the middle
        ([100, 150, 151], 1000, -100),  # 50 ms apart is one cluster, 51 are two
        ([300, 301, 900, 901], 1000, 100),  # of two that are as dense, the nearer
        ([300, 700], 1000, 300),  # and as near: upwards
        ([1, 3, 4], 10, -3),  # a step too short for its tolerance: one millisecond
    ],
)
def test_the_phase_of_a_peer(residues: list[int], step_ms: int, shift_ms: int) -> None:
    """What is added to each of its stamps, so that most of its windows end on the grid."""
    assert phase_shift_ms(stamps(residues, step_ms), step_ms) == shift_ms


@pytest.mark.parametrize("step_ms", [9, 10, 1000, 1001])
def test_stamps_off_the_phase_go_to_the_nearest_multiple(step_ms: int) -> None:
    """Of an even step the half goes up; nothing goes below the first window, and without a step nothing moves."""
    for off in range(step_ms):
        columns = stamps([0, 0, 0, 0, 0, off], step_ms)
        nearest = 10 + (2 * off >= step_ms)
        assert on_grid(columns, step_ms).tolist() == [number * step_ms for number in (5, 6, 7, 8, 9, nearest)]
    assert on_grid(np.array([step_ms // 4], np.int64), step_ms).tolist() == [step_ms]
    assert on_grid(np.array([7, 11], np.int64), 0).tolist() == [7, 11]


def test_a_finer_window_belongs_to_the_coarser_one_that_ends_with_it_or_later() -> None:
    """The end itself is inside; without a coarser step nothing moves."""
    assert into_coarser(np.array([10, 19, 20, 21], np.int64), 10).tolist() == [10, 20, 20, 30]
    assert into_coarser(np.array([7], np.int64), 0).tolist() == [7]


@pytest.mark.parametrize(
    ("stated", "distance_ms", "step_ms"),
    [
        ([1000], 1125, 1000),  # an eighth away is jitter still
        ([1000], 1126, 1126),
        ([1000], 3000, 3000),
        ([1050, 950], 1000, 950),  # as near: the shorter
        ([900, 1010], 1000, 1010),
    ],
)
def test_a_step_that_is_not_stated_is_guessed_or_one_that_others_state(
    stated: list[int], distance_ms: int, step_ms: int
) -> None:
    """A guess near a stated step is that step; what is stated holds, whatever the stamps."""
    guessed = np.arange(1, 6, dtype=np.int64) * distance_ms
    columns = [guessed] * (len(stated) + 1)
    assert effective_steps([*stated, 0], columns) == [*stated, step_ms]
    assert effective_steps([1], [guessed]) == [1]


@pytest.mark.parametrize(
    ("steps", "weights", "grid_ms"),
    [
        ([], [], 0),
        ([0, 0], [1, 5], 0),
        ([1, 0], [1, 9], 1),
        ([1000, 1000, 1500], [1, 1, 1], 1000),
        ([1000, 1500], [1, 2], 1500),
        ([1000, 2000], [9, 1], 2000),  # it divides: nobody is left out
        ([1000, 1500], [1, 1], 1500),  # as many: the coarser
    ],
)
def test_the_grid_is_the_coarsest_step_that_most_fit(steps: list[int], weights: list[int], grid_ms: int) -> None:
    """Only steps that somebody has, each with the weight of its leaves."""
    assert grid_step_ms(steps, weights) == grid_ms
