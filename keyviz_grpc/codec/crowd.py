"""How many messages an answer holds, told from its bytes before they are parsed: an empty one takes two bytes and 180
of memory.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from keyviz_grpc.errors import MalformedAnswer

_Kinds: TypeAlias = "dict[int, _Kinds]"
"""The fields of a message that are messages themselves, and theirs."""

MESSAGE_BYTES: Final = 200
"""What a message takes at most besides what is in it."""

HARMLESS_BYTES: Final = 1 << 20
"""So many bytes hold too few messages to be worth counting: a hundred megabytes for a moment."""

DEEPEST: Final = 8

_RESPONSE: Final[_Kinds] = {2: {}, 21: {}, 22: {}, 23: {5: {}}, 25: {}, 27: {}, 28: {}, 31: {}}
_RESPONSE[29] = {2: _RESPONSE}
_CATALOGUE: Final[_Kinds] = {1: {}}


def messages_in_response(raw: bytes, most: int) -> int:
    """Of a GetKeyVizMatrixResponse. Counts up to `most` and then stops; what cannot be parsed counts as far as it can.

    Raises MalformedAnswer for groups, which no answer has, and for messages inside of messages without end.
    """
    return _count(raw, 0, len(raw), kinds=_RESPONSE, most=most, depth=0)


def rows_in_catalogue(raw: bytes, most: int) -> int:
    """Of a KeyVizCatalogue, as above."""
    return _count(raw, 0, len(raw), kinds=_CATALOGUE, most=most, depth=0)


def _count(raw: bytes, at: int, end: int, *, kinds: _Kinds, most: int, depth: int) -> int:
    if depth > DEEPEST:
        raise MalformedAnswer(f"messages stand more than {DEEPEST} deep in each other")
    found = 0
    while at < end and found <= most:
        tag, at = _varint(raw, at, end)
        wire = tag & 7
        if wire == 0:
            _, at = _varint(raw, at, end)
        elif wire == 2:
            size, at = _varint(raw, at, end)
            inner = kinds.get(tag >> 3)
            if inner is not None:
                found += 1
                if inner and size:
                    inside = min(at + size, end)
                    found += _count(raw, at, inside, kinds=inner, most=most - found, depth=depth + 1)
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise MalformedAnswer(f"wire type {wire}, which no field has")
    return found


def _varint(raw: bytes, at: int, end: int) -> tuple[int, int]:
    """(value, where it ends); cut off at `end`."""
    value = shift = 0
    while at < end:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, at
