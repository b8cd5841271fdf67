"""Bounds on what answers hold in memory: of one peer, of one request, and of all requests together."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Final, Self

from keyviz_grpc.errors import FailureKind

HELD_CELL_BYTES: Final = 16
"""What a cell of an answer takes at most until it is merged: value and identity, or the value twice."""

MERGED_CELL_BYTES: Final = 24
"""What a cell of the merged picture takes at most while it is made: value, identity, marks, and a copy on the way."""

HELD_KEY_BYTES: Final = 640
"""What a hot key of an answer takes until it is merged and while it is, besides its message."""


class BytesBudget:
    """What may be held; as a block it is closed at its end. Thread-safe.

    within: a wider budget from which everything here is taken as well; wider: all of those, the narrowest first.
    lock: of this one and all within it. shared: it is for many requests at once. others_hold_it: whether what was
    refused last failed for a shared one.
    """

    def __init__(self, total_bytes: int, within: BytesBudget | None = None, *, shared: bool = False) -> None:
        self.total_bytes = total_bytes
        self.others_hold_it = False
        self.lock: threading.RLock = threading.RLock() if within is None else within.lock
        self.left_bytes, self.shared = total_bytes, shared
        self.wider: tuple[BytesBudget, ...] = () if within is None else (within, *within.wider)
        self._users = 0
        self.is_closed = False

    def take(self, size: int) -> bool:
        """Whether `size` bytes still fit; if so they are taken. Never once it is closed."""
        with self.lock:
            if self.is_closed or size > self.left_bytes:
                return self._refuse(self)
            for budget in self.wider:
                if budget.is_closed or size > budget.left_bytes:
                    return self._refuse(budget)
            self.left_bytes -= size
            for budget in self.wider:
                budget.left_bytes -= size
            return True

    def _refuse(self, full: BytesBudget) -> bool:
        for budget in (self, *self.wider):
            budget.others_hold_it = full.shared
            if budget is full:
                break
        return False

    @property
    def refusal(self) -> tuple[FailureKind, str]:
        """As which failure what was refused last is told, and what people can do about it."""
        if self.others_hold_it:
            return FailureKind.OVERLOADED, "try again, or raise --max-held"
        return FailureKind.MESSAGE_TOO_LARGE, "ask for a shorter range, or raise --max-total"

    def fits(self, size: int) -> bool:
        """Whether `size` bytes could be taken."""
        with self.lock:
            return all(size <= budget.left_bytes for budget in (self, *self.wider))

    def part(self) -> BytesBudget:
        """For one peer, or one answer, which may be thrown away before the rest is."""
        return BytesBudget(self.total_bytes, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def in_use(self) -> InUse:
        """What was taken stays taken inside the block, even if it is closed meanwhile: by a thread that works on."""
        return InUse(self)

    def enter(self) -> None:
        """One user more."""
        with self.lock:
            self._users += 1

    def leave(self) -> None:
        """One less."""
        with self.lock:
            self._users -= 1
            self._give_back_if_over()

    def close(self) -> None:
        """The request is over: all goes back, when nobody works with it any more, and nothing can be taken again."""
        with self.lock:
            self.is_closed = True
            self._give_back_if_over()

    def hand_on(self, size: int, holder: object) -> None:
        """Closes it, but `size` bytes of what was taken stay so as long as `holder` exists, whoever has it."""
        with self.lock:
            size = min(size, self.total_bytes - self.left_bytes)
            self.close()
            kept = BytesBudget(size, self.wider[0] if self.wider else None)
            kept.take(size)
        _end_with(holder, kept.give_back)

    def _give_back_if_over(self) -> None:
        if self.is_closed and not self._users:
            self.give_back()

    def give_back(self) -> None:
        """All that was taken here: it is no longer held."""
        with self.lock:
            self.put_back(self.total_bytes - self.left_bytes)

    def put_back(self, size: int) -> None:
        """So much of what was taken here; what has gone back already does not go twice."""
        with self.lock:
            for budget in (self, *self.wider):
                size = min(size, budget.total_bytes - budget.left_bytes)
                budget.left_bytes += size


_watched: Final[dict[int, weakref.ref[object]]] = {}


def _end_with(holder: object, call: Callable[[], None]) -> None:
    """Calls it once nobody has the holder any more; `weakref.finalize` takes thrice as long."""
    every = _watched  # what a module knows may be gone before the last holder is

    def gone(watched: weakref.ref[object]) -> None:
        del every[id(watched)]
        call()

    watched = weakref.ref(holder, gone)
    every[id(watched)] = watched


class InUse:
    """A block in which somebody works with what was taken from a budget."""

    __slots__ = ("_budget",)

    def __init__(self, budget: BytesBudget) -> None:
        self._budget = budget

    def __enter__(self) -> None:
        self._budget.enter()

    def __exit__(self, *_: object) -> None:
        self._budget.leave()
