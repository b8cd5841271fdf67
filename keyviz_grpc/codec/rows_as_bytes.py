"""The row form read without parsing its numbers one by one.

A packed list of numbers and a field of bytes look the same on the wire. So an answer is parsed under a schema in which
the four lists of a row are bytes, and the numbers of all rows are found at once, in arrays. The schema is made from the
public one when this module is loaded; nobody else sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Final, cast

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from numpy.typing import NDArray

from keyviz_grpc.codec import known
from keyviz_grpc.codec.parsing import parse
from keyviz_grpc.codec.rows import decode_row, identity_runs
from keyviz_grpc.codec.spans import all_of
from keyviz_grpc.model import NO_IDENTITIES, Catalogue, Matrix, Series
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.traffic import Busy, Counts, Runs, Strip, freeze, where

RESPONSE: Final = "GetKeyVizMatrixResponse"
ROW: Final = "KeyVizRow"
LISTS: Final = ("values", "soft_columns", "raft_group_ids", "leader_terms")

LOW_BITS: Final = np.uint16(0x007F)
HIGH_BITS: Final = np.uint16(0x3F80)
"""Of a number of two bytes, the higher ones where they are after a shift."""

LONGEST: Final = 10
"""Bytes of a number; the last of so many holds one bit."""

_File = descriptor_pb2.FileDescriptorProto


_made: Final[list[type[Message]]] = []
"""A class that nobody holds is gone with its last message, and making it anew takes 0.1 ms."""


def _class(change: Callable[[_File], None]) -> type[Message]:
    """The response's class under a schema that differs from the public one."""
    file = _File()
    pb.DESCRIPTOR.CopyToProto(file)
    del file.service[:]
    change(file)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kinds = pool.FindFileByName(file.name).message_types_by_name
    _made.extend([message_factory.GetMessageClass(kind) for kind in kinds.values()])
    return message_factory.GetMessageClass(kinds[RESPONSE])


def _message(file: _File, name: str) -> descriptor_pb2.DescriptorProto:
    return next(message for message in file.message_type if message.name == name)


def _with_bytes(file: _File) -> None:
    for field in _message(file, ROW).field:
        if field.name in LISTS:
            field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
            field.label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL


def _without_traffic(file: _File) -> None:
    row, response = _message(file, ROW), _message(file, RESPONSE)
    kept = [field for field in row.field if field.name not in LISTS]
    del row.field[:]
    row.field.extend(kept)
    rows = [field for field in response.field if field.name == "rows"]
    del response.field[:]
    response.field.extend(rows)


_Bytes: Final = _class(_with_bytes)
_Described: Final = _class(_without_traffic)


def parse_response(raw: bytes) -> pb.GetKeyVizMatrixResponse:
    """The response, whose rows `Traffic.of` reads at once where they allow it.

    A message of another class then, with equal fields apart from the four lists of a row. Raises MalformedAnswer.
    """
    message = cast(Any, parse(_Bytes, raw))
    if message.rows or message.leaf_answers:
        # Lists in several pieces or of numbers one by one are as good, and would be lost here.
        message.DiscardUnknownFields()
        if message.ByteSize() != len(raw):
            return parse(pb.GetKeyVizMatrixResponse, raw)
    return cast(pb.GetKeyVizMatrixResponse, message)


def _is_plain(response: Message) -> bool:
    return isinstance(response, pb.GetKeyVizMatrixResponse)


