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
