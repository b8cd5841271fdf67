"""A clock that stands where it was put, for traffic whose time is not the wall clock's."""

from __future__ import annotations

import math


class SteppedClock:
    """Called, it gives unix seconds s with floor(s * 1000) == unix_ms exactly. Setting it is atomic."""

    __slots__ = ("_seconds", "_unix_ms")

    def __init__(self, unix_ms: int) -> None:
        self._unix_ms = unix_ms
        self._seconds = _seconds_of(unix_ms)

    def __call__(self) -> float:
        return self._seconds

    @property
    def unix_ms(self) -> int:
        """Where it stands."""
        return self._unix_ms

    def move_to(self, unix_ms: int) -> None:
        """Moves it ahead; it never goes back."""
        if unix_ms > self._unix_ms:
            self._unix_ms = unix_ms
            self._seconds = _seconds_of(unix_ms)


def _seconds_of(unix_ms: int) -> float:
    seconds = unix_ms / 1000
    while seconds * 1000 < unix_ms:
        seconds = math.nextafter(seconds, math.inf)
    return seconds
