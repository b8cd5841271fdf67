"""A clock that tests move in either direction."""

from __future__ import annotations


class Clock:
    """Seconds, set by hand: by default half a second into the window of 1001 s."""

    def __init__(self, now_s: float = 1000.5) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s
