"""The counters of one window that is still open."""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Series
from keyviz_grpc.sampler.column import SERIES, Column, narrow, settle

Z_95: Final = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""

SOFT_HALF_WIDTH: Final = 0.05

WINDOW_BYTES: Final = 1024

_Number = TypeVar("_Number", np.uint64, np.float64)


class OpenWindow:
    """Counts by slot: reads and writes apart, each as counts and bytes; writes that were stamped keep their identity.

    sums[kind, slot] with kind 0 reads, 1 writes: uint64. Not thread-safe.
    """

    def __init__(self, size: int, sample_one_in: int) -> None:
        self._one_in = sample_one_in
        self._counts = _empty(size, np.uint64)
        self._bytes = _empty(size, np.uint64)
        self._squares = _empty(size, np.float64) if sample_one_in > 1 else None
        self._stamped: list[tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64], NDArray[np.uint64]]] = []

    @property
    def own_bytes(self) -> int:
        """What its counters take in memory, about."""
        return WINDOW_BYTES + (2 if self._squares is None else 3) * self._counts.nbytes

    def grow(self, size: int) -> None:
        """Makes room for slots below `size`."""
        missing = size - self._counts.shape[1]
        if missing > 0:
            self._counts = _grown(self._counts, size)
            self._bytes = _grown(self._bytes, size)
            if self._squares is not None:
                self._squares = _grown(self._squares, size)

    def count(self, kinds: NDArray[np.int64], sizes: NDArray[np.uint64]) -> None:
        """Adds operations: kinds = 2 * slot + (1 for a write), sizes = bytes of each."""
        # A write's traffic sits behind its read's, so a kind is a number in the flat array: the cost is that of the
        # operations, however many slots there are.
        np.add.at(_flat(self._counts), kinds, np.uint64(1))
        np.add.at(_flat(self._bytes), kinds, sizes)
        if self._squares is not None:
            np.add.at(_flat(self._squares), kinds, sizes.astype(np.float64) ** 2)

    def stamp(self, slots: NDArray[np.int64], codes: NDArray[np.uint32]) -> None:
        """Fixes the identity of what these slots have written so far; codes[i] is that of slots[i]."""
        hit = self._counts[1, slots] > 0
        slots, codes = slots[hit], codes[hit]
        if len(slots) == 0:
            return
        self._stamped.append((slots, codes, self._counts[1, slots], self._bytes[1, slots]))
        self._counts[1, slots] = 0
        self._bytes[1, slots] = 0

    def busy(self, size: int) -> NDArray[np.bool_]:
        """Slots with any traffic."""
        marks = np.zeros(size, np.bool_)
        marks[: self._counts.shape[1]] = self._counts.any(axis=0)
        for slots, *_ in self._stamped:
            marks[slots] = True
        return marks

    def codes(self) -> set[int]:
        """Identities that were stamped already."""
        return {code for _, codes, *_ in self._stamped for code in np.unique(codes).tolist()}

    def close(self, codes: NDArray[np.uint32]) -> Column:
        """The closed window; codes[slot] is the identity under which the rest was counted."""
        size = self._counts.shape[1]
        rest = np.flatnonzero(self._counts[1])
        lists = [*self._stamped, (rest, codes[rest], self._counts[1, rest], self._bytes[1, rest])]
        slots = np.concatenate([item[0] for item in lists])
        owners = np.concatenate([item[1] for item in lists])
        order = np.lexsort((owners, slots))
        scale = np.uint64(self._one_in)
        writes = np.concatenate([item[2] for item in lists])[order] * scale
        write_bytes = np.concatenate([item[3] for item in lists])[order] * scale
        shown, frozen = settle(slots[order], owners[order], writes, write_bytes, size=size)
        totals = np.zeros((2, size), np.uint64)
        np.add.at(totals[0], slots[order], writes)
        np.add.at(totals[1], slots[order], write_bytes)
        counts: dict[Series, NDArray[np.unsignedinteger]] = {
            Series.READS: narrow(self._counts[0] * scale),
            Series.READ_BYTES: narrow(self._bytes[0] * scale),
            Series.WRITES: narrow(totals[0]),
            Series.WRITE_BYTES: narrow(totals[1]),
        }
        return Column(counts, narrow(shown), frozen, self._soft(totals))

    def _soft(self, writes: NDArray[np.uint64]) -> dict[Series, NDArray[np.bool_]] | None:
        """Which estimates are outside +-5 % at 95 % confidence.

        Each operation is kept with probability p = 1/n, so the Horvitz-Thompson estimate of a sum of sizes s has the
        estimated variance (1 - p) / p^2 * sum of s^2 over the kept ones; a count has s = 1. Normal approximation:
        soft where z * sqrt(variance) > 5 % of the estimate, and where nothing was kept, which proves nothing.
        """
        if self._squares is None:
            return None
        n = float(self._one_in)
        spread = Z_95 * np.sqrt(n * (n - 1))
        kept = np.stack([self._counts[0].astype(np.float64), writes[0] / n])
        sizes = np.stack([self._bytes[0].astype(np.float64), writes[1] / n])
        soft_counts = spread * np.sqrt(kept) >= SOFT_HALF_WIDTH * n * kept
        soft_bytes = spread * np.sqrt(self._squares) >= SOFT_HALF_WIDTH * n * sizes
        marks = (soft_counts[0], soft_bytes[0], soft_counts[1], soft_bytes[1])
        return dict(zip(SERIES, marks, strict=True))


def _empty(size: int, of: type[_Number]) -> NDArray[_Number]:
    """[2, size] zeros, as a view of [size, 2] in memory."""
    return np.zeros((size, 2), of).T


def _grown(sums: NDArray[_Number], size: int) -> NDArray[_Number]:
    more = _empty(size, sums.dtype.type)
    more[:, : sums.shape[1]] = sums
    return more


def _flat(sums: NDArray[_Number]) -> NDArray[_Number]:
    return sums.T.reshape(-1)