def plain(response: pb.GetKeyVizMatrixResponse) -> pb.GetKeyVizMatrixResponse:
    """The same response under the public schema; MalformedAnswer where a list is none of numbers."""
    return response if _is_plain(response) else parse(pb.GetKeyVizMatrixResponse, response.SerializeToString())


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """The numbers of all rows.

    strip: those of the rows that have traffic. soft: bool[R, C], None where nothing is marked.
    groups, terms: uint64[K, C], of the rows `stated` (int64[K], ascending), which have both lists.
    """

    row_count: int
    strip: Strip
    soft: NDArray[np.bool_] | None
    stated: NDArray[np.int64]
    groups: NDArray[np.uint64]
    terms: NDArray[np.uint64]

    @classmethod
    def of(cls, response: pb.GetKeyVizMatrixResponse, columns: int) -> Traffic | None:
        """None where the rows have to be read one by one: they are not as bytes, or something is wrong with one."""
        if _is_plain(response) or not response.rows:
            return None
        rows = cast(Sequence[Any], response.rows)
        lists = [(row.values, row.soft_columns, row.raft_group_ids, row.leader_terms) for row in rows]
        counts, marks, groups, terms = zip(*lists, strict=True)
        stated, marked = _filled(groups), _filled(marks)
        strip = _busy(counts, columns) if stated == _filled(terms) else None
        known_groups, known_terms = _numbers(_present(groups), columns), _numbers(_present(terms), columns)
        known_marks = _numbers(_present(marks), columns)
        if strip is None or known_groups is None or known_terms is None or known_marks is None:
            return None
        soft = None
        if known_marks.any():
            soft = np.zeros((len(lists), columns), np.bool_)
            soft[marked] = known_marks != 0
        return cls(len(lists), strip, soft, np.array(stated, np.int64), known_groups, known_terms)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.row_count, self.strip.values.shape[1]

    @property
    def values(self) -> NDArray[np.uint64]:
        """uint64[R, C], of every row."""
        return Busy([self.strip], None).spread(self.shape).astype(np.uint64)

    def identities(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """(groups, terms), uint64[R, C] each, both 0 where unknown or half known."""
        pair = np.zeros(self.shape, np.uint64), np.zeros(self.shape, np.uint64)
        whole = (self.groups != 0) & (self.terms != 0)
        for array, own in zip(pair, (self.groups, self.terms), strict=True):
            array[self.stated] = own * whole
        return pair

    def matrix(self, series: Series, columns: NDArray[np.int64], catalogue: Catalogue) -> Matrix:
        """Of rows without shares and conflicts."""
        table, runs = NO_IDENTITIES, None
        if series.is_write and len(self.stated):
            table, codes, numbers = identity_runs(*self._told())
            lengths = numbers.astype(np.uint32)
            freeze(codes, lengths)
            runs = Runs(codes, lengths) if len(table) > 1 else None
            table = known.table_of(table[1:, 0], table[1:, 1], lambda _: None)
        return Matrix.of_busy(series, columns, catalogue, Busy([self.strip], runs), identities=table, soft=self.soft)

    def _told(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """(groups, terms) of the cells with traffic, in cell order; of others an identity means nothing."""
        rows = self.strip.rows
        cells = where(self.strip.values.ravel() != 0)
        places = np.minimum(np.searchsorted(self.stated, rows), len(self.stated) - 1)
        groups, terms = (own.take(places, axis=0).ravel().take(cells) for own in (self.groups, self.terms))
        stated = (groups != 0) & (terms != 0)
        if not (here := self.stated[places] == rows).all():
            stated &= here[cells // max(1, self.shape[1])]
        if not stated.all():
            groups *= stated
            terms *= stated
        return groups, terms


def catalogue_of(response: pb.GetKeyVizMatrixResponse) -> Catalogue:
    """The rows apart from their traffic; MalformedAnswer as from `decode_row` and `Catalogue`."""
    message = cast(Any, _Described.FromString(response.SerializeToString()))
    message.DiscardUnknownFields()
    return known.catalogue_of(RESPONSE, all_of(message.SerializeToString()), lambda: map(decode_row, message.rows))


def _filled(lists: Sequence[bytes]) -> list[int]:
    """The numbers of the rows that have any."""
    return list(compress(range(len(lists)), lists)) if any(lists) else []


def _present(lists: Sequence[bytes]) -> list[bytes]:
    return list(filter(None, lists))


def _busy(lists: Sequence[bytes], columns: int) -> Strip | None:
    """The rows that have traffic, as narrow as they are; None as from `_numbers`.

    Most rows have counts of one byte each, or none at all: those are as wide as there are columns, and need no reading.
    """
    short: NDArray[np.bool_] = _lengths(lists) == columns
    narrow = np.frombuffer(b"".join(compress(lists, short.tolist())), np.uint8)
    wide = _numbers(list(compress(lists, (~short).tolist())), columns)
    if wide is None or (narrow >= 0x80).any():
        return None
    rows, values = where(short), narrow.reshape(-1, columns) if columns else narrow.reshape(len(lists), 0)
    busy = np.flatnonzero(values.any(axis=1))
    rows, values = rows[busy], values.take(busy, axis=0)
    if len(wide):
        rows, values = np.concatenate([rows, where(~short)]), np.concatenate([values, _narrowed(wide)])
        order = rows.argsort(kind="stable")
        rows, values = rows[order], values.take(order, axis=0)
    freeze(rows, values)
    return Strip(rows, values)


def _narrowed(numbers: NDArray[np.uint64]) -> Counts:
    return numbers.astype(np.min_scalar_type(numbers.max()))


def _numbers(lists: Sequence[bytes], columns: int) -> NDArray[np.uint64] | None:
    """uint64[lists, columns]; None where a list is not of exactly so many numbers, or one is none of 64 bits.

    Lists of numbers of one byte each, or of two, are told by their length as a rule; the others are read byte by byte.
    """
    lengths = _lengths(lists)
    left = np.ones(len(lists), np.bool_)
    numbers = np.empty((len(lists), columns), np.uint64)
    for width, read in ((1, _of_one_byte), (2, _of_two_bytes)):
        rows = where(lengths == width * columns)
        if len(rows) and (own := read(b"".join([lists[row] for row in rows.tolist()]))) is not None:
            numbers[rows] = own.reshape(len(rows), columns)
            left[rows] = False
    rest = _of_any_length(list(compress(lists, left.tolist())), columns)
    if rest is None:
        return None
    numbers[left] = rest
    return numbers


def _of_one_byte(packed: bytes) -> Counts | None:
    numbers = np.frombuffer(packed, np.uint8)
    return None if (numbers & 0x80).any() else numbers


def _of_two_bytes(packed: bytes) -> Counts | None:
    pairs = np.frombuffer(packed, "<u2").astype(np.uint16, copy=False)
    if ((pairs & 0x8080) ^ 0x0080).any():
        return None
    return (pairs & LOW_BITS) | (pairs >> np.uint16(1) & HIGH_BITS)


def _lengths(lists: Sequence[bytes]) -> NDArray[np.int64]:
    return np.fromiter(map(len, lists), np.int64, len(lists))


def _of_any_length(lists: Sequence[bytes], columns: int) -> NDArray[np.uint64] | None:
    """uint64[lists, columns]; None where a list is not of exactly so many numbers, or one is none of 64 bits."""
    packed = np.frombuffer(b"".join(lists), np.uint8)
    ends = np.flatnonzero(packed < 0x80)
    if len(ends) != len(lists) * columns or (len(ends) == 0 and len(packed)):
        return None
    if len(ends) == 0:
        return np.zeros((len(lists), columns), np.uint64)
    list_ends = _lengths(lists).cumsum()
    if not np.array_equal(ends[columns - 1 :: columns] + 1, list_ends):
        return None
    lengths = np.empty(len(ends), np.int64)
    lengths[0] = ends[0] + 1
    np.subtract(ends[1:], ends[:-1], out=lengths[1:])
    numbers = packed.take(ends).astype(np.uint64)
    longest = int(lengths.max())
    if longest > LONGEST or (longest == LONGEST and bool((numbers[lengths == LONGEST] > 1).any())):
        return None
    # From the last byte of a number, which holds its highest bits, to the first.
    more = np.flatnonzero(lengths > 1)
    for back in range(1, longest):
        numbers[more] = (numbers[more] << np.uint64(7)) | (packed[ends[more] - back] & 0x7F)
        more = more[lengths[more] > back + 1]
    return numbers.reshape(len(lists), columns)
