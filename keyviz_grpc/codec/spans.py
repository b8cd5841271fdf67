"""Stretches of the bytes that came, found, compared and read where they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple, TypeAlias

MOST_FIELDS: Final = 64
"""Of a message in which some are looked for: a packed answer has two dozen, and what has more holds many small ones."""

LONGEST: Final = 10
"""Bytes of a number; the last of so many holds one bit."""

LONGEST_LENGTH: Final = 5
"""Bytes of a tag, or of a length."""

Place: TypeAlias = tuple[int, int, int]
"""Of a field in the bytes of a message: where its tag stands, and where what it holds starts and ends."""


class Span(NamedTuple):
    """raw[start:end]."""

    raw: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start

    def is_equal(self, other: bytes) -> bool:
        """Whether these are the same bytes; looked at in their place, for a slice would be a copy."""
        return len(other) == self.end - self.start and self.raw.startswith(other, self.start)

    def copy(self) -> bytes:
        """As bytes of their own."""
        return self.raw[self.start : self.end]


def all_of(raw: bytes) -> Span:
    """The bytes from end to end."""
    return Span(raw, 0, len(raw))


def fields_in(
    raw: bytes, at: int, end: int, wanted: Collection[int], *, enough: bool = False
) -> dict[int, Place] | None:
    """The fields of those numbers that a message has, which stands between the two; in the order of their places.

    enough: when all are found nothing is looked at that stands behind them, whatever it is.

    None where one occurs twice or is a number, where the message has too many fields to be looked through, and where it
    is none: what all that means, the parser knows.
    """
    found: dict[int, Place] = {}
    for _ in range(MOST_FIELDS):
        if at >= end:
            return found if at == end else None
        start = at
        # Of one byte each as a rule, for which a call takes several times as long.
        if (tag := raw[at]) < 0x80:
            at += 1
        else:
            tag, at = number_at(raw, at, end, LONGEST_LENGTH)
        number, kind = tag >> 3, tag & 7
        if kind == 2:
            size, at = number_at(raw, at, end, LONGEST_LENGTH)
            if size > end - at or number in found:
                return None
            if number in wanted:
                found[number] = start, at, at + size
                if enough and len(found) == len(wanted):
                    return found
            at += size
        elif kind or number in wanted:
            return None
        else:
            _, at = number_at(raw, at, end, LONGEST)
    return None


def number_at(raw: bytes, at: int, end: int, longest: int) -> tuple[int, int]:
    """(number, where it ends), which is beyond `end` where it is cut off there, or longer than it may be."""
    if at < end and raw[at] < 0x80:
        return raw[at], at + 1
    if at + 1 < end and raw[at + 1] < 0x80:
        return raw[at] & 0x7F | raw[at + 1] << 7, at + 2
    value = 0
    for shift in range(0, 7 * min(longest, end - at), 7):
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    return value, end + 1
