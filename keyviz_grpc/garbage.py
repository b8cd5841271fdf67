"""When Python looks for garbage in cycles."""

from __future__ import annotations

import gc
from typing import Final

YOUNG_OBJECTS: Final = 10_000


def collect_rarely() -> None:
    """For a process whose requests leave no cycles behind. Call it once, when all is imported.

    A request to 64 nodes makes thousands of objects that live until its end. By default Python looks through them five
    times meanwhile, and now and then through everything that was ever imported, which holds the loop up for 40 ms.
    What is there now is never looked at again, and YOUNG_OBJECTS more have to be there than at the last look.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
