"""The bound on all answers of one request together."""

from __future__ import annotations


class BytesBudget:
    """What all answers of one request may hold together; not thread-safe, for one event loop."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._left = total_bytes

    def take(self, size: int) -> bool:
        """Whether `size` bytes still fit; if so they are taken."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def account(self) -> Account:
        """For one peer, whose answer may have to be asked for anew."""
        return Account(self)

    def give_back(self, size: int) -> None:
        """What is no longer held."""
        self._left += size


class Account:
    """What one peer has taken of a budget."""

    def __init__(self, budget: BytesBudget) -> None:
        self._budget = budget
        self._taken = 0

    @property
    def total_bytes(self) -> int:
        """Of the whole budget."""
        return self._budget.total_bytes

    def take(self, size: int) -> bool:
        """See `BytesBudget`."""
        if not self._budget.take(size):
            return False
        self._taken += size
        return True

    def give_back(self) -> None:
        """All of it: what was held is thrown away."""
        self._budget.give_back(self._taken)
        self._taken = 0
