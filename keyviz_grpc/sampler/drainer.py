"""The thread that folds observed operations into counters and keeps the windows closing when nothing happens."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Protocol

log = logging.getLogger(__name__)


class Ticking(Protocol):
    """Something to be woken regularly."""

    def tick(self) -> None:
        """Does what is due; called from the drainer's thread."""
        ...


class Drainer:
    """Calls `target.tick()` about every `interval_s` seconds until stopped, or until the target is gone."""

    def __init__(self, target: Ticking, interval_s: float) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=_run, args=(weakref.ref(target), self._stop, interval_s), name="keyviz-drainer", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and waits for it; harmless when repeated."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def _run(target: weakref.ref[Ticking], stop: threading.Event, interval_s: float) -> None:
    while not stop.wait(interval_s):
        alive = target()
        if alive is None:
            return
        try:
            alive.tick()
        except Exception:
            # The counters are still there; a store must not lose its statistics for ever to one bad tick.
            log.exception("folding observed operations failed, trying again at the next tick")
        del alive
