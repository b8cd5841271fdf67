"""Small bounded memories of results that are costly to find again. Thread-safe."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """At most `limit` values; the longest unused go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value of a key, None where none is kept."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: Key, value: Value) -> None:
        """Keeps a value, and lets go of the one that was unused for longest where there are too many."""
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._limit:
                self._values.popitem(last=False)


class KeptByIdentity(Generic[Value]):
    """Results of a pure function of immutable objects, found by which objects they are, not by what they hold.

    The objects stay alive with their result, so that no other object can take their place in memory.
    """

    def __init__(self, limit: int) -> None:
        self._kept: Kept[tuple[int, ...], tuple[tuple[object, ...], Value]] = Kept(limit)

    def get(self, objects: tuple[object, ...], make: Callable[[], Value]) -> Value:
        """The result for these objects, made now where it is not known."""
        key = tuple(map(id, objects))
        found = self._kept.get(key)
        if found is not None:
            return found[1]
        value = make()
        self._kept.put(key, (objects, value))
        return value
