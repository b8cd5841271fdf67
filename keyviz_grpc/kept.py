"""Small bounded memories of results that are costly to find again. Thread-safe."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar, cast

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Part = TypeVar("Part")


class Kept(Generic[Key, Value]):
    """Values that weigh at most `limit` together, 1 each unless said otherwise; the longest unused go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._lock = threading.Lock()
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value of a key, None where none is kept."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: Key, value: Value, weight: int = 1) -> None:
        """Keeps a value, in place of others where it needs their room; one that is heavier than all may be is not."""
        if weight > self._limit:
            return
        with self._lock:
            _, before = self._values.pop(key, (None, 0))
            self._weight += weight - before
            self._values[key] = (value, weight)
            while self._weight > self._limit:
                _, (_, gone) = self._values.popitem(last=False)
                self._weight -= gone


class KeptByIdentity(Generic[Value]):
    """Results of a pure function of immutable objects, found by which objects they are, not by what they hold.

    The objects stay alive with their result, so that no other object can take their place in memory.
    """

    def __init__(self, limit: int) -> None:
        self._kept: Kept[tuple[int, ...], tuple[tuple[object, ...], Value]] = Kept(limit)

    def found(self, objects: tuple[object, ...]) -> Value | None:
        """The result for these objects where it is known."""
        found = self._kept.get(tuple(map(id, objects)))
        return None if found is None else found[1]

    def get(self, objects: tuple[object, ...], make: Callable[[], Value], weight: int = 1) -> Value:
        """The result for these objects, made now where it is not known; `weight` as for `Kept`."""
        key = tuple(map(id, objects))
        found = self._kept.get(key)
        if found is not None:
            return found[1]
        value = make()
        self._kept.put(key, (objects, value), weight)
        return value


class KeptOfLast(Generic[Part, Value]):
    """What was made of each of many immutable objects before, never None; found as in `KeptByIdentity`.

    For lists in which few objects are others from one time to the next. At most so many times as many are kept as the
    last list has.
    """

    LISTS: Final = 4

    def __init__(self) -> None:
        # Values by the numbers of objects that are alive, for they are in the list.
        self._made: tuple[dict[int, Value], list[Part]] = {}, []

    def of(self, parts: Sequence[Part], make: Callable[[Part], Value]) -> list[Value]:
        """Of each part its value, made now where it is not known."""
        known, alive = self._made
        found = list(map(known.get, map(id, parts)))
        for number in [number for number, value in enumerate(found) if value is None]:
            alive.append(parts[number])
            found[number] = known[id(parts[number])] = make(parts[number])
        values = cast("list[Value]", found)
        if len(known) > self.LISTS * len(parts):
            self._made = dict(zip(map(id, parts), values, strict=True)), list(parts)
        return values
