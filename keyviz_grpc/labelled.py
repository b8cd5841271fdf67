"""Series of metrics by their labels."""

from __future__ import annotations

from typing import Generic, TypeVar

from prometheus_client import Counter, Histogram

_Family = TypeVar("_Family", Counter, Histogram)


class Labelled(Generic[_Family]):
    """A family whose series are found by their labels, each made when something is to be counted in it.

    What is then done takes less than `labels` does to find it.
    """

    def __init__(self, family: _Family) -> None:
        self._family: _Family = family
        self._series: dict[tuple[str, ...], _Family] = {}

    def of(self, *labels: str) -> _Family:
        """The series with these labels."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._family.labels(*labels)
        return series

    def forget(self, *labels: str) -> None:
        """No longer shows the series with these labels, where it has one."""
        if self._series.pop(labels, None) is not None:
            self._family.remove(*labels)
