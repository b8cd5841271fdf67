"""Fields of bytes put together by hand, for what is serialized already: parts of a message side by side are merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_OF_A_NUMBER: Final = 0
"""The kind of field that a varint is."""

_OF_BYTES: Final = 2
"""The kind of field that a length and so many bytes make."""


def as_field(number: int, pieces: Sequence[bytes]) -> list[bytes]:
    """The pieces as one field, behind its tag and its length."""
    return [_varint(number << 3 | _OF_BYTES) + _varint(sum(map(len, pieces))), *pieces]


def as_number_field(number: int, value: int) -> bytes:
    """A number as one field, which is not negative; nothing for 0, which is what a missing one says."""
    return _varint(number << 3 | _OF_A_NUMBER) + _varint(value) if value else b""


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)
