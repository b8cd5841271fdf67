"""Requests for matrices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Final

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import Series, Window
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MAX_VIA, Known, MatrixQuery

SERIES_OF_NUMBER: Final = {
    pb.KEYVIZ_SERIES_UNSPECIFIED: Series.WRITES,
    pb.KEYVIZ_SERIES_READS: Series.READS,
    pb.KEYVIZ_SERIES_WRITES: Series.WRITES,
    pb.KEYVIZ_SERIES_READ_BYTES: Series.READ_BYTES,
    pb.KEYVIZ_SERIES_WRITE_BYTES: Series.WRITE_BYTES,
}
NUMBER_OF_SERIES: Final = {series: number for number, series in SERIES_OF_NUMBER.items()}

SHORT_BYTES: Final = 256
"""Of questions that are kept; a poll has some 40."""


class Question:
    """A request for a matrix, decoded when somebody wants to know. accept: encodings besides rows that are read.

    raw: its bytes; what is asked in the same ones is the same question. Raises DecodeError where they are no message.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._request = pb.GetKeyVizMatrixRequest.FromString(raw)
        self.accept = tuple(self._request.accept)

    @cached_property
    def query(self) -> MatrixQuery:
        """As of `decode_query`, which raises InvalidRequest."""
        return decode_query(self._request)


_asked: Final[KeptByIdentity[bytes]] = KeptByIdentity(4)

MAX_NAMES: Final = 4096
MAX_NAME_CHARS: Final = 1024


def question_of(raw: bytes) -> Question:
    """What the bytes of a request ask, see `Question`.

    Whoever polls asks the same again and again, so a short question is read once.
    """
    return _read_once(raw) if len(raw) <= SHORT_BYTES else Question(raw)


_read_once: Final = lru_cache(64)(Question)


def decode_query(request: pb.GetKeyVizMatrixRequest) -> MatrixQuery:
    """Raises InvalidRequest that names the field and its value; proto3 enums are open, so numbers are checked too."""
    series = SERIES_OF_NUMBER.get(request.series)
    if series is None:
        raise InvalidRequest("series", int(request.series), "is not a series (0 to 4)")
    check_names(
        ("via", request.via, MAX_VIA),
        ("bucket_ids", request.bucket_ids, MAX_NAMES),
        ("exclude", [leaf.node_id for leaf in request.exclude], MAX_NAMES),
        ("node_id", [request.node_id, request.known.node_id], 2),
    )
    return MatrixQuery(
        series,
        Window(request.from_unix_ms, request.to_unix_ms),
        request.rows,
        via=tuple(request.via),
        unmerged=request.unmerged,
        bucket_ids=tuple(request.bucket_ids),
        node_id=request.node_id,
        exclude=tuple((leaf.node_id, leaf.incarnation) for leaf in request.exclude),
        known=_decode_known(request),
        without_roles=request.without_roles,
    )


def check_names(*lists: tuple[str, Sequence[str], int]) -> None:
    """Each (field, names, how many at most); raises InvalidRequest for too many, and for one that is too long."""
    for field, names, most in lists:
        if len(names) > most:
            raise InvalidRequest(field, len(names), f"has too many entries, at most {most} are allowed")
        for name in names:
            if len(name) > MAX_NAME_CHARS:
                raise InvalidRequest(field, name, f"is longer than {MAX_NAME_CHARS} characters")


def _decode_known(request: pb.GetKeyVizMatrixRequest) -> Known | None:
    if not request.HasField("known") or pb.MATRIX_ENCODING_COLUMNAR not in request.accept:
        return None
    known = request.known
    for field, number in (("incarnation", known.incarnation), ("below_unix_ms", known.below_unix_ms)):
        if number <= 0:
            raise InvalidRequest(f"known.{field}", number, "must be positive")
    if not known.node_id or not known.history:
        raise InvalidRequest("known", f"node_id={known.node_id!r} history={known.history}", "must both be given")
    return Known(known.node_id, known.incarnation, known.history, known.below_unix_ms)


def encode_query(
    query: MatrixQuery, *, accept: tuple[pb.MatrixEncoding.ValueType, ...] = ()
) -> pb.GetKeyVizMatrixRequest:
    """The message for a query; accept: encodings besides rows that the caller reads."""
    message = pb.GetKeyVizMatrixRequest(
        series=NUMBER_OF_SERIES[query.series],
        from_unix_ms=query.window.from_unix_ms,
        to_unix_ms=query.window.to_unix_ms,
        rows=query.rows,
        via=query.via,
        accept=accept,
        unmerged=query.unmerged,
        bucket_ids=query.bucket_ids,
        node_id=query.node_id,
        exclude=[pb.LeafKey(node_id=node_id, incarnation=life) for node_id, life in query.exclude],
        without_roles=query.without_roles,
    )
    if query.known is not None:
        message.known.CopyFrom(_encode_known(query.known))
    return message


def _encode_known(known: Known) -> pb.KnownColumns:
    return pb.KnownColumns(
        node_id=known.node_id,
        incarnation=known.incarnation,
        history=known.history,
        below_unix_ms=known.below_unix_ms,
    )


def query_bytes(query: MatrixQuery, *, accept: tuple[pb.MatrixEncoding.ValueType, ...]) -> bytes:
    """The bytes of that message; all peers of a fan-out are asked the same as a rule, so they are made once."""
    return _asked.get((query, accept), lambda: encode_query(query, accept=accept).SerializeToString())


def known_bytes(known: Known) -> bytes:
    """What stands behind those bytes where the caller knows columns; a message's fields may come in any order."""
    return pb.GetKeyVizMatrixRequest(known=_encode_known(known)).SerializeToString()
