"""One sketch: the frequent keys of a stream in bounded memory, with certain bounds for every key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from datasketches import frequent_items_error_type, frequent_strings_sketch

from keyviz_grpc.hotkeys.settings import FULL, cost_bytes
from keyviz_grpc.hotkeys.summary import Summary

_FEW: Final = 8


class KeySketch:
    """Counts keys by the algorithm of Anderson, Bevan, Lang, Liberty, Rhodes and Thaler, "A high-performance algorithm
    for identifying frequent items in data streams" (IMC 2017), as Apache DataSketches has it.

    For each key: lower <= true count <= upper, upper - lower is the same for all keys and at most 3.5 / counters times
    the stream's length. It is 0 until there are more different keys than the map holds; until then they are counted in
    a dictionary, which is several times faster. Not thread-safe.
    """

    __slots__ = ("_counters", "_exact", "_longest", "_most", "_sketch", "reserved_bytes")

    def __init__(self, counters: int) -> None:
        self.reserved_bytes = 0
        self._counters = counters
        self._exact: Counter[bytes] = Counter()
        self._sketch: frequent_strings_sketch | None = None
        self._most = self._longest = 0  # what reserved_bytes suffice for: different keys, bytes of a key

    def reserve(self, keys: Sequence[bytes]) -> tuple[int, int, int]:
        """(bytes, number, length): what these keys need to be reserved besides, and what that would suffice for.

        The first is 0 when nothing is needed; `granted` states that the bytes were given.
        """
        longest = max(map(len, keys))
        number = self._most if self._sketch is not None else len(self._exact) + len(keys)
        if number <= self._most and longest <= self._longest:
            return 0, self._most, self._longest
        cost, most, length = cost_bytes(self._counters, max(number, self._most), max(longest, self._longest))
        return cost - self.reserved_bytes, most, length

    def granted(self, more_bytes: int, most: int, longest: int) -> None:
        """What `reserve` asked for was given."""
        self.reserved_bytes += more_bytes
        self._most, self._longest = most, longest

    def add(self, keys: Sequence[bytes]) -> None:
        """Counts each key once for each time that it occurs."""
        exact = self._exact
        if self._sketch is not None:
            self._update(Counter(keys))
            return
        if len(keys) <= _FEW:
            for key in keys:
                exact[key] = exact.get(key, 0) + 1
        else:
            exact.update(keys)
        if len(exact) > FULL * self._counters:
            self._sketch = frequent_strings_sketch(self._counters.bit_length() - 1)
            self._update(exact)
            self._exact = Counter()

    def _update(self, counts: Counter[bytes]) -> None:
        update = self._sketch.update  # type: ignore[union-attr]
        for key, times in counts.items():
            update(key.decode("latin-1"), times)  # lossless: one character a byte

    def summary(self) -> Summary:
        """What it says of every key that it holds; `missed` and `skipped` are for whoever knows."""
        if self._sketch is None:
            return Summary.of(self._exact, error=0, taken=self._exact.total())
        found = self._sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES, 0)
        counts = {key.encode("latin-1"): lower for key, _, lower, _ in found}
        error = self._sketch.get_upper_bound("") - self._sketch.get_lower_bound("")  # the same for every key
        return Summary.of(counts, error=error, taken=self._sketch.total_weight)
