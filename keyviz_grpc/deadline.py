"""A moment by which work must be done, handed down and never extended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import field
from typing import Final

from keyviz_grpc.unchanging import unchanging

MOST_HURRY: Final = 16

NOT_IN_TIME: Final = "no answer in time"
"""What is said of whoever is not there by a deadline."""


@unchanging(frozen=True, slots=True)
class Deadline:
    """The instant `at_s` on the monotonic clock `clock` (seconds)."""

    at_s: float
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)

    @classmethod
    def after(cls, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """The deadline `timeout_s` seconds from now."""
        return cls(clock() + timeout_s, clock)

    def left_s(self) -> float:
        """Seconds that are left, never negative."""
        return max(0.0, self.at_s - self.clock())

    def child(self, timeout_s: float, share: float = 0.8) -> Deadline:
        """A deadline for work below: `timeout_s` from now, but at most `share` of what is left here."""
        return Deadline(self.clock() + min(timeout_s, self.left_s() * share), self.clock)

    def hurry(self, timeout_s: float, share: float = 0.8) -> int:
        """How often the time of such a child is halved: 0 = it has all of `timeout_s`, 1 = half of it at least, …

        Who is in as much of a hurry can share work: nobody then has less than half of the time that was due.
        """
        allowed_s = self.left_s() * share
        if allowed_s >= timeout_s:
            return 0
        return min(MOST_HURRY, math.ceil(math.log2(timeout_s / allowed_s))) if allowed_s > 0 else MOST_HURRY
