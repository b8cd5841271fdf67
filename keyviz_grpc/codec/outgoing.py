"""Whole answers on their way out: as messages, and as the bytes of those."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from keyviz_grpc.codec.columnar import Packed, encode_columnar, encoded_columnar
from keyviz_grpc.codec.fields import tag_of_number, varint
from keyviz_grpc.codec.outcomes import encode_outcome
from keyviz_grpc.codec.rows import encode_rows
from keyviz_grpc.model import Matrix
from keyviz_grpc.outcome import Answer, History
from keyviz_grpc.proto import keyviz_pb2 as pb

_Found = TypeVar("_Found")

_GENERATED: Final = tag_of_number(pb.GetKeyVizMatrixResponse.GENERATED_AT_UNIX_MS_FIELD_NUMBER)


def encode_answer(answer: Answer, *, accept: Collection[int] = ()) -> pb.GetKeyVizMatrixResponse:
    """The message for an answer: columnar when `accept` has it, else in rows."""
    message, matrix = _books(answer, accept), answer.matrix
    message.MergeFromString(_beside(answer) + varint(answer.generated_at_unix_ms))
    if pb.MATRIX_ENCODING_COLUMNAR in accept:
        message.MergeFromString(b"".join(_fields_of(answer, _packed(answer, encode_columnar))))
    else:
        message.column_unix_ms.extend(matrix.columns.tolist())
        message.rows.extend(encode_rows(matrix))
        message.shares.extend(_encode_shares(matrix))
        message.conflicts.extend(_encode_conflicts(matrix))
    return message


@dataclass(frozen=True, slots=True)
class Ready:
    """The bytes of an answer with a matrix of this shape, but for when it was made, which stands behind all pieces.

    The matrix comes first: who reads it where it stands need not look at what else there is.
    """

    shape: tuple[int, int]
    pieces: Sequence[bytes]

    def made_at(self, unix_ms: int) -> bytes:
        """The answer of that moment; what is packed is copied once, and never read."""
        return b"".join([*self.pieces, varint(unix_ms)])


def answer_bytes(answer: Answer, *, accept: Collection[int] = ()) -> bytes:
    """The bytes of that message."""
    if pb.MATRIX_ENCODING_COLUMNAR not in accept:
        return encode_answer(answer).SerializeToString()
    ready = _ready(answer, _packed(answer, encode_columnar), accept)
    return ready.made_at(answer.generated_at_unix_ms)


def ready_before(answer: Answer, *, accept: Collection[int]) -> Ready | None:
    """The same where little is left to do: all is packed already, or soon, or left out; else None."""
    packed = _packed(answer, encoded_columnar) if pb.MATRIX_ENCODING_COLUMNAR in accept else None
    return None if packed is None else _ready(answer, packed, accept)


def _ready(answer: Answer, packed: Packed, accept: Collection[int]) -> Ready:
    pieces = [*_fields_of(answer, packed)]
    if answer.merged or answer.leaf_answers:
        pieces.append(_books(answer, accept).SerializeToString())
    return Ready(packed.shape, [*pieces, _beside(answer)])


def _beside(answer: Answer) -> bytes:
    """The serialized fields that every answer has besides its matrix, up to the number that says when it was made."""
    message = pb.GetKeyVizMatrixResponse(
        node_id=answer.node_id,
        incarnation=answer.incarnation,
        step_ms=answer.step_ms,
        oldest_unix_ms=answer.oldest_unix_ms,
        revision=answer.revision,
    )
    if answer.history is not None:
        _encode_history(answer.history, message)
    return message.SerializeToString() + _GENERATED


def _packed(answer: Answer, find: Callable[[Matrix], _Found]) -> Packed | _Found:
    """What is found for its matrix; nothing is packed where all columns are left out, and the rows with them."""
    is_bare = _is_left_out(answer) and not answer.matrix.shape[1]
    return Packed(answer.matrix.shape, (), ()) if is_bare else find(answer.matrix)


def _fields_of(answer: Answer, packed: Packed) -> Sequence[bytes]:
    """The serialized fields of its matrix in pieces, none where all columns are left out."""
    return packed.without_rows if _is_left_out(answer) else packed.whole


def _is_left_out(answer: Answer) -> bool:
    """Whether columns that the caller knows are left out, and the rows with them."""
    return answer.history is not None and answer.history.left_out_below_unix_ms > 0


def _books(answer: Answer, accept: Collection[int]) -> pb.GetKeyVizMatrixResponse:
    """What only an answer for many leaves has."""
    message = pb.GetKeyVizMatrixResponse()
    if answer.merged:
        _encode_books(answer, message)
    for number, own in answer.leaf_answers:
        message.leaf_answers.append(pb.LeafAnswer(leaf=number, answer=encode_answer(own, accept=accept)))
    return message


def _encode_history(history: History, message: pb.GetKeyVizMatrixResponse) -> None:
    message.history.number = history.number
    message.history.newest_unix_ms = history.newest_unix_ms
    message.history.left_out_below_unix_ms = history.left_out_below_unix_ms
    message.history.left_out_columns = history.left_out_columns


def _encode_books(answer: Answer, message: pb.GetKeyVizMatrixResponse) -> None:
    message.outcomes.extend(encode_outcome(outcome) for outcome in answer.outcomes)
    if answer.column_nodes is not None:
        message.column_nodes.extend(answer.column_nodes.tolist())
    if answer.row_leaf_set is not None:
        message.leaf_sets.extend(pb.LeafSet(leaves=leaves) for leaves in answer.leaf_sets)
        message.row_leaf_set.extend(answer.row_leaf_set.tolist())
    message.leaf_ranges.extend(
        pb.LeafRange(row=item.row, leaf=item.leaf, start=item.start, end=item.end) for item in answer.leaf_ranges
    )


def _encode_shares(matrix: Matrix) -> list[pb.KeyVizShare]:
    shares = matrix.shares
    groups = matrix.identities[shares.codes, 0].tolist()
    terms = matrix.identities[shares.codes, 1].tolist()
    cells = zip(shares.rows.tolist(), shares.columns.tolist(), groups, terms, shares.values.tolist(), strict=True)
    return [
        pb.KeyVizShare(row=row, column=column, raft_group_id=group, leader_term=term, value=value)
        for row, column, group, term, value in cells
    ]


def _encode_conflicts(matrix: Matrix) -> list[pb.KeyVizConflicts]:
    if matrix.conflicts is None:
        return []
    rows = np.flatnonzero(matrix.conflicts.any(axis=1)).tolist()
    return [pb.KeyVizConflicts(row=row, columns=np.flatnonzero(matrix.conflicts[row]).tolist()) for row in rows]
