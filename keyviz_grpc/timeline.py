"""What is kept of windows, by the stamps at which they end."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Timeline(Generic[Thing]):
    """Things by stamp, oldest first, one a stamp. Not thread-safe; a list that it gave can be read without a lock."""

    def __init__(self) -> None:
        self._stamps: list[int] = []
        self._things: dict[int, Thing] = {}

    def __len__(self) -> int:
        return len(self._stamps)

    def __iter__(self) -> Iterator[tuple[int, Thing]]:
        """(stamp, thing), ascending."""
        return ((stamp, self._things[stamp]) for stamp in self._stamps)

    @property
    def oldest_unix_ms(self) -> int:
        """The first stamp, 0 when there is none."""
        return self._stamps[0] if self._stamps else 0

    @property
    def newest_unix_ms(self) -> int:
        """The last stamp, 0 when there is none."""
        return self._stamps[-1] if self._stamps else 0

    def get(self, stamp: int) -> Thing | None:
        """What is there at this stamp."""
        return self._things.get(stamp)

    def set(self, stamp: int, thing: Thing) -> None:
        """Puts something at a stamp, in place of what was there."""
        if stamp not in self._things:
            insort(self._stamps, stamp)
        self._things[stamp] = thing

    def pop_oldest(self) -> Thing:
        """Takes the thing at the first stamp away. Raises IndexError when there is none."""
        return self._things.pop(self._stamps.pop(0))

    def between(self, from_unix_ms: int, to_unix_ms: int) -> list[tuple[int, Thing]]:
        """(stamp, thing), ascending, with from <= stamp < to; 0 = unbounded."""
        first = bisect_left(self._stamps, from_unix_ms)
        last = bisect_left(self._stamps, to_unix_ms) if to_unix_ms else len(self._stamps)
        return [(stamp, self._things[stamp]) for stamp in self._stamps[first:last]]
