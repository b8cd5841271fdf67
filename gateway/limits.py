"""Bounds on what clients may ask for at once and in a minute."""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
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
    """Bytes of bodies that their readers have not taken; above `limit_bytes` no further body is begun."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def check(self) -> None:
        """Raises Overloaded while too much waits."""
        if self.held_bytes > self.limit_bytes:
            raise Overloaded(f"{self.held_bytes} bytes wait for readers that do not take them, try again")

    @contextlib.contextmanager
    def held(self, size_bytes: int) -> Iterator[None]:
        """Counts a body inside the block."""
        self.held_bytes += size_bytes
        try:
            yield
        finally:
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
