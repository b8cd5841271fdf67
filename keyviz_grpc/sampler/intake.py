"""What was observed and is not yet counted: one integer an operation, folded into the open window in one go."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.sampler.window import OpenWindow

SIZE_BITS: Final = 34
SIZE_LIMIT: Final = 1 << SIZE_BITS
CHUNK: Final = 1 << 19  # operations that are folded at once, so that a long list needs no second one of its size


class Intake:
    """A list that any thread appends to, `append((2 * slot + kind) << SIZE_BITS | bytes)`; the rest under a lock.

    reads, writes: how many operations were counted; drains: how often the list was folded, a chunk at a time.
    """

    def __init__(self) -> None:
        self._buffer: list[int] = []
        self.append = self._buffer.append
        self.reads = self.writes = self.drains = 0

    def drain(self, window: OpenWindow, *, size: int) -> None:
        """Counts all that was appended in this window, of `size` slots."""
        while self._buffer:
            taken = self._buffer[:CHUNK]
            del self._buffer[: len(taken)]
            self.drains += 1
            packed = np.array(taken, np.uint64)
            sizes = packed & np.uint64(SIZE_LIMIT - 1)
            self.count(window, (packed >> np.uint64(SIZE_BITS)).astype(np.int64), sizes, size=size)

    def count(self, window: OpenWindow, kinds: NDArray[np.int64], sizes: NDArray[np.uint64], *, size: int) -> None:
        """Counts operations in a window, see `OpenWindow.count`."""
        window.grow(size)
        writes = int(np.count_nonzero(kinds & 1))
        self.writes += writes
        self.reads += len(kinds) - writes
        window.count(kinds, sizes)


def checked_key(key: bytes, value_size: int) -> bytes:
    """The key as bytes. Raises InvalidRequest for one that is none and for a size that cannot be counted."""
    if not isinstance(key, bytes | bytearray | memoryview):
        raise InvalidRequest("key", key, "must be bytes")
    if not isinstance(value_size, int) or value_size < 0:
        raise InvalidRequest("value_size", value_size, "must be a number of bytes, not negative")
    if len(key) + value_size >= SIZE_LIMIT:
        raise InvalidRequest("value_size", value_size, f"must be below {SIZE_LIMIT} bytes with its key")
    return bytes(key)
