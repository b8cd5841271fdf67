"""The row form read without making a message of every row.

A message and a field of bytes look the same on the wire. So an answer is parsed under a schema in which its rows are
bytes: what describes them is found as in the packed form, and the numbers of all of them are read at once, in arrays.
The schema is made from the public one when this module is loaded; nobody else sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, cast

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from keyviz_grpc.codec import known
from keyviz_grpc.codec.parsing import parse
from keyviz_grpc.codec.row_heads import Heads, heads_met
from keyviz_grpc.codec.row_lists import Lists, description_sizes, lists_in
from keyviz_grpc.codec.rows import identity_runs
from keyviz_grpc.model import NO_IDENTITIES, Catalogue, Matrix, Series
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.traffic import Busy, Counts, Runs, Strip, freeze, where

RESPONSE: Final = "GetKeyVizMatrixResponse"

MOST_DESCRIBED_BYTES: Final = 8 << 20
"""Of all rows of an answer: 10 000 take a tenth. They are copied three times on the way, for which nobody has paid."""

_made: Final[list[type[Message]]] = []
"""A class that nobody holds is gone with its last message, and making it anew takes 0.1 ms."""


def _class() -> type[Message]:
    """The response's class under that schema."""
    file = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(file)
    del file.service[:]
    response = next(message for message in file.message_type if message.name == RESPONSE)
    rows = next(field for field in response.field if field.name == "rows")
    rows.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    rows.ClearField("type_name")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kinds = pool.FindFileByName(file.name).message_types_by_name
    _made.extend([message_factory.GetMessageClass(kind) for kind in kinds.values()])
    return message_factory.GetMessageClass(kinds[RESPONSE])


_RowsAsBytes: Final = _class()


def parse_response(raw: bytes) -> pb.GetKeyVizMatrixResponse:
    """The response: of another class, which has its rows as bytes, where `RowForm` may read them. Raises
    MalformedAnswer, but for what is wrong inside of such rows.
    """
    message = cast(pb.GetKeyVizMatrixResponse, parse(_RowsAsBytes, raw))
    # Those of its leaves would be looked at too late to say that this is no response.
    return parse(pb.GetKeyVizMatrixResponse, raw) if message.leaf_answers else message


def _is_plain(response: Message) -> bool:
    return isinstance(response, pb.GetKeyVizMatrixResponse)


def plain(response: pb.GetKeyVizMatrixResponse) -> pb.GetKeyVizMatrixResponse:
    """The same response under the public schema. Raises MalformedAnswer."""
    return response if _is_plain(response) else parse(pb.GetKeyVizMatrixResponse, response.SerializeToString())


@dataclass(frozen=True, slots=True, eq=False)
class RowForm:
    """The rows of an answer, of which no number is read yet: what describes them, and their lists.

    heads: one a row, of that sender; values: of every row, the other lists: of the rows that have them.
    """

    heads: Heads
    sender: str
    values: Lists
    soft: Lists
    groups: Lists
    terms: Lists

    @classmethod
    def of(cls, response: pb.GetKeyVizMatrixResponse, sender: str) -> Self | None:
        """None where the rows have to be read one by one: they are not as bytes, or cannot be read so.

        sender: who is known to have sent rows like these, if anybody is.
        """
        if _is_plain(response) or not response.column_unix_ms:
            return None
        rows = cast(Sequence[bytes], response.rows)[:]
        found = _find(rows, sender)
        if found is None:
            rows = _as_usual(rows, len(response.column_unix_ms))
            found = _find(rows, sender) if rows else None
        if found is None:
            return None
        met, described, lists = found
        heads = met or _heads_of(rows, described)
        return None if heads is None else cls(heads, sender, *lists)

    def __len__(self) -> int:
        """Rows."""
        return len(self.values.rows)

    def catalogue(self) -> Catalogue:
        """MalformedAnswer as from `decode_catalogue`."""
        return self.heads.read(self.sender)


def _find(rows: Sequence[bytes], sender: str) -> tuple[Heads | None, NDArray[np.int64], list[Lists]] | None:
    """(what describes them where the sender's last ones began so, its bytes of each row, their lists).

    None where they are not as everybody writes them.
    """
    packed, sizes = b"".join([*rows, b"\0"]), np.fromiter(map(len, rows), np.int64, len(rows))
    ends = sizes.cumsum()
    starts = ends - sizes
    met = heads_met(sender, rows)
    described = description_sizes(packed, starts) if met is None else met.sizes
    # Which says too that no description is told to be longer than its row.
    lists = None if described is None else lists_in(packed, starts + described, ends)
    return None if described is None or lists is None else (met, described, lists)


def _as_usual(rows: Sequence[bytes], columns: int) -> Sequence[bytes]:
    """The same rows as everybody writes them: fields in order, each once, and only those that are known here.

    None of them where one is no row, or has not so many values: what is wrong is found when they are read one by one,
    which for others takes twice as long as this.
    """
    written = []
    for raw in rows:
        row = pb.KeyVizRow()
        try:
            row.ParseFromString(raw)
        except DecodeError:
            return ()
        if len(row.values) != columns:
            return ()
        row.DiscardUnknownFields()
        written.append(row.SerializeToString())
    return written


def _heads_of(rows: Sequence[bytes], sizes: NDArray[np.int64]) -> Heads | None:
    """Of rows that begin otherwise than the sender's last ones; None as from `RowForm.of`."""
    if int(sizes.sum()) > MOST_DESCRIBED_BYTES:
        return None
    heads = Heads.of(rows, sizes)
    return heads if heads.can_be_read() else None


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """The rows of an answer, and the numbers of all of them.

    strip: those of the rows that have traffic. soft: bool[R, C], None where nothing is marked.
    groups, terms: [K, C], of the rows `stated` (int64[K], ascending), which have both lists.
    """

    form: RowForm
    strip: Strip
    soft: NDArray[np.bool_] | None
    stated: NDArray[np.int64]
    groups: Counts
    terms: Counts

    @classmethod
    def of(cls, response: pb.GetKeyVizMatrixResponse, sender: str) -> Self | None:
        """None where the rows have to be read one by one: as from `RowForm.of`, or something is wrong with one."""
        form, columns = RowForm.of(response, sender), len(response.column_unix_ms)
        if form is None or not np.array_equal(form.groups.rows, form.terms.rows):
            return None
        busy, groups, terms = form.values.busy(columns), form.groups.numbers(columns), form.terms.numbers(columns)
        marks = form.soft.numbers(columns)
        if busy is None or groups is None or terms is None or marks is None:
            return None
        soft = None
        if marks.any():
            soft = np.zeros((len(form), columns), np.bool_)
            soft[form.soft.rows] = marks != 0
        freeze(*busy)
        return cls(form, Strip(*busy), soft, form.groups.rows, groups, terms)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return len(self.form), self.strip.values.shape[1]

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

    def _told(self) -> tuple[Counts, Counts]:
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
