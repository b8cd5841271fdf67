"""Fields of bytes put together by hand, for what is serialized already: parts of a message side by side are merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

OF_A_NUMBER: Final = 0
"""The kind of field that a varint is."""

OF_BYTES: Final = 2
"""The kind of field that a length and so many bytes make."""


def as_field(number: int, pieces: Sequence[bytes]) -> list[bytes]:
    """The pieces as one field, behind its tag and its length."""
    return [tag_of_bytes(number) + varint(sum(map(len, pieces))), *pieces]


def tag_of_bytes(number: int) -> bytes:
    """What stands before a length and so many bytes."""
    return varint(number << 3 | OF_BYTES)


def tag_of_number(number: int) -> bytes:
    """What stands before a number that is not negative."""
    return varint(number << 3 | OF_A_NUMBER)


def varint(number: int) -> bytes:
    """A number that is not negative, seven bits a byte."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
