"""Which route a route id means: one that comes to mean another range begins a new life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

KeyRange: TypeAlias = tuple[bytes, bytes]
"""[start, end), empty end = unbounded."""


@dataclass(slots=True)
class _Past:
    """number: of the present life, which began in the age `since`. last_unix_ms: the newest window that may know of it.

    key_range: what a removed route had, None where that is not known.
    """

    number: int = 0
    since: int = 0
    last_unix_ms: int = 0
    key_range: KeyRange | None = None


class Lives:
    """The life that each route id is in, from 0. Not thread-safe.

    Remembered are the ranges of registered routes, and of ids that were removed or changed what windows still tell
    apart by it. An id that no window knows may begin at 0 again.
    """

    def __init__(self) -> None:
        self._ranges: dict[int, KeyRange] = {}
        self._past: dict[int, _Past] = {}

    def __len__(self) -> int:
        return len(self._ranges.keys() | self._past.keys())

    def now(self, route_id: int) -> int:
        """The present life of an id."""
        past = self._past.get(route_id)
        return 0 if past is None else past.number

    def seen(self, route_id: int, stamp: int) -> int:
        """The present life of an id; the window of that stamp knows of it from now on."""
        past = self._past.get(route_id)
        if past is None:
            if route_id in self._ranges:
                return 0
            past = self._past[route_id] = _Past()  # a late operation of a route that was removed long ago
        past.last_unix_ms = max(past.last_unix_ms, stamp)
        return past.number

    def is_over(self, route_id: int, age: int) -> bool:
        """Whether the id has come to mean another range since that age."""
        past = self._past.get(route_id)
        return past is not None and past.since > age

    def begin(self, route_id: int, key_range: KeyRange, *, newest_unix_ms: int, age: int = 0) -> None:
        """The id is registered with this range from that age on; newest_unix_ms: the newest window there is."""
        past = self._past.get(route_id)
        before = self._ranges.get(route_id, None if past is None else past.key_range)
        if before != key_range and (before is not None or past is not None):
            past = self._past.setdefault(route_id, _Past())
            past.number += 1
            past.since = age
            past.last_unix_ms = max(past.last_unix_ms, newest_unix_ms)
        self._ranges[route_id] = key_range

    def end(self, route_id: int, *, newest_unix_ms: int) -> None:
        """The id is removed; when it comes back with the same range, the same life goes on."""
        key_range = self._ranges.pop(route_id, None)
        if key_range is not None:
            past = self._past.setdefault(route_id, _Past())
            past.key_range = key_range
            past.last_unix_ms = max(past.last_unix_ms, newest_unix_ms)

    def forget(self, oldest_unix_ms: int) -> None:
        """No window below this stamp is left."""
        gone = [route_id for route_id, past in self._past.items() if past.last_unix_ms < oldest_unix_ms]
        for route_id in gone:
            del self._past[route_id]
