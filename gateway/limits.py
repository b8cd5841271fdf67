"""Bounds on what clients may ask for at once and in a minute."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Self

from gateway.streamed import Pieces, copied_of, held_by
from keyviz_grpc.errors import Overloaded

WINDOW_S: Final = 60.0


class InFlight:
    """At most `limit` requests with a place at once; one more raises Overloaded, without waiting."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0

    def place(self) -> Place:
        """One of them, taken now, until the block around it ends; raises Overloaded where none is left."""
        if self.count >= self.limit:
            raise Overloaded(f"{self.limit} requests are under way already, try again")
        self.count += 1
        return Place(self)


class Place:
    """Of one request; it may be given back before its block ends, by a client that has left."""

    __slots__ = ("_among",)

    def __init__(self, among: InFlight) -> None:
        self._among: InFlight | None = among

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Somebody else may have it; does nothing the second time."""
        if self._among is not None:
            self._among.count -= 1
            self._among = None


class Unsent:
    """Bodies that their readers have not taken, of `limit_bytes` together at most, or one that is larger.

    held_bytes: a body that several readers take counts once, and what may be copied of it for each of them.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._readers: dict[int, int] = {}

    def check(self) -> None:
        """Raises Overloaded where no further body would find room, so that none is made in vain."""
        if self.held_bytes >= self.limit_bytes:
            raise Overloaded(f"{self.held_bytes} bytes wait for readers that do not take them, try again")

    def hold(self, pieces: Pieces) -> None:
        """Counts a body until it is let go of; raises Overloaded where it has no room beside those that wait."""
        readers = self._readers.get(id(pieces), 0)
        more_bytes = copied_of(pieces) + (0 if readers else held_by(pieces))
        if self.held_bytes and self.held_bytes + more_bytes > self.limit_bytes:
            held = f"{self.held_bytes} bytes wait for readers that do not take them"
            raise Overloaded(f"{held}, and {more_bytes} more would be over {self.limit_bytes}: try again")
        self.held_bytes += more_bytes
        self._readers[id(pieces)] = readers + 1

    def let_go(self, pieces: Pieces) -> None:
        """One of its readers has taken it, or has gone."""
        readers = self._readers.pop(id(pieces)) - 1
        self.held_bytes -= copied_of(pieces)
        if readers:
            self._readers[id(pieces)] = readers
        else:
            self.held_bytes -= held_by(pieces)


class RateLimit:
    """At most `attempts` a minute for each client; remembers a bounded number of clients, the latest ones.

    clock: seconds that only go forward.
    """

    def __init__(
        self, attempts: int, *, max_clients: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._attempts, self._max_clients, self._clock = attempts, max_clients, clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, client: str) -> float:
        """0.0 if one more attempt is allowed, which it then counts; else in how many seconds there may be one."""
        now = self._clock()
        moments = self._seen.setdefault(client, deque())
        self._seen.move_to_end(client)
        while moments and now - moments[0] >= WINDOW_S:
            moments.popleft()
        if len(moments) >= self._attempts:
            return WINDOW_S - (now - moments[0])
        moments.append(now)
        while len(self._seen) > self._max_clients:
            self._seen.popitem(last=False)
        return 0.0
