"""Bounds on what clients may ask for at once and in a minute."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from keyviz_grpc.errors import Overloaded

WINDOW_S: Final = 60.0


class InFlight:
    """At most `limit` requests inside at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Holds one of the slots inside the block; raises Overloaded at once when there is none."""
        if self.count >= self.limit:
            raise Overloaded(f"{self.limit} requests are under way already, try again")
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


class Unsent:
    """Bodies that their readers have not taken, of `limit_bytes` together at most, or one that is larger.

    held_bytes: a body that several readers take counts once.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._readers: Counter[int] = Counter()

    def check(self) -> None:
        """Raises Overloaded where no further body would find room, so that none is made in vain."""
        if self.held_bytes >= self.limit_bytes:
            raise Overloaded(f"{self.held_bytes} bytes wait for readers that do not take them, try again")

    @contextlib.contextmanager
    def held(self, pieces: Sequence[bytes | memoryview]) -> Iterator[None]:
        """Counts a body inside the block; raises Overloaded where it has no room beside those that wait."""
        size_bytes, body = sum(map(len, pieces)), id(pieces)
        if not self._readers[body]:
            if self.held_bytes and self.held_bytes + size_bytes > self.limit_bytes:
                del self._readers[body]
                held = f"{self.held_bytes} bytes wait for readers that do not take them"
                raise Overloaded(f"{held}, and {size_bytes} more would be over {self.limit_bytes}: try again")
            self.held_bytes += size_bytes
        self._readers[body] += 1
        try:
            yield
        finally:
            self._readers[body] -= 1
            if not self._readers[body]:
                del self._readers[body]
                self.held_bytes -= size_bytes


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
