"""Closed columns that are past change, packed together: an hour of windows in the room of a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from keyviz_grpc.model import Series
from keyviz_grpc.sampler.column import NO_FROZEN, SERIES, Column, FrozenShares, narrow

WIDTHS: Final = (1, 2, 4, 8)
LEVEL: Final = 1
"""Of zstandard: higher levels cost several times the CPU here and save a few percent."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A matrix of unsigned integers, compressed.

    Rows are kept in as many bytes as their largest value takes, grouped by that width; wider ones byte plane by byte
    plane, so that the high bytes, mostly alike, stand together.
    """

    shape: tuple[int, int]
    content: bytes

    @classmethod
    def of(cls, values: NDArray[np.unsignedinteger]) -> Packed:
        """Of a two-dimensional array, which is not kept."""
        tops = values.max(axis=1, initial=0).astype(np.uint64)
        widths = np.zeros(len(tops), np.uint8)
        for width, below in ((1, 0), (2, 1 << 8), (4, 1 << 16), (8, 1 << 32)):
            widths[tops >= np.uint64(max(1, below))] = width
        parts = [widths.tobytes()]
        for width in WIDTHS:
            rows = np.ascontiguousarray(values[widths == width], f"<u{width}")
            parts.append(rows.view(np.uint8).reshape(-1, width).T.tobytes())
        rows_, columns = values.shape
        return cls((rows_, columns), zstandard.ZstdCompressor(level=LEVEL).compress(b"".join(parts)))

    def unpacked(self) -> NDArray[np.unsignedinteger]:
        """A new array of that shape, of the narrowest type that its values need."""
        content = zstandard.ZstdDecompressor().decompress(self.content)
        rows, columns = self.shape
        widths = np.frombuffer(content, np.uint8, rows)
        values = np.zeros(self.shape, f"<u{max(1, int(widths.max(initial=0)))}")
        at = rows
        for width in WIDTHS:
            chosen = np.flatnonzero(widths == width)
            count = len(chosen) * columns
            planes = np.frombuffer(content, np.uint8, count * width, at).reshape(width, count)
            at += count * width
            values[chosen] = np.ascontiguousarray(planes.T).view(f"<u{width}").reshape(len(chosen), columns)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """C columns, packed; says what the columns said. Immutable.

    counts[series], codes, soft[series]: [slots, C]; `slots` is that of the longest column, shorter ones had no traffic
    in the rest. The code of a slot without writes is any that packs well: it means nothing. shares: the rows column,
    slot, code, writes and write bytes of all columns' `FrozenShares`.
    """

    slots: int
    columns: int
    counts: dict[Series, Packed]
    codes: Packed
    shares: Packed
    soft: dict[Series, Packed] | None

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Block:
        """Of columns, at least one."""
        slots = max(len(column.codes) for column in columns)
        counts = {series: stacked([column.counts[series] for column in columns], slots) for series in SERIES}
        codes = stacked([column.codes for column in columns], slots)
        usual = codes.max(axis=1, keepdims=True, initial=0)
        codes = np.where(counts[Series.WRITES] > 0, codes, usual)
        soft = None
        if any(column.soft is not None for column in columns):
            soft = {series: Packed.of(stacked_marks(columns, series, slots)) for series in SERIES}
        packed = {series: Packed.of(values) for series, values in counts.items()}
        return cls(slots, len(columns), packed, Packed.of(codes), _packed_shares(columns), soft)

    def marks(self, series: Series) -> NDArray[np.bool_] | None:
        """Which cells are soft, bool[slots, C], None where all are exact."""
        return None if self.soft is None else self.soft[series].unpacked().astype(np.bool_)

    def frozen(self) -> list[FrozenShares]:
        """Of each column."""
        at, slots, codes, writes, write_bytes = self.shares.unpacked()
        bounds = np.searchsorted(at, np.arange(self.columns + 1, dtype=at.dtype))
        found = []
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            own = slice(first, last)
            found.append(
                FrozenShares(
                    slots[own].astype(np.int64),
                    codes[own].astype(np.uint32),
                    writes[own].astype(np.uint64),
                    write_bytes[own].astype(np.uint64),
                )
                if last > first
                else NO_FROZEN
            )
        return found

    def unpacked(self) -> list[Column]:
        """The columns, each as long as the block has slots."""
        counts = {series: packed.unpacked() for series, packed in self.counts.items()}
        codes = self.codes.unpacked()
        marks = None if self.soft is None else {series: self.marks(series) for series in SERIES}
        return [
            Column(
                {series: narrow(values[:, at]) for series, values in counts.items()},
                narrow(codes[:, at]),
                frozen,
                None
                if marks is None
                else {series: own[:, at].copy() for series, own in marks.items() if own is not None},
            )
            for at, frozen in enumerate(self.frozen())
        ]


def stacked(columns: Sequence[NDArray[np.unsignedinteger]], slots: int) -> NDArray[np.unsignedinteger]:
    """[slots, len(columns)] in the widest type that occurs; what is missing at an end is 0."""
    beside = np.zeros((len(columns), slots), np.result_type(*columns))
    for at, column in enumerate(columns):
        beside[at, : len(column)] = column
    return beside.T


def stacked_marks(columns: Sequence[Column], series: Series, slots: int) -> NDArray[np.uint8]:
    """uint8[slots, len(columns)]: 1 where a cell is soft."""
    beside = np.zeros((len(columns), slots), np.uint8)
    for at, column in enumerate(columns):
        if column.soft is not None:
            marks = column.soft[series]
            beside[at, : len(marks)] = marks
    return beside.T


def _packed_shares(columns: Sequence[Column]) -> Packed:
    at = np.repeat(np.arange(len(columns)), [len(column.frozen.slots) for column in columns])
    rows = [at, *(np.concatenate([getattr(c.frozen, name) for c in columns]) for name in FrozenShares.__slots__)]
    return Packed.of(np.stack([row.astype(np.uint64) for row in rows]))
