"""The closed windows of one node, oldest first, at most so many."""

from __future__ import annotations

from bisect import bisect_left, insort

from keyviz_grpc.sampler.column import Column, added


class Ring:
    """Columns by stamp. Not thread-safe; columns are immutable, so a list of them can be read without a lock.

    `revision` grows when a column that was there already is counted into again, `rewrites` also when one is put
    before the newest.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._stamps: list[int] = []
        self._columns: dict[int, Column] = {}
        self.revision = 0
        self.rewrites = 0

    @property
    def oldest_unix_ms(self) -> int:
        """Stamp of the oldest column, 0 when there is none."""
        return self._stamps[0] if self._stamps else 0

    @property
    def newest_unix_ms(self) -> int:
        """Stamp of the newest column, 0 when there is none."""
        return self._stamps[-1] if self._stamps else 0

    def __len__(self) -> int:
        return len(self._stamps)

    def put(self, stamp: int, column: Column) -> None:
        """Keeps a closed window; one of a stamp that is there already is added to it. The oldest give way."""
        held = self._columns.get(stamp)
        if held is not None:
            self._columns[stamp] = added(held, column)
            self.revision += 1
            self.rewrites += 1
            return
        if stamp < self.newest_unix_ms:
            self.rewrites += 1
        insort(self._stamps, stamp)
        self._columns[stamp] = column
        while len(self._stamps) > self.limit:
            del self._columns[self._stamps.pop(0)]

    def between(self, from_unix_ms: int, to_unix_ms: int) -> list[tuple[int, Column]]:
        """(stamp, column), ascending, with from <= stamp < to; 0 = unbounded."""
        first = bisect_left(self._stamps, from_unix_ms)
        last = bisect_left(self._stamps, to_unix_ms) if to_unix_ms else len(self._stamps)
        return [(stamp, self._columns[stamp]) for stamp in self._stamps[first:last]]
