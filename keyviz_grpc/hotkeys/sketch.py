"""One sketch: the frequent keys of a stream in bounded memory, with certain bounds for every key."""

from __future__ import annotations

from collections.abc import Mapping

from datasketches import frequent_items_error_type, frequent_strings_sketch

from keyviz_grpc.hotkeys.settings import cost_bytes
from keyviz_grpc.hotkeys.summary import Summary


class KeySketch:
    """Counts keys by the algorithm of Anderson, Bevan, Lang, Liberty, Rhodes and Thaler, "A high-performance algorithm
    for identifying frequent items in data streams" (IMC 2017), as Apache DataSketches has it.

    For each key: lower <= true count <= upper, upper - lower is the same for all keys, at most 3.5 / counters times the
    stream's length, and 0 while the map never was full. Not thread-safe.
    """

    def __init__(self, counters: int) -> None:
        self._counters = counters
        self._sketch = frequent_strings_sketch(counters.bit_length() - 1)
        self._seen = 0
        self._longest = 0

    def bytes_after(self, keys: Mapping[bytes, int]) -> int:
        """How much memory this may take at most once these keys are added."""
        return cost_bytes(self._counters, self._seen + len(keys), max(self._longest, max(map(len, keys), default=0)))

    def add(self, keys: Mapping[bytes, int]) -> None:
        """Counts each key so many times."""
        self._seen += len(keys)
        self._longest = max(self._longest, max(map(len, keys), default=0))
        update = self._sketch.update
        for key, times in keys.items():
            update(key.decode("latin-1"), times)  # lossless: one character a byte

    def summary(self) -> Summary:
        """What it says of every key that it holds; `missed` and `skipped` are for whoever knows."""
        found = self._sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES, 0)
        counts = {key.encode("latin-1"): lower for key, _, lower, _ in found}
        # An item whose bounds the library does not list is one of which it holds nothing.
        error = self._sketch.get_upper_bound("") - self._sketch.get_lower_bound("")
        return Summary.of(counts, error=error, taken=self._sketch.total_weight)
