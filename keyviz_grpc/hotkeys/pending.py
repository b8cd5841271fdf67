"""What is on its way into sketches: noted on the hot path, queued in the order of events, and bounded in all."""

from __future__ import annotations

import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from keyviz_grpc.hotkeys.lives import KeyRange
from keyviz_grpc.hotkeys.operations import UNIT_BITS, Kind, Noted, Operation, Operations
from keyviz_grpc.hotkeys.settings import HotKeysSettings

Note: TypeAlias = Callable[[int, str, bool, bytes], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """Operations of the window of that stamp; age: as routes were in that age, see `Pending.turn`."""

    stamp: int
    operations: Operations
    age: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Operations of the window of that stamp of which no key is taken; age: as in `Taken`."""

    stamp: int
    dropped: Mapping[Kind, int]
    skipped: Mapping[Kind, int]
    age: int


@dataclass(frozen=True, slots=True)
class WindowOver:
    """Nothing more comes for this window, unless the clock goes back."""

    stamp: int


@dataclass(frozen=True, slots=True)
class RoutesChanged:
    """From that age on these routes are gone, and then these have these ranges."""

    removed: tuple[int, ...]
    added: Mapping[int, KeyRange]
    age: int


Event: TypeAlias = Taken | Missing | WindowOver | RoutesChanged


class _Page:
    """What is noted in one age, until it is claimed; its function may outlive the age in threads that just call it."""

    def __init__(self, age: int) -> None:
        self.age = age
        self.noted: list[Operation | None] = []
        self.dropped: Counter[Kind] = Counter()
        self.skipped: Counter[Kind] = Counter()
        self.function: Callable[[], Note | None] = lambda: None

    @property
    def is_in_use(self) -> bool:
        """Whether anybody has its function still."""
        return self.function() is not None


class Pending:
    """At most `max_pending` units, see `Operations.units`, of operations noted and queued together, and one key more.

    `note` is called from any thread, `put`, `claim` and `turn` by one at a time. What finds no room is dropped and
    counted.
    """

    def __init__(self, settings: HotKeysSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()  # never held for long
        self._events: deque[Event] = deque()
        self._queued = 0
        self._page_of, self._allow = self._pages()
        self._earlier: list[_Page] = []
        self._page, self.note = self._page_of(0)

    @property
    def units(self) -> int:
        """How much is held."""
        return len(self._page.noted) + sum(len(page.noted) for page in self._earlier) + self._queued

    @property
    def age(self) -> int:
        """How often routes have changed."""
        return self._page.age

    def _pages(self) -> tuple[Callable[[int], tuple[_Page, Note]], Callable[[int], None]]:
        """Pages with functions that have everything at hand, as looking attributes up would be most of their time.

        And the bound of all of them.
        """
        longest, room, count = self._settings.max_key_bytes, self._settings.max_pending, self._count

        def page_of(age: int) -> tuple[_Page, Note]:
            page = _Page(age)
            noted, dropped, skipped = page.noted, page.dropped, page.skipped
            append, extend = noted.append, noted.extend

            def note(route_id: int, label: str, write: bool, key: bytes) -> None:
                size = len(key)
                if size > longest:
                    count(skipped, route_id, label, write)
                elif len(noted) >= room:
                    count(dropped, route_id, label, write)
                else:
                    operation = (route_id, label, write, key if key.__class__ is bytes else bytes(key))
                    if size >> UNIT_BITS:
                        # The list's length is what is held: a long key takes as many places, all at once like append.
                        extend((operation, *(None,) * (size >> UNIT_BITS)))
                    else:
                        append(operation)

            page.function = weakref.ref(note)
            return page, note

        def allow(units: int) -> None:
            nonlocal room
            room = units

        return page_of, allow

    def _count(self, counts: Counter[Kind], route_id: int, label: str, write: bool) -> None:
        with self._lock:
            counts[route_id, label, write] += 1

    def turn(self, removed: Iterable[int], added: Mapping[int, KeyRange]) -> None:
        """Another age: these routes are gone, and then these have these ranges.

        All that was noted was claimed. Threads that are in the middle of an operation go on in the age in which they
        looked its route up, with the `note` of that age.
        """
        age = self.age + 1
        self._earlier.append(self._page)
        self._page, self.note = self._page_of(age)
        self._events.append(RoutesChanged(tuple(removed), added, age))

    def claim(self, stamp: int) -> None:
        """States that whatever was noted until now belongs to the window of that stamp."""
        # Asked before what was noted is taken: what is noted in between would be forgotten else.
        going_on = [page for page in self._earlier if page.is_in_use]
        for page in (*self._earlier, self._page):
            self._claim(page, stamp)
        self._earlier = going_on

    def _claim(self, page: _Page, stamp: int) -> None:
        size = len(page.noted)
        if size:
            self._hold(size)  # before the list shrinks, so that nobody fills it up again meanwhile
            taken = page.noted[:size]
            del page.noted[:size]
            self._events.append(Taken(stamp, Noted(taken), page.age))
        if page.dropped or page.skipped:
            with self._lock:
                dropped, skipped = dict(page.dropped), dict(page.skipped)
                page.dropped.clear()
                page.skipped.clear()
            self._events.append(Missing(stamp, dropped, skipped, page.age))

    def put(self, stamp: int, operations: Operations) -> None:
        """Operations of a window; those that find no room are dropped and counted, the others copied."""
        room = self._settings.max_pending - self.units
        if operations.units > room:
            operations, late = operations.split(room)
            self.miss(stamp, late.counts(), {})
        if operations.units:
            self._hold(operations.units)
            self._events.append(Taken(stamp, operations.owned(), self.age))

    def has_room(self, operations: Operations) -> bool:
        """Whether `put` would drop none of them."""
        return self.units + operations.units <= self._settings.max_pending

    def miss(self, stamp: int, dropped: Mapping[Kind, int], skipped: Mapping[Kind, int]) -> None:
        """Operations of a window that are dropped or skipped."""
        self._events.append(Missing(stamp, dropped, skipped, self.age))

    def over(self, stamp: int) -> None:
        """The window is over; idle ones too."""
        self._events.append(WindowOver(stamp))

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
