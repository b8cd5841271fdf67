"""A recorder of hot keys, what goes into it, and what comes out."""

from __future__ import annotations

from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.recorder import HotKeyRecorder

W1, W2, W3 = 1_000, 2_000, 3_000


def recorder(**settings: int) -> HotKeyRecorder:
    """One with small memory unless told otherwise."""
    return HotKeyRecorder(HotKeysSettings(**settings))


def fill(made: HotKeyRecorder, stamp: int, keys: dict[bytes, int], *, route: int = 1, write: bool = True) -> None:
    """So many operations of each key in one window, which then closes."""
    for key, times in keys.items():
        for _ in range(times):
            made.note(route, "", write, key)
    made.claim(stamp)
    made.close_window(stamp)


def ask(made: HotKeyRecorder, route: int = 1, **query: object) -> HotKeysAnswer:
    """Every candidate."""
    return made.answer(HotKeysQuery(route, **query), None)  # type: ignore[arg-type]


def counts(answer: HotKeysAnswer) -> dict[bytes, int]:
    """In the answer's order."""
    return {item.key: item.count for item in answer.keys}
