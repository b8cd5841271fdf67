"""The identities that columns refer to by number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Identity = tuple[int, int]
"""(raft_group_id, leader_term); (0, 0) = unknown."""

SPARE: Final = 256
"""Numbers beyond twice those in use that may pile up before unused ones are sought."""


class Identities:
    """Codes of identities: row `code` of `table`, uint64[I, 2]; code 0 is the unknown one. Not thread-safe.

    Years of elections must not add up: a code that no held column and nothing open uses is given to the next identity.
    `table` is never written to but replaced, so it may be read along with the columns of its time.
    """

    def __init__(self) -> None:
        self.table: NDArray[np.uint64] = np.zeros((1, 2), np.uint64)
        self._codes: dict[Identity, int] = {(0, 0): 0}
        self._last_used: NDArray[np.int64] = np.zeros(1, np.int64)
        self._free: list[int] = []
        self._seek_at = SPARE

    def __len__(self) -> int:
        return len(self._codes)

    def known(self, identity: Identity) -> int | None:
        """The code of an identity that has one."""
        return self._codes.get(identity)

    def add(self, identity: Identity) -> int:
        """A code for an identity that has none."""
        if self._free:
            code = self._free.pop()
            self.table = self.table.copy()
            self.table[code] = identity
        else:
            code = len(self.table)
            self.table = np.concatenate([self.table, np.array([identity], np.uint64)])
            self._last_used = np.append(self._last_used, 0)
        self._codes[identity] = code
        return code

    def mark_used(self, codes: NDArray[np.unsignedinteger], stamp_unix_ms: int) -> None:
        """The column of that stamp refers to these codes."""
        used = np.flatnonzero(np.bincount(codes.astype(np.int64), minlength=1))
        self._last_used[used] = np.maximum(self._last_used[used], stamp_unix_ms)

    @property
    def crowded(self) -> bool:
        """Whether it is time to `release`."""
        return len(self._codes) >= self._seek_at

    def release(self, oldest_unix_ms: int, in_use: Iterable[int]) -> None:
        """Takes back codes that no column from `oldest_unix_ms` on refers to, but for 0 and those in use otherwise."""
        unused = self._last_used < oldest_unix_ms
        unused[list(in_use)] = False
        unused[0] = False
        gone = [(identity, code) for identity, code in self._codes.items() if unused[code]]
        if gone:
            self.table = self.table.copy()
        for identity, code in gone:
            del self._codes[identity]
            self.table[code] = 0
            self._free.append(code)
        self._seek_at = 2 * len(self._codes) + SPARE
