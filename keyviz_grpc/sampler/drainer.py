"""The thread that folds observed operations into counters and keeps the windows closing when nothing happens."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable

log = logging.getLogger(__name__)


class Drainer:
    """Calls a bound method about every `interval_s` seconds until stopped, or until the method's owner is gone."""

    def __init__(self, work: Callable[[], None], interval_s: float) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=_run, args=(weakref.WeakMethod(work), self._stop, interval_s), name="keyviz-drainer", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and waits for it; harmless when repeated."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def _run(work: weakref.WeakMethod[Callable[[], None]], stop: threading.Event, interval_s: float) -> None:
    while not stop.wait(interval_s):
        alive = work()
        if alive is None:
            return
        try:
            alive()
        except Exception:
            # The counters are still there; a store must not lose its statistics for ever to one bad tick.
            log.exception("folding observed operations failed, trying again at the next tick")
        del alive
