"""Large answers in packed form, whose large fields stay in the bytes that came: a message would hold copies of them.

Most of such an answer is a catalogue that is known, values of which views are enough, and leaders that it had before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Self

from keyviz_grpc.codec import known
from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.codec.spans import Place, Span, all_of, fields_in
from keyviz_grpc.model import Catalogue
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.unchanging import unchanging

LARGE: Final = 1 << 18
"""Smaller answers are copied sooner than their fields are found."""

MOST_LEFT: Final = 1 << 20
"""So many bytes beside the large fields are copied: it takes no time to speak of, and nobody pays for them."""

VALUES_AS_ONE: Final = 8
"""So many bytes of values are looked through in the time of one that is parsed."""

_NODE_ID: Final = pb.GetKeyVizMatrixResponse.NODE_ID_FIELD_NUMBER
_COLUMNAR: Final = pb.GetKeyVizMatrixResponse.COLUMNAR_FIELD_NUMBER
_CATALOGUE: Final = pb.KeyVizColumnar.CATALOGUE_FIELD_NUMBER
_VALUES: Final = pb.KeyVizColumnar.VALUES_FIELD_NUMBER
_GROUPS: Final = pb.KeyVizColumnar.IDENTITY_GROUPS_FIELD_NUMBER
_TERMS: Final = pb.KeyVizColumnar.IDENTITY_TERMS_FIELD_NUMBER
_CODES: Final = pb.KeyVizColumnar.RUN_CODES_FIELD_NUMBER
_IN_RESPONSE: Final = (_NODE_ID, _COLUMNAR)
_LED: Final = (_GROUPS, _TERMS, _CODES)
_IN_COLUMNAR: Final = (_CATALOGUE, _VALUES, *_LED)


@unchanging(frozen=True, slots=True, eq=False)
class Large:
    """Fields of a KeyVizColumnar, or what they hold, wherever they are.

    rows: what the catalogue means, None where that is not known. codes: the fields `identity_groups`, `identity_terms`
    and `run_codes`, None where the message has them.
    """

    catalogue: Span
    values: Span
    rows: Catalogue | None = None
    codes: Span | None = None

    @classmethod
    def of(cls, message: pb.KeyVizColumnar) -> Self:
        """Of a message that has them all."""
        return cls(all_of(message.catalogue), all_of(message.values))


@unchanging(frozen=True, slots=True, eq=False)
class Apart:
    """A response of `size_bytes`: its bytes but for what is large in it, and that; None: they are all there."""

    size_bytes: int
    rest: bytes
    large: Large | None = None

    @property
    def parsed_bytes(self) -> int:
        """How many are read number by number at most; those of values as many as take as long."""
        large = self.large
        if large is None:
            return len(self.rest)
        numbers = (0 if large.codes is None else large.codes.size) + large.values.size // VALUES_AS_ONE
        return len(self.rest) + numbers + (large.catalogue.size if large.rows is None else 0)

    @property
    def rows_are_known(self) -> bool:
        """Whether nothing of its rows need be read."""
        return self.large is not None and self.large.rows is not None


def set_apart(raw: bytes) -> Apart:
    """Bytes of a response in which anything is unusual or wrong stay together, for the parser to judge.

    So do those in which much is left beside what is large. Whatever is in them, this takes little time.
    """
    fields = fields_in(raw, 0, len(raw), _IN_RESPONSE) if len(raw) >= LARGE else None
    if not fields or _COLUMNAR not in fields:
        return Apart(len(raw), raw)
    _, at, end = columnar = fields[_COLUMNAR]
    own = fields_in(raw, at, end, _IN_COLUMNAR)
    if not own or _CATALOGUE not in own or _VALUES not in own:
        return Apart(len(raw), raw)
    catalogue, values = own[_CATALOGUE], own[_VALUES]
    cut = [(catalogue[0], catalogue[2]), (values[0], values[2])]
    codes = _beside([own[number] for number in _LED if number in own])
    if codes is not None:
        cut.append(codes)
    _, start, stop = fields.get(_NODE_ID, (0, 0, 0))
    if len(raw) - sum([stop - start for start, stop in cut]) > MOST_LEFT:
        return Apart(len(raw), raw)
    packed = Span(raw, *catalogue[1:])
    rows = known.catalogue_met(known.CATALOGUE, packed, raw[start:stop].decode(errors="replace"))
    large = Large(packed, Span(raw, *values[1:]), rows, Span(raw, *codes) if codes else None)
    return Apart(len(raw), _without(raw, columnar, sorted(cut)), large)


def _beside(led: Sequence[Place]) -> tuple[int, int] | None:
    """From where to where all three stand, one at the other's end."""
    if len(led) < len(_LED) or led[0][2] != led[1][0] or led[1][2] != led[2][0]:
        return None
    return led[0][0], led[2][2]


def _without(raw: bytes, columnar: Place, cut: Iterable[tuple[int, int]]) -> bytes:
    """A response without some stretches of its columnar field, which ascend."""
    tag, at, end = columnar
    kept = []
    for start, stop in cut:
        kept.append(raw[at:start])
        at = stop
    kept.append(raw[at:end])
    return b"".join([raw[:tag], *as_field(_COLUMNAR, kept), raw[end:]])
