"""From what a sample holds to what the whole may hold, at a stated confidence."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

CONFIDENCE: Final = 0.95
"""Of each single interval, where operations were sampled; an interval of an unsampled count is certain."""


@lru_cache(1 << 14)
def interval(scaled_lower: int, scaled_upper: int, one_in: int) -> tuple[int, int]:
    """(lower, upper): the true count lies in it with probability CONFIDENCE at least.

    scaled_lower, scaled_upper: certain bounds of the sampled count, times n; where nodes sample at different rates, the
    sums of each node's bounds times its own n. one_in: the coarsest n, 1 = not sampled.

    Of f operations each contributes its node's n_i / n with probability 1 / n_i, so the scaled-down sum S has mean
    f / n and independent parts in [0, 1]: Hoeffding's first theorem (1963) bounds both tails by exp(-f KL(S/f, 1/n)).
    The interval holds every f for which that is not below half of what the confidence leaves.
    """
    if one_in <= 1:
        return scaled_lower, scaled_upper
    chance, allowed = 1.0 / one_in, math.log(2.0 / (1.0 - CONFIDENCE))
    low_seen, high_seen = scaled_lower / one_in, scaled_upper / one_in

    def likely(total: int, seen: float) -> bool:
        return _distance(total, seen, chance) <= allowed

    beyond = 2 * scaled_upper + one_in
    while likely(beyond, high_seen):
        beyond *= 2
    lower = _edge(math.ceil(low_seen) - 1, scaled_lower, lambda total: likely(total, low_seen))
    return lower, _edge(beyond, scaled_upper, lambda total: likely(total, high_seen))


def _distance(total: int, seen: float, chance: float) -> float:
    """How far f = total is from what was seen: f KL(seen / f, chance)."""
    found = 0.0
    if seen > 0:
        found += seen * math.log(seen / (total * chance))
    missed = total - seen
    if missed > 0:
        found += missed * math.log(missed / (total * (1.0 - chance)))
    return found


def _edge(unlikely: int, likely: int, is_likely: Callable[[int], bool]) -> int:
    """The likely number that is nearest to the unlikely one; in between likelihood changes once."""
    while abs(unlikely - likely) > 1:
        middle = (unlikely + likely) // 2
        if is_likely(middle):
            likely = middle
        else:
            unlikely = middle
    return likely
