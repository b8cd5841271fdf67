"""What is on its way into sketches: noted on the hot path, queued in the order of events, and bounded in all."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from keyviz_grpc.hotkeys.lives import KeyRange
from keyviz_grpc.hotkeys.operations import UNIT_BITS, Kind, Noted, Operation, Operations
from keyviz_grpc.hotkeys.settings import HotKeysSettings

Note: TypeAlias = Callable[[int, str, bool, bytes], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """Operations of the window of that stamp."""

    stamp: int
    operations: Operations


@dataclass(frozen=True, slots=True)
class Missing:
    """Operations of the window of that stamp of which no key is taken."""

    stamp: int
    dropped: Mapping[Kind, int]
    skipped: Mapping[Kind, int]


@dataclass(frozen=True, slots=True)
class WindowOver:
    """Nothing more comes for this window, unless the clock goes back."""

    stamp: int


@dataclass(frozen=True, slots=True)
class RoutesChanged:
    """From here on these routes are gone, and then these have these ranges."""

    removed: tuple[int, ...]
    added: Mapping[int, KeyRange]


Event: TypeAlias = Taken | Missing | WindowOver | RoutesChanged


class Pending:
    """At most `max_pending` units, see `Operations.units`, of operations noted and queued together, and one key more.

    `note` is called from any thread, `put` and `claim` by one at a time. What finds no room is dropped and counted.
    """

    def __init__(self, settings: HotKeysSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()  # never held for long
        self._noted: list[Operation | None] = []
        self._events: deque[Event] = deque()
        self._queued = 0
        self._dropped: Counter[Kind] = Counter()
        self._skipped: Counter[Kind] = Counter()
        self.note, self._allow = self._make_note()

    @property
    def units(self) -> int:
        """How much is held."""
        return len(self._noted) + self._queued

    def _make_note(self) -> tuple[Note, Callable[[int], None]]:
        """One function with everything at hand, as looking attributes up would be most of its time; and its bound."""
        noted, longest, room = self._noted, self._settings.max_key_bytes, self._settings.max_pending
        append, extend, count = noted.append, noted.extend, self._count

        def note(route_id: int, label: str, write: bool, key: bytes) -> None:
            size = len(key)
            if size > longest:
                count(self._skipped, route_id, label, write)
            elif len(noted) >= room:
                count(self._dropped, route_id, label, write)
            else:
                operation = (route_id, label, write, key if key.__class__ is bytes else bytes(key))
                if size >> UNIT_BITS:
                    # The list's length is what is held, so a long key takes as many places; all at once, like append.
                    extend((operation, *(None,) * (size >> UNIT_BITS)))
                else:
                    append(operation)

        def allow(units: int) -> None:
            nonlocal room
            room = units

        return note, allow

    def _count(self, counts: Counter[Kind], route_id: int, label: str, write: bool) -> None:
        with self._lock:
            counts[route_id, label, write] += 1

    def claim(self, stamp: int) -> None:
        """States that whatever was noted until now belongs to the window of that stamp."""
        size = len(self._noted)
        if size:
            self._hold(size)  # before the list shrinks, so that nobody fills it up again meanwhile
            taken = self._noted[:size]
            del self._noted[:size]
            self._events.append(Taken(stamp, Noted(taken)))
        if self._dropped or self._skipped:
            with self._lock:
                dropped, skipped = dict(self._dropped), dict(self._skipped)
                self._dropped.clear()
                self._skipped.clear()
            self._events.append(Missing(stamp, dropped, skipped))

    def put(self, stamp: int, operations: Operations) -> None:
        """Operations of a window; those that find no room are dropped and counted, the others copied."""
        room = self._settings.max_pending - self.units
        if operations.units > room:
            operations, late = operations.split(room)
            self._events.append(Missing(stamp, late.counts(), {}))
        if operations.units:
            self._hold(operations.units)
            self._events.append(Taken(stamp, operations.owned()))

    def has_room(self, operations: Operations) -> bool:
        """Whether `put` would drop none of them."""
        return self.units + operations.units <= self._settings.max_pending

    def tell(self, event: Missing | WindowOver | RoutesChanged) -> None:
        """Something that takes no room."""
        self._events.append(event)

    def next(self) -> Event | None:
        """The next event, in order; a caller that has taken its operations in says so, see `done`."""
        return self._events.popleft() if self._events else None

    def done(self, operations: Operations) -> None:
        """They are not held any more."""
        self._hold(-operations.units)

    def _hold(self, units: int) -> None:
        with self._lock:
            self._queued += units
            self._allow(self._settings.max_pending - self._queued)
