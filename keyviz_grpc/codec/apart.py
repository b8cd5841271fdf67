"""Large answers in packed form, whose large fields stay in the bytes that came: a message would hold copies of them.

Most of such an answer is a catalogue that is known, values of which views are enough, and a table of identities that it
had before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from keyviz_grpc.codec import known
from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.codec.spans import Place, Span, all_of, fields_in
from keyviz_grpc.model import Catalogue
from keyviz_grpc.proto import keyviz_pb2 as pb

LARGE: Final = 1 << 17
"""Smaller answers are copied sooner than their fields are found."""

_NODE_ID: Final = pb.GetKeyVizMatrixResponse.NODE_ID_FIELD_NUMBER
_COLUMNAR: Final = pb.GetKeyVizMatrixResponse.COLUMNAR_FIELD_NUMBER
_CATALOGUE: Final = pb.KeyVizColumnar.CATALOGUE_FIELD_NUMBER
_VALUES: Final = pb.KeyVizColumnar.VALUES_FIELD_NUMBER
_GROUPS: Final = pb.KeyVizColumnar.IDENTITY_GROUPS_FIELD_NUMBER
_TERMS: Final = pb.KeyVizColumnar.IDENTITY_TERMS_FIELD_NUMBER
_IN_RESPONSE: Final = (_NODE_ID, _COLUMNAR)
_IN_COLUMNAR: Final = (_CATALOGUE, _VALUES, _GROUPS, _TERMS)


@dataclass(frozen=True, slots=True, eq=False)
class Large:
    """Fields of a KeyVizColumnar, or what they hold, wherever they are.

    rows: what the catalogue means, None where that is not known. table: the fields `identity_groups` and
    `identity_terms`, None where the message has them.
    """

    catalogue: Span
    values: Span
    rows: Catalogue | None = None
    table: Span | None = None

    @classmethod
    def of(cls, message: pb.KeyVizColumnar) -> Self:
        """Of a message that has them all."""
        return cls(all_of(message.catalogue), all_of(message.values))


@dataclass(frozen=True, slots=True, eq=False)
class Apart:
    """A response of `size_bytes`: its bytes but for what is large in it, and that; None: they are all there."""

    size_bytes: int
    rest: bytes
    large: Large | None = None

    @property
    def parsed_bytes(self) -> int:
        """How many are read number by number at most; rows are told by `rows_are_known`."""
        return len(self.rest) + (self.large.table.size if self.large and self.large.table else 0)

    @property
    def rows_are_known(self) -> bool:
        """Whether nothing of its rows need be read."""
        return self.large is not None and self.large.rows is not None


def set_apart(raw: bytes) -> Apart:
    """Bytes of a response in which anything is unusual or wrong stay together, for the parser to judge."""
    fields = fields_in(raw, 0, len(raw), _IN_RESPONSE) if len(raw) >= LARGE else None
    if not fields or _COLUMNAR not in fields:
        return Apart(len(raw), raw)
    _, at, end = columnar = fields[_COLUMNAR]
    own = fields_in(raw, at, end, _IN_COLUMNAR)
    if not own or _CATALOGUE not in own or _VALUES not in own:
        return Apart(len(raw), raw)
    (_, *catalogue), (_, *values), table = own[_CATALOGUE], own[_VALUES], None
    if _GROUPS in own and _TERMS in own and own[_GROUPS][2] == own[_TERMS][0]:
        table = Span(raw, own[_GROUPS][0], own[_TERMS][2])
    else:
        own.pop(_GROUPS, None)
        own.pop(_TERMS, None)
    _, start, stop = fields.get(_NODE_ID, (0, 0, 0))
    packed = Span(raw, *catalogue)
    rows = known.catalogue_met(packed, raw[start:stop].decode(errors="replace"))
    return Apart(len(raw), _without(raw, columnar, own.values()), Large(packed, Span(raw, *values), rows, table))


def _without(raw: bytes, columnar: Place, cut: Iterable[Place]) -> bytes:
    """A response without some of the fields in its columnar one. cut: ascending."""
    tag, at, end = columnar
    kept = []
    for start, _, stop in cut:
        kept.append(raw[at:start])
        at = stop
    kept.append(raw[at:end])
    return b"".join([raw[:tag], *as_field(_COLUMNAR, kept), raw[end:]])
