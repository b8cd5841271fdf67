"""The windows that are open at once, and which of them gives way when there is not enough memory for all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from keyviz_grpc.hotkeys.settings import HotKeysSettings
from keyviz_grpc.hotkeys.stats import Totals
from keyviz_grpc.hotkeys.window import OpenSketches, SketchMemory


class OpenWindows(dict[int, OpenSketches]):
    """Open windows by stamp. Not thread-safe: the recorder calls it under its lock.

    Besides the window of the moment, `present_unix_ms`, late operations and clocks that leap open others. They share
    bytes and buckets, see `SketchMemory`, and what is short belongs to the present first.

    close: closes a window before its time. is_over(stamp): whether a window of that stamp, or a newer one, has closed.
    """

    def __init__(
        self,
        settings: HotKeysSettings,
        totals: Totals,
        *,
        close: Callable[[int], None],
        is_over: Callable[[int], bool],
    ) -> None:
        super().__init__()
        self._counters, self._totals, self._close, self._is_over = settings.counters, totals, close, is_over
        self.memory = SketchMemory(settings.memory_bytes // 2)
        self.present_unix_ms = 0

    def at(self, stamp: int) -> OpenSketches:
        """The window of that stamp, opened if need be."""
        window = self.get(stamp)
        if window is None:
            make_way = partial(self.make_way, stamp)
            window = self[stamp] = OpenSketches(self._counters, self.memory, self._totals, make_way)
        return window

    def make_way(self, stamp: int) -> bool:
        """Frees what one window has, for the window of this stamp; False where none is to give way to it.

        A window that is over closes early, and loses nothing: what comes for it later is added. One that has little
        does not, for adding costs more than that is worth. Windows to come after this one lose what they have, the last
        first; to one before the present they do not.
        """
        if len(self) == 1:
            return False
        present = self.present_unix_ms
        others = [other for other, window in self.items() if len(window) and other not in (stamp, present)]
        over = [other for other in others if other < present or self._is_over(other)]
        worth = min((other for other in over if self[other].has_much), default=None)
        if worth is not None:
            self._close(worth)
            return True
        last = max((other for other in others if other not in over), default=stamp) if stamp >= present else stamp
        if last <= stamp:
            return False
        self[last].give_way()
        return True
