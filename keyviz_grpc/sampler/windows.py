"""The clock of windows: which are open, which one is now, and which are due to close."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.sampler.window import OpenWindow

LATE_BYTES: Final = 64 << 20
"""What open windows that are over take at most, for operations that come late; few of them may take more."""

FEW_LATE: Final = 16


class Windows:
    """Open windows by stamp. Not thread-safe: the sampler calls it under its lock.

    `current` is the window of the moment, [from_s, until_s) in seconds, with the stamp `stamp_now`. made: an empty
    window; close(stamp, window): what becomes of one that is due. most: how many idle windows are worth closing at
    once, and how many may be open that are still to come. A window [stamp - step, stamp) is due when the clock reaches
    its stamp. When the clock goes back, the window of that moment is opened again. Windows that pass whole while the
    process did not run are never made. When there are too many that are over, or that are still to come, the first of
    them closes before it is due; what comes for it later opens it again.
    """

    def __init__(
        self,
        made: Callable[[], OpenWindow],
        close: Callable[[int, OpenWindow], None],
        *,
        step_ms: int,
        most: int,
        stall_ms: float,
        now_ms: float,
    ) -> None:
        self._made, self._close = made, close
        self._step_ms, self._most, self._stall_ms = step_ms, most, stall_ms
        self._open: dict[int, OpenWindow] = {}
        self.beat_ms = now_ms
        self._enter(now_ms)

    def __len__(self) -> int:
        return len(self._open)

    def advance(self, now_ms: float) -> bool:
        """The clock shows this; returns whether another window may be the current one now."""
        if now_ms >= self.beat_ms:
            return self.pass_to(now_ms, ran=now_ms - self.beat_ms <= self._stall_ms)
        self.beat_ms = now_ms
        self._enter(now_ms)
        return True

    def pass_to(self, now_ms: float, *, ran: bool) -> bool:
        """As `advance`, for a clock that went on; ran: whether the process did too, so that idle windows are zeros."""
        before, self.beat_ms = self.beat_ms, now_ms
        if self.is_in_current(now_ms):
            return False
        due = {stamp for stamp in self._open if stamp <= now_ms}
        if ran:
            last = self.stamp_of(now_ms) - self._step_ms
            first = max(self.stamp_of(before), last - self._most * self._step_ms)
            due.update(range(first, last + 1, self._step_ms))
        for stamp in sorted(due):
            self._close(stamp, self._open.pop(stamp) if stamp in self._open else self._made())
        self._enter(now_ms)
        return True

    def is_in_current(self, now_ms: float) -> bool:
        """Whether that moment is in the current window."""
        return self.from_s <= now_ms / 1000 < self.until_s

    def stamp_of(self, unix_ms: float) -> int:
        """Where the window of that moment ends."""
        return (math.floor(unix_ms) // self._step_ms + 1) * self._step_ms

    def stamps_of(self, unix_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """As `stamp_of`, for many moments."""
        return (unix_ms // self._step_ms + 1) * self._step_ms

    def _enter(self, now_ms: float) -> None:
        self.stamp_now = self.stamp_of(now_ms)
        self.current = self.at(self.stamp_now)
        self.from_s, self.until_s = (self.stamp_now - self._step_ms) / 1000, self.stamp_now / 1000

    def at(self, stamp: int) -> OpenWindow:
        """The open window of that stamp, opened if need be."""
        window = self._open.get(stamp)
        if window is None:
            self._make_room(is_late=stamp < self.stamp_now)
            window = self._open[stamp] = self._made()
        return window

    def _make_room(self, *, is_late: bool) -> None:
        alike = [stamp for stamp in self._open if stamp != self.stamp_now and (stamp < self.stamp_now) == is_late]
        most = max(FEW_LATE, min(self._most, LATE_BYTES // self.current.own_bytes)) if is_late else self._most
        if len(alike) >= most:
            first = min(alike)
            self._close(first, self._open.pop(first))

    def stamp(self, slots: NDArray[np.int64], codes: NDArray[np.uint32], *, size: int) -> None:
        """Fixes the identity of what these slots have written so far, in every open window of `size` slots."""
        for window in self._open.values():
            window.grow(size)
            window.stamp(slots, codes)

    def busy(self, size: int) -> NDArray[np.bool_]:
        """Slots with traffic in any open window."""
        marks = np.zeros(size, np.bool_)
        for window in self._open.values():
            marks |= window.busy(size)
        return marks

    def codes(self) -> set[int]:
        """Identities that open windows refer to."""
        return set().union(*(window.codes() for window in self._open.values()))
