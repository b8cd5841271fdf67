"""What a sampler changes in one piece: slots of routes, the open windows, the ring of closed ones, identities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from keyviz_grpc.model import Series
from keyviz_grpc.sampler.batch import Batch
from keyviz_grpc.sampler.buckets import Buckets
from keyviz_grpc.sampler.hot_keys import HotKeys
from keyviz_grpc.sampler.identities import Identities
from keyviz_grpc.sampler.intake import Intake
from keyviz_grpc.sampler.leadership import Leadership
from keyviz_grpc.sampler.places import slots_of_batch
from keyviz_grpc.sampler.ring import Ring
from keyviz_grpc.sampler.stats import SamplerStats
from keyviz_grpc.sampler.types import Route
from keyviz_grpc.sampler.window import OpenWindow
from keyviz_grpc.sampler.windows import Windows

SPARE_SLOTS: Final = 64


class Counting:
    """Not thread-safe: the sampler calls it under its lock, but for `intake.append`, which any thread may.

    What was appended is counted by `drain`; whatever must see all counts, or changes what they mean, drains first.
    now_ms: the clock, unix milliseconds. one_in: of how many operations one is counted. hot: who records hot keys, or
    nobody.
    """

    def __init__(
        self,
        *,
        node_id: str,
        buckets: Buckets,
        columns: int,
        step_ms: int,
        stall_ms: float,
        one_in: int,
        now_ms: Callable[[], float],
        hot: HotKeys | None,
    ) -> None:
        self._now_ms, self._one_in, self._closed = now_ms, one_in, 0
        self.buckets, self.slots, self.hot = buckets, buckets.slots, hot
        self.ring = Ring(columns)
        self.identities = Identities()
        self.windows = Windows(
            self._empty_window,
            self._close_window,
            step_ms=step_ms,
            most=columns,
            stall_ms=stall_ms,
            now_ms=now_ms(),
        )
        self.leadership = Leadership(node_id, self.identities, buckets, self.windows)
        self.intake = Intake()

    # --- windows

    def settle(self) -> bool:
        """Counts what was appended and closes the windows that are due; whether another one is open now."""
        # Whoever records looks at the clock first, so what the buffer holds belongs to the windows as they are, also
        # what comes into it now. A window that ends meanwhile is closed the next time, with all of it.
        now_ms = self._now_ms()
        self.drain()
        return self.windows.advance(now_ms)

    @property
    def is_closed_up(self) -> bool:
        """Whether no window is due: what was appended belongs to the one that is open now."""
        return self.windows.is_in_current(self._now_ms())

    def drain(self) -> None:
        """Counts what was appended in the window that is open."""
        self.intake.drain(self.windows.current, size=len(self.slots))
        if self.hot is not None:
            self.hot.recorder.claim(self.windows.stamp_now)

    def _empty_window(self) -> OpenWindow:
        return OpenWindow(len(self.slots), self._one_in)

    def _close_window(self, stamp: int, window: OpenWindow) -> None:
        window.grow(len(self.slots))
        column = window.close(self.leadership.codes[: len(self.slots)])
        for kind, series in enumerate((Series.READS, Series.WRITES)):
            self.slots.mark_active(np.flatnonzero(column.counts[series]), kind, stamp)
        self.identities.mark_used(np.concatenate([column.codes, column.frozen.codes]), stamp)
        self.ring.put(stamp, column)
        self.slots.window_over()
        if self.hot is not None:
            self.hot.recorder.close_window(stamp)
        self._closed += 1

    # --- operations

    def count(self, batch: Batch, whole: Batch) -> None:
        """Counts a batch, all of it or nothing; whole: before it was sampled. Raises as `Sampler.observe_many`."""
        slots = slots_of_batch(batch, *self.buckets.tables(), self.buckets.place_of)
        # Sampling may have left out the first operations of a label, which has a place all the same.
        noted = None if self.hot is None else whole.relabelled(self.buckets.counts_as)
        self.leadership.grow()
        if self.hot is not None and noted is not None:
            at = noted.at_unix_ms
            stamps = self.windows.stamp_now if at is None else self.windows.stamps_of(at)
            self.hot.note_batch(noted, stamps, wait=at is not None)
        if batch.at_unix_ms is None:
            kinds = slots * 2 + batch.writes
            self.intake.count(self.windows.current, kinds, batch.sizes, size=len(self.slots))
            return
        stamps = self.windows.stamps_of(batch.at_unix_ms)
        for stamp in np.unique(stamps).tolist():
            inside = stamps == stamp
            kinds = slots[inside] * 2 + batch.writes[inside]
            self.intake.count(self.windows.at(stamp), kinds, batch.sizes[inside], size=len(self.slots))

    # --- routes

    def recycle(self) -> bool:
        """Frees slots that nothing shows, where there are many more than routes; whether it looked for any."""
        if len(self.slots) <= 2 * len(self.buckets.routes) + SPARE_SLOTS:
            return False
        self.buckets.recycle(self.ring.oldest_unix_ms, self.windows.busy(len(self.slots)))
        return True

    def change_routes(self, removed: Sequence[int], added: Sequence[Route]) -> list[int]:
        """See `Sampler.replace_routes`; all or nothing. Slots whose group changed, for `moved`."""
        moved = self.buckets.change(removed, added)
        if self.hot is not None:
            self.hot.changed(removed, added)
        return moved

    def moved(self, slots: list[int]) -> None:
        """What these slots have counted stays with the group that they had; called after nobody finds old places."""
        self.leadership.moved(slots)

    def stats(self) -> SamplerStats:
        """How it is doing; what is appended and not yet counted is not in it."""
        return SamplerStats(
            reads=self.intake.reads,
            writes=self.intake.writes,
            drains=self.intake.drains,
            windows_closed=self._closed,
            windows_open=len(self.windows),
            columns=len(self.ring),
            columns_limit=self.ring.limit,
            routes=len(self.buckets.routes),
            buckets=len(self.slots),
            oldest_unix_ms=self.ring.oldest_unix_ms,
            newest_unix_ms=self.ring.newest_unix_ms,
            hot_keys=None if self.hot is None else self.hot.recorder.stats(),
        )
