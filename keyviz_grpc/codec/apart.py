"""Large answers in packed form, whose large fields stay in the bytes that came: a message would hold copies of them.

Most of such an answer is a catalogue that is known, values of which views are enough, and columns and leaders that it
had before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec import known
from keyviz_grpc.codec.parsing import merge_into, parse
from keyviz_grpc.codec.rows_as_bytes import parse_response
from keyviz_grpc.codec.spans import Place, Span, all_of, fields_in
from keyviz_grpc.codec.weight import Weight, weight_of
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model import Catalogue
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.unchanging import unchanging

LARGE: Final = 44 << 10
"""Smaller answers are copied sooner than their fields are found."""

MOST_LEFT: Final = 1 << 20
"""So many bytes beside catalogue and values are copied: it takes no time to speak of, and nobody pays for them."""

MOST_HEAD: Final = 1 << 16
"""So many of those stand beside the columnar field, and are parsed at once."""

VALUES_AS_ONE: Final = 8
"""So many bytes of values are looked through in the time of one that is parsed."""

_STAMPS: Final = pb.GetKeyVizMatrixResponse.COLUMN_UNIX_MS_FIELD_NUMBER
_COLUMNAR: Final = pb.GetKeyVizMatrixResponse.COLUMNAR_FIELD_NUMBER
_CATALOGUE: Final = pb.KeyVizColumnar.CATALOGUE_FIELD_NUMBER
_VALUES: Final = pb.KeyVizColumnar.VALUES_FIELD_NUMBER
_GROUPS: Final = pb.KeyVizColumnar.IDENTITY_GROUPS_FIELD_NUMBER
_TERMS: Final = pb.KeyVizColumnar.IDENTITY_TERMS_FIELD_NUMBER
_CODES: Final = pb.KeyVizColumnar.RUN_CODES_FIELD_NUMBER
_LENGTHS: Final = pb.KeyVizColumnar.RUN_LENGTHS_FIELD_NUMBER
_IN_RESPONSE: Final = (_STAMPS, _COLUMNAR)
_LED: Final = (_GROUPS, _TERMS, _CODES)
_IN_COLUMNAR: Final = (_CATALOGUE, _VALUES, *_LED, _LENGTHS)


@unchanging(frozen=True, slots=True, eq=False)
class Large:
    """Fields of a KeyVizColumnar, or what they hold, wherever they are.

    rows: what the catalogue means, None where that is not known. codes: the fields `identity_groups`, `identity_terms`
    and `run_codes`; lengths: `run_lengths`, each in a byte; None: the message has them.
    stamps: the response's `column_unix_ms`, all of it; columns: what it means, None: the message has it.
    """

    catalogue: Span
    values: Span
    rows: Catalogue | None = None
    codes: bytes | None = None
    lengths: bytes | None = None
    stamps: bytes = b""
    columns: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, message: pb.KeyVizColumnar) -> Self:
        """Of a message that has them all."""
        return cls(all_of(message.catalogue), all_of(message.values))


@unchanging(frozen=True, slots=True, eq=False)
class Apart:
    """A response of `size_bytes`; rest: what is not parsed of it yet.

    head, large: None: that is all of it. Else it is what is left of the columnar field without what is large in it, and
    the head is everything beside that field.
    """

    size_bytes: int
    rest: bytes
    head: pb.GetKeyVizMatrixResponse | None = None
    large: Large | None = None

    @property
    def parsed_bytes(self) -> int:
        """How many are read number by number at most; those of values as many as take as long."""
        large = self.large
        if large is None:
            return len(self.rest)
        numbers = len(large.codes or b"") + len(large.lengths or b"") + large.values.size // VALUES_AS_ONE
        return len(self.rest) + numbers + (large.catalogue.size if large.rows is None else 0)

    def message(self) -> pb.GetKeyVizMatrixResponse:
        """The response but for what is large in it; once. Raises MalformedAnswer."""
        if self.head is None:
            return parse_response(self.rest)
        merge_into(self.head.columnar, self.rest)
        return self.head

    def weight_of(self, message: pb.GetKeyVizMatrixResponse) -> Weight:
        """Of that message together with what is large."""
        rows_known = self.large is not None and self.large.rows is not None
        return weight_of(message, columns=self.known_columns, rows_known=rows_known)

    @property
    def known_columns(self) -> int:
        """How many columns that message lacks, for they are known."""
        return 0 if self.large is None or self.large.columns is None else len(self.large.columns)


def set_apart(raw: bytes) -> Apart:
    """Bytes of a response in which anything is unusual or wrong stay together, for the parser to judge.

    So do those in which much is left beside what is large. Whatever is in them, this takes little time.
    """
    return (_apart(raw) if len(raw) >= LARGE else None) or Apart(len(raw), raw)


def _apart(raw: bytes) -> Apart | None:
    outer = fields_in(raw, 0, len(raw), _IN_RESPONSE, enough=True)
    if not outer or _COLUMNAR not in outer:
        return None
    tag, at, end = outer[_COLUMNAR]
    own = fields_in(raw, at, end, _IN_COLUMNAR)
    if not own or _CATALOGUE not in own or _VALUES not in own:
        return None
    catalogue, values = Span(raw, *own[_CATALOGUE][1:]), Span(raw, *own[_VALUES][1:])
    if len(raw) - (end - tag) > MOST_HEAD or len(raw) - catalogue.size - values.size > MOST_LEFT:
        return None
    stamps = raw[outer[_STAMPS][0] : outer[_STAMPS][2]] if _STAMPS in outer else b""
    columns = known.columns_met(stamps)
    head = _head(_without(raw, 0, len(raw), outer.values()), stamps if columns is None else b"")
    if head is None:
        return None
    rows = known.catalogue_met(catalogue, head.node_id)
    large = Large(catalogue, values, rows, _leaders(raw, own), _lengths(raw, own), stamps, columns)
    return Apart(len(raw), _without(raw, at, end, own.values()), head, large)


def _leaders(raw: bytes, own: dict[int, Place]) -> bytes | None:
    """The fields that tell them; where these do not stand one at the other's end the message has them, uncut."""
    groups, terms, codes = own.get(_GROUPS), own.get(_TERMS), own.get(_CODES)
    if groups and terms and codes and groups[2] == terms[0] and terms[2] == codes[0]:
        return raw[groups[0] : codes[2]]
    for number in _LED:
        own.pop(number, None)
    return None


def _lengths(raw: bytes, own: dict[int, Place]) -> bytes | None:
    """What runs take where that is one byte each; else the message has it, uncut."""
    packed = raw[own[_LENGTHS][1] : own[_LENGTHS][2]] if _LENGTHS in own else b""
    if packed.isascii():
        return packed
    del own[_LENGTHS]
    return None


def _head(packed: bytes, stamps: bytes) -> pb.GetKeyVizMatrixResponse | None:
    """What stands beside the columnar field and the stamps, and stamps that are not known.

    None where it is no message, or has any of those once more: what several of them are together, the parser knows.
    """
    try:
        head = parse(pb.GetKeyVizMatrixResponse, packed)
        if head.HasField("columnar") or head.column_unix_ms:
            return None
        if stamps:
            merge_into(head, stamps)
    except MalformedAnswer:
        return None
    return head


def _without(raw: bytes, at: int, end: int, cut: Iterable[Place]) -> bytes:
    """The bytes between the two without some fields, which are told in the order of their places."""
    kept = []
    for start, _, stop in cut:
        kept.append(raw[at:start])
        at = stop
    return b"".join([*kept, raw[at:end]])
