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
from keyviz_grpc.codec.rows import table_of
from keyviz_grpc.model import NO_IDENTITIES, Catalogue, Matrix, Series
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.traffic import Busy, Runs, Strip

RESPONSE: Final = "GetKeyVizMatrixResponse"
ROW: Final = "KeyVizRow"
LISTS: Final = ("values", "soft_columns", "raft_group_ids", "leader_terms")

LONGEST: Final = 10
"""Bytes of a number; the last of so many holds one bit."""

_File = descriptor_pb2.FileDescriptorProto


def _class(change: Callable[[_File], None]) -> type[Message]:
    """The response's class under a schema that differs from the public one."""
    file = _File()
    pb.DESCRIPTOR.CopyToProto(file)
    del file.service[:]
    change(file)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{RESPONSE}"))


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
    """The numbers of all rows. values: uint64[R, C]. soft: bool[R, C], None where nothing is marked.

    groups, terms: uint64[K, C], of the rows `stated` (int64[K], ascending), which have both lists.
    """

    values: NDArray[np.uint64]
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
        if stated != _filled(terms):
            return None
        numbers = [_numbers(counts, columns)]
        numbers += [_numbers(tuple(filter(None, own)), columns) for own in (groups, terms, marks)]
        if any(own is None for own in numbers):
            return None
        values, known_groups, known_terms, known_marks = cast("list[NDArray[np.uint64]]", numbers)
        soft = None
        if known_marks.any():
            soft = np.zeros(values.shape, np.bool_)
            soft[marked] = known_marks != 0
        return cls(values, soft, np.array(stated, np.int64), known_groups, known_terms)

    def identities(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """(groups, terms), uint64[R, C] each, both 0 where unknown or half known."""
        pair = np.zeros(self.values.shape, np.uint64), np.zeros(self.values.shape, np.uint64)
        whole = (self.groups != 0) & (self.terms != 0)
        for array, own in zip(pair, (self.groups, self.terms), strict=True):
            array[self.stated] = own * whole
        return pair

    def matrix(self, series: Series, columns: NDArray[np.int64], catalogue: Catalogue) -> Matrix:
        """Of rows without shares and conflicts."""
        rows = np.flatnonzero(self.values.any(axis=1))
        strip = Strip(rows, self.values.take(rows, axis=0))
        table, runs = NO_IDENTITIES, None
        if series.is_write and len(self.stated):
            table, codes = self._codes(strip)
            runs = Runs.found(strip.values, codes) if len(table) > 1 else None
        busy = Busy([strip], runs)
        return Matrix.of_busy(series, columns, catalogue, busy, identities=known.table_like(table), soft=self.soft)

    def _codes(self, strip: Strip) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """(identities, the code of every cell), of the rows with traffic; of another an identity means nothing."""
        places = np.minimum(np.searchsorted(self.stated, strip.rows), len(self.stated) - 1)
        own = np.flatnonzero(self.stated[places] == strip.rows)
        groups, terms = self.groups[places[own]], self.terms[places[own]]
        cells = np.flatnonzero((strip.values[own] != 0) & (groups != 0) & (terms != 0))
        table, codes = table_of(groups.ravel()[cells], terms.ravel()[cells])
        spread = np.zeros(groups.size, np.uint32)
        spread[cells] = codes
        whole = np.zeros(strip.values.shape, np.uint32)
        whole[own] = spread.reshape(groups.shape)
        return table, whole


def catalogue_of(response: pb.GetKeyVizMatrixResponse) -> Catalogue:
    """The rows apart from their traffic; MalformedAnswer as from `decode_catalogue`."""
    message = cast(Any, _Described.FromString(response.SerializeToString()))
    message.DiscardUnknownFields()
    return known.catalogue_of(RESPONSE, message.SerializeToString(), lambda: message.rows)


def _filled(lists: Sequence[bytes]) -> list[int]:
    """The numbers of the rows that have any."""
    return list(compress(range(len(lists)), lists)) if any(lists) else []


def _numbers(lists: Sequence[bytes], columns: int) -> NDArray[np.uint64] | None:
    """uint64[lists, columns]; None where a list is not of exactly so many numbers, or one is none of 64 bits."""
    packed = np.frombuffer(b"".join(lists), np.uint8)
    ends = np.flatnonzero(packed < 0x80)
    if len(ends) != len(lists) * columns or (len(ends) == 0 and len(packed)):
        return None
    if len(ends) == 0:
        return np.zeros((len(lists), columns), np.uint64)
    list_ends = np.fromiter(map(len, lists), np.int64, len(lists)).cumsum()
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
