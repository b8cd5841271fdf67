"""Packed lists of numbers, found and read in many rows at once.

A row is what describes it, then its lists: everybody writes fields in that order, and each once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec.fields import OF_A_NUMBER, OF_BYTES
from keyviz_grpc.codec.spans import LONGEST
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.traffic import Counts, true_cells, where

Places: TypeAlias = "NDArray[np.int64]"
"""Where in the bytes of all rows something stands."""

Piece: TypeAlias = "tuple[NDArray[np.int64], Counts]"
"""Some rows or lists by their numbers, and the numbers in each of them."""

_LISTS: Final = tuple(
    number << 3 | OF_BYTES
    for number in (
        pb.KeyVizRow.VALUES_FIELD_NUMBER,
        pb.KeyVizRow.SOFT_COLUMNS_FIELD_NUMBER,
        pb.KeyVizRow.RAFT_GROUP_IDS_FIELD_NUMBER,
        pb.KeyVizRow.LEADER_TERMS_FIELD_NUMBER,
    )
)
"""The tags of lists, as they follow each other; the first one stands in every row that has columns."""

_DESCRIBES: Final = np.zeros(1 << 8, np.bool_)
"""Whether a byte is the tag of a field before the lists."""
_DESCRIBES[[number << 3 | kind for number in range(1, _LISTS[0] >> 3) for kind in (OF_A_NUMBER, OF_BYTES)]] = True

MOST_FIELDS: Final = 16
"""Of a row before its lists: there are ten."""

SHIFTS: Final = (7, 14, 21)
"""Of a length that is read: where its second byte belongs, and the next ones."""

LOW_BITS: Final = np.uint16(0x007F)
HIGH_BITS: Final = np.uint16(0x3F80)
"""Of a number of two bytes, the higher ones where they are after a shift."""


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """One field of the rows that have it: that of row rows[i] holds packed[starts[i]:][:sizes[i]].

    rows, starts, sizes: int64[K], rows ascending.
    """

    packed: bytes
    rows: NDArray[np.int64]
    starts: Places
    sizes: NDArray[np.int64]

    def numbers(self, columns: int) -> Counts | None:
        """[K, columns]; None where a list is not of exactly so many numbers, or one is none of 64 bits."""
        pieces = self._pieces(columns)
        return None if pieces is None else _joined(pieces)[1]

    def busy(self, columns: int) -> Piece | None:
        """The rows that have any number but 0, and these; None as from `numbers`."""
        pieces = self._pieces(columns)
        if pieces is None:
            return None
        narrow, numbers = pieces[0]
        some = where(true_cells(numbers != 0) != 0)
        lists, numbers = _joined([(narrow.take(some), numbers.take(some, axis=0)), *pieces[1:]])
        return self.rows.take(lists), numbers

    def _pieces(self, columns: int) -> list[Piece] | None:
        """The numbers of the lists; those of one byte each are the first piece, however few they are.

        They are told by the length of their list, those of two bytes each mostly are; others are read byte by byte.
        """
        one, two = self.sizes == columns, self.sizes == 2 * columns
        narrow = self._of_length(where(one), columns)
        if narrow.max(initial=0) > 0x7F:
            return None
        pieces: list[Piece] = [(where(one), narrow)]
        pairs = _of_two_bytes(self._of_length(where(two), 2 * columns).view("<u2"))
        if pairs is None:
            two[:] = False
        else:
            pieces.append((where(two), pairs))
        if len(rest := where(~(one | two))):
            numbers = _of_any_length(self._each(rest), columns)
            if numbers is None:
                return None
            pieces.append((rest, numbers))
        return pieces

    def _of_length(self, lists: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
        """[len(lists), size], the bytes of lists that are so long."""
        if not len(lists):
            return np.empty((0, size), np.uint8)
        # One item begins at every byte there is, so that those at the starts are copied as wholes.
        every = np.ndarray((len(self.packed) - size + 1,), f"V{size}", self.packed, strides=(1,))
        return every[self.starts.take(lists)].view(np.uint8).reshape(-1, size)

    def _each(self, lists: NDArray[np.int64]) -> list[bytes]:
        starts = self.starts.take(lists)
        ends = starts + self.sizes.take(lists)
        return [self.packed[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def lists_in(packed: bytes, at: Places, ends: Places) -> list[Lists] | None:
    """The lists of rows: values, soft marks, groups and terms.

    packed: the rows one after the other, and at least a byte more. at: where the values' tags stand. ends: of each row,
    ascending. None where what is there is not these lists and nothing else.
    """
    raw, at, found = np.frombuffer(packed, np.uint8), at.copy(), []
    for tag in _LISTS:
        rows = where(raw.take(at, mode="clip") == tag)
        told = _numbers_at(raw, at.take(rows) + 1)
        if told is None:
            return None
        sizes, starts = told
        at[rows] = starts + sizes
        found.append(Lists(packed, rows, starts, sizes))
    # Of a row that was left in the middle, or whose list goes on in the next one, the end was not met.
    return found if np.array_equal(at, ends) else None


def description_sizes(packed: bytes, starts: Places) -> NDArray[np.int64] | None:
    """How many bytes of each row stand before the values' tag; packed as above.

    Too many of a row without values. None where something else is among them than what describes a row.
    """
    raw, at = np.frombuffer(packed, np.uint8), starts.copy()
    for _ in range(MOST_FIELDS):
        tags = raw.take(at, mode="clip")
        rows = where(tags != _LISTS[0])
        if not len(rows):
            return at - starts
        tags = tags.take(rows)
        told = _numbers_at(raw, at.take(rows) + 1)
        if told is None or not _DESCRIBES.take(tags).all():
            return None
        numbers, behind = told
        at[rows] = behind + numbers * (tags & 7 == OF_BYTES)
    return None


def _numbers_at(raw: NDArray[np.uint8], at: Places) -> tuple[NDArray[np.int64], Places] | None:
    """(numbers, where they end); None where one is longer than lengths are."""
    last = raw.take(at, mode="clip")
    numbers, behind = (last & 0x7F).astype(np.int64), at + 1
    longer = where(last > 0x7F)
    for shift in SHIFTS:
        if not len(longer):
            break
        last = raw.take(behind.take(longer), mode="clip")
        numbers[longer] |= (last & 0x7F).astype(np.int64) << shift
        behind[longer] += 1
        longer = longer[last > 0x7F]
    return None if len(longer) else (numbers, behind)


def _joined(pieces: Sequence[Piece]) -> Piece:
    """As one, in order, as wide as the widest."""
    there = [piece for piece in pieces if len(piece[0])] or pieces[:1]
    if len(there) == 1:
        return there[0]
    rows = np.concatenate([rows for rows, _ in there])
    order = rows.argsort(kind="stable")
    return rows.take(order), np.concatenate([numbers for _, numbers in there]).take(order, axis=0)


def _of_two_bytes(pairs: NDArray[np.uint16]) -> NDArray[np.uint16] | None:
    """The numbers that each take two bytes; None where one does not."""
    pairs = pairs.astype(np.uint16, copy=False)
    if ((pairs & 0x8080) ^ 0x0080).any():
        return None
    return (pairs & LOW_BITS) | (pairs >> np.uint16(1) & HIGH_BITS)


def _of_any_length(lists: Sequence[bytes], columns: int) -> Counts | None:
    """[lists, columns], as narrow as they are; None where a list is not of exactly so many numbers, or one is none of
    64 bits.
    """
    packed = np.frombuffer(b"".join(lists), np.uint8)
    more = packed > 0x7F
    ends = where(~more)
    list_ends = np.cumsum([len(each) for each in lists])
    if len(ends) != len(lists) * columns or not np.array_equal(ends[columns - 1 :: columns] + 1, list_ends):
        return None
    if not np.count_nonzero(more[1:] & more[:-1]):
        # None is longer than two bytes.
        pairs = packed.astype(np.uint16)
        pairs[1:] *= more[:-1] * LOW_BITS + np.uint16(1)
        pairs[1:] += (packed[:-1] & 0x7F) * more[:-1]
        return pairs.take(ends).reshape(len(lists), columns)
    numbers = _of_many_bytes(packed, ends)
    return None if numbers is None else numbers.reshape(len(lists), columns)


def _of_many_bytes(packed: NDArray[np.uint8], ends: Places) -> Counts | None:
    """The numbers of which these are the last bytes; None where one is none of 64 bits."""
    lengths = np.diff(ends, prepend=-1)
    numbers = packed.take(ends).astype(np.uint64)
    longest = int(lengths.max())
    if longest > LONGEST or (longest == LONGEST and bool((numbers[lengths == LONGEST] > 1).any())):
        return None
    # From the last byte of a number, which holds its highest bits, to the first.
    more = where(lengths > 1)
    for back in range(1, longest):
        numbers[more] = (numbers[more] << np.uint64(7)) | (packed[ends[more] - back] & 0x7F)
        more = more[lengths[more] > back + 1]
    return numbers.astype(np.min_scalar_type(numbers.max()))
