"""Who wants to know how the fan-out goes: metrics and logs, for instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from keyviz_grpc.hotkeys import HotKeysAnswer
from keyviz_grpc.outcome import Answer, Outcome


class Observer(Protocol):
    """Told what happens, on the event loop; must neither raise nor take long."""

    def asked(self, peer: str, result: Answer | Outcome, seconds: float) -> None:
        """A peer (an address, or `self`) answered or failed, `seconds` after it was its turn."""
        ...

    def asked_for_hot_keys(self, peer: str, result: HotKeysAnswer | Outcome, seconds: float) -> None:
        """The same of a question for hot keys."""
        ...

    def merged(self, answer: Answer, seconds: float) -> None:
        """The answers became one; nobody needs to have contributed to it."""
        ...

    def joined(self) -> None:
        """A request waits for the fan-out of an identical one, and causes none itself."""
        ...


class Observers:
    """Tells several of them."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def asked(self, peer: str, result: Answer | Outcome, seconds: float) -> None:
        """See Observer."""
        for observer in self._observers:
            observer.asked(peer, result, seconds)

    def asked_for_hot_keys(self, peer: str, result: HotKeysAnswer | Outcome, seconds: float) -> None:
        """See Observer."""
        for observer in self._observers:
            observer.asked_for_hot_keys(peer, result, seconds)

    def merged(self, answer: Answer, seconds: float) -> None:
        """See Observer."""
        for observer in self._observers:
            observer.merged(answer, seconds)

    def joined(self) -> None:
        """See Observer."""
        for observer in self._observers:
            observer.joined()
