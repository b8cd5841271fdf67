"""Putting the columns of every peer on one grid (docs/merge.md): whole peers are shifted, never single columns.

Stamps are ends of windows in unix milliseconds. A grid is the multiples of a step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST_DISTANCES = 3
"""A step guessed from fewer distances than this is no better than the grid's."""

PHASE_TOLERANCE = 0.025
"""Half the width, in steps, of the cluster of residues that makes a phase: 1 % jitter either way, with margin."""

SNAP_TOLERANCE = 1 / 8
"""A guessed step this near (relatively) to a stated one is that step seen through jitter."""


def guess_step_ms(columns: NDArray[np.int64]) -> int:
    """The commonest distance between neighbouring stamps, 0 for fewer than two stamps.

    Distances within 1/8 of the shortest of a group count as one, which is then their median (the lower of two);
    of equally common groups the shortest wins.
    """
    distances = np.sort(np.diff(columns))
    if len(distances) == 0:
        return 0
    ends = np.searchsorted(distances, distances + distances // 8, side="right")
    counts = ends - np.arange(len(distances))
    first = int(np.argmax(counts))
    group = distances[first : int(ends[first])]
    return int(group[(len(group) - 1) // 2])


def phase_shift_ms(columns: NDArray[np.int64], step_ms: int) -> int:
    """What to add to every stamp so that the peer's windows end on multiples of the step: at most half a step.

    The phase is the median of the densest cluster of residues on the circle of one step, so neither jitter nor single
    outliers move it. A phase of exactly half a step shifts up. Of equally dense clusters the one that needs the
    smallest shift wins, upwards first.
    """
    if len(columns) == 0 or step_ms <= 0:
        return 0
    residues = np.sort(columns % step_ms)
    if residues[0] == residues[-1]:
        return _shift_of(int(residues[0]), step_ms)
    width = max(1, int(2 * PHASE_TOLERANCE * step_ms))
    unrolled = np.concatenate([residues, residues + step_ms])
    ends = np.searchsorted(unrolled, residues + width, side="right")
    counts = np.minimum(ends - np.arange(len(residues)), len(residues))
    best = int(counts.max())
    shifts = []
    for first in np.flatnonzero(counts == best):
        cluster = unrolled[first : first + best]
        shifts.append(_shift_of(int(cluster[(best - 1) // 2]) % step_ms, step_ms))
    return min(shifts, key=lambda shift: (abs(shift), -shift))


def _shift_of(phase_ms: int, step_ms: int) -> int:
    return -phase_ms if 2 * phase_ms < step_ms else step_ms - phase_ms


def on_grid(columns: NDArray[np.int64], step_ms: int) -> NDArray[np.int64]:
    """The stamps after shifting the peer as a whole and rounding the rest to the nearest multiple (half: up).

    Same length and order as `columns`; neighbours may coincide (drift, a restart), they are then to be added.
    step_ms = 0 (no step known): the stamps as they are.
    """
    if step_ms <= 0 or not np.count_nonzero(columns % step_ms):
        return columns
    shifted = columns + phase_shift_ms(columns, step_ms)
    aligned: NDArray[np.int64] = (shifted + step_ms // 2) // step_ms * step_ms
    return np.maximum(aligned, step_ms)


def into_coarser(columns: NDArray[np.int64], grid_ms: int) -> NDArray[np.int64]:
    """For stamps on a finer grid, the end of the coarser window (stamp - grid, stamp] that holds the fine window."""
    if grid_ms <= 0:
        return columns
    return -(-columns // grid_ms) * grid_ms


class Stamps:
    """Where columns come to stand on a grid; found once for peers that have the very same ones.

    grid_ms: its step, 0 = none is known.
    """

    def __init__(self, grid_ms: int) -> None:
        self.grid_ms = grid_ms
        self._found: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def of(self, columns: NDArray[np.int64], step_ms: int) -> NDArray[np.int64]:
        """Of a peer's columns, whose step divides the grid's or is 0, not known: the array itself where they are on it.

        Same length and order; neighbours may coincide.
        """
        key = (id(columns), step_ms)
        there = self._found.get(key)
        if there is None:
            own = on_grid(columns, step_ms or self.grid_ms)
            aligned = own if step_ms in (0, self.grid_ms) else into_coarser(own, self.grid_ms)
            # With the columns, so that no other array can take their place in memory.
            there = self._found[key] = columns, aligned
        return there[1]


def effective_steps(stated: Sequence[int], columns: Sequence[NDArray[np.int64]]) -> list[int]:
    """Each peer's step: stated, else guessed (snapped to a stated one nearby), else 0 for "takes the grid's"."""
    if min(stated, default=0) > 0:
        return list(stated)
    known = sorted({step for step in stated if step > 0})
    steps = []
    for step, stamps in zip(stated, columns, strict=True):
        if step > 0 or len(stamps) - 1 < FEWEST_DISTANCES:
            steps.append(max(step, 0))
            continue
        guess = guess_step_ms(stamps)
        near = [candidate for candidate in known if abs(candidate - guess) <= candidate * SNAP_TOLERANCE]
        steps.append(min(near, key=lambda candidate: abs(candidate - guess)) if near else guess)
    return steps


def grid_step_ms(steps: Sequence[int], weights: Iterable[int]) -> int:
    """The coarsest step that most peers' steps equal or divide; 0 when no step is known.

    weights: how many leaves speak for each step, not read where all are one. Only steps that some peer has count.
    """
    if len(set(steps)) == 1:
        return max(steps[0], 0)
    count: Counter[int] = Counter()
    for step, weight in zip(steps, weights, strict=True):
        if step > 0:
            count[step] += weight
    if not count:
        return 0
    fitting = {grid: sum(n for step, n in count.items() if grid % step == 0) for grid in count}
    most = max(fitting.values())
    return max(grid for grid, fits in fitting.items() if fits == most)
