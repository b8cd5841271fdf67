"""The rows of a matrix as JSON, straight from arrays: no Python work a cell, little a row."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import Matrix, Row
from keyviz_grpc.traffic import Leaders, where

KEPT_NUMBERS: Final = 1 << 21
"""Cells for which repeated identities are kept as text, four to ten bytes each as a rule, for one table of them."""

LEAST_PIECE_BYTES: Final = 256 << 10
MOST_PIECE_BYTES: Final = 1 << 20
PIECES: Final = 8
"""A body is sent in about so many pieces, of sizes in between: its reader takes one while the next is sent, and each is
a turn of the event loop or more.
"""

SAMPLED: Final = 8
"""Rows by which it is found how long all are, or up to twice as many."""

NOBODY: Final[NDArray[np.uint64]] = np.empty((0, 0), np.uint64)

NOTHING: Final = (orjson.Fragment(b""),)

Piece: TypeAlias = bytes | memoryview

ShownRow: TypeAlias = dict[str, object]


def head_of(row: Row) -> bytes:
    """What a row says before its values, from its bucket id on."""
    shown: dict[str, Any] = {"bucket_id": row.bucket_id}
    if row.label:
        shown["label"] = row.label
    shown["start"] = base64.b64encode(row.start).decode()
    shown["end"] = base64.b64encode(row.end).decode()
    shown["aggregate"] = row.aggregate
    if row.aggregate:
        shown["route_ids"] = row.route_ids
    if row.route_ids_truncated:
        shown["route_ids_truncated"] = True
    shown["route_count"] = row.route_count
    return json_of(shown).removeprefix(b'{"bucket_id":')[:-1]


def in_pieces(rows: Sequence[ShownRow]) -> list[Piece]:
    """Rows as JSON, with what stands between them, in the pieces to send."""
    some = rows[:: max(1, len(rows) // SAMPLED)]
    size = len(json_of(some)) * len(rows) // max(1, len(some))
    count = max(1, len(rows) * piece_bytes(size) // max(1, size))
    # Each piece but the first begins with nothing and a comma. Brackets are left out without a copy.
    texts = (json_of([*NOTHING[:at], *rows[at : at + count]]) for at in range(0, len(rows), count))
    return list(_evened(memoryview(text)[1:-1] for text in texts))


def _evened(texts: Iterable[memoryview]) -> Iterator[Piece]:
    """Neither much longer nor much shorter than pieces are, whatever the sampled rows made believe."""
    short: list[memoryview] = []
    size = 0
    for text in texts:
        if size + len(text) <= LEAST_PIECE_BYTES:
            short.append(text)
            size += len(text)
            continue
        if short:
            yield short[0] if len(short) == 1 else b"".join(short)
        short, size = [], 0
        most = len(text) if len(text) <= 2 * MOST_PIECE_BYTES else MOST_PIECE_BYTES
        yield from (text[at : at + most] for at in range(0, len(text), most))
    if short:
        yield short[0] if len(short) == 1 else b"".join(short)


def piece_bytes(size: int) -> int:
    """How large a piece of a body of so many bytes is."""
    return min(max(size // PIECES, LEAST_PIECE_BYTES), MOST_PIECE_BYTES)


def json_of(value: object) -> bytes:
    """As JSON, arrays included."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def marked(rows: Sequence[ShownRow], marks: NDArray[np.bool_]) -> Iterator[tuple[ShownRow, NDArray[np.bool_]]]:
    """The rows in which anything is marked, and their marks."""
    numbers = np.flatnonzero(marks.any(axis=1))
    return zip(map(rows.__getitem__, numbers.tolist()), marks.take(numbers, axis=0), strict=True)


def add_identities(rows: Sequence[ShownRow], matrix: Matrix) -> None:
    """Both identity arrays to every row of the matrix that has any known identity, nothing to the others."""
    leaders = matrix.row_leaders()
    if leaders is None or not matrix.columns.size:
        return
    shown, others = told_apart(leaders)
    repeated = repeated_of(matrix.identities, shown, matrix.shape[1], Around())
    known = {code: orjson.Fragment(text) for code, text in repeated.texts.items()}
    for row, code in zip(rows, shown.tolist(), strict=True):
        if code:
            row["raft_group_ids"] = known[code]
    for number, groups, terms in zip(*of_several(matrix, leaders, others), strict=True):
        row = rows[number]
        row["raft_group_ids"] = groups
        row["leader_terms"] = terms


def told_apart(leaders: Leaders) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(int64[R]: the code of the leader under which all cells of a row have traffic, or 0; all other rows with any).

    A row under one leader throughout is the rule: its arrays are one number repeated.
    """
    shown = np.where(leaders.whole & (leaders.of > 0), leaders.of, 0)
    return shown, where((leaders.of != 0) & (shown == 0))


def of_several(
    matrix: Matrix, leaders: Leaders, others: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint64]]:
    """(rows, groups[N, C], terms[N, C]): those of the other rows in which any leader is known. No rows, no C."""
    if not len(others):
        return others, NOBODY, NOBODY
    codes = leaders.take(others).spread(matrix.narrowest.take(others, axis=0))
    stated = np.flatnonzero(codes.any(axis=1))
    codes = codes.take(stated, axis=0)
    return others.take(stated), matrix.identities[:, 0].take(codes), matrix.identities[:, 1].take(codes)


@dataclass(frozen=True, slots=True)
class Around:
    """What stands before and after the identity arrays of a row, which are told as a member without its name."""

    before: bytes = b""
    after: bytes = b""


@dataclass(slots=True, eq=False)
class Repeated:
    """The arrays of leaders by their code, which no longer changes once it is here."""

    texts: dict[int, bytes]
    _last: tuple[bytes, list[bytes]] | None = None

    def of_rows(self, codes: NDArray[np.int64], nobody: bytes) -> list[bytes]:
        """Of every row, of code 0 `nobody`; not to be altered.

        The last list is kept, for mostly the same leaders lead the same rows.
        """
        packed, last = codes.tobytes(), self._last
        if last is None or last[0] != packed:
            texts = {**self.texts, 0: nobody}
            last = self._last = packed, [texts[code] for code in codes.tolist()]
        return last[1]


_kept: Final[KeptByIdentity[dict[tuple[int, Around], Repeated]]] = KeptByIdentity(4)


def repeated_of(identities: NDArray[np.uint64], codes: NDArray[np.int64], times: int, around: Around) -> Repeated:
    """For each code but 0, and maybe others, the JSON of its groups, and the whole member of its terms.

    They are kept while leaders stay the same and as many columns are shown.
    """
    by_form = _kept.get((identities,), dict)
    known = by_form.get((times, around)) or Repeated({})
    missing = sorted(set(codes.tolist()).difference(known.texts, (0,)))
    if missing:
        # A dictionary of its own, for another thread may be reading the one that is kept.
        more = zip(missing, _repeated(identities[missing], times, around), strict=True)
        known = Repeated({**known.texts, **dict(more)})
        by_form.clear()
        if len(known.texts) * times <= KEPT_NUMBERS:
            by_form[times, around] = known
    return known


def _repeated(identities: NDArray[np.uint64], times: int, around: Around) -> Iterator[bytes]:
    """For each (group, term) both arrays, `times` (at least 1) numbers long."""
    # One encoding for all decimals: formatting them one by one took half of the time here.
    digits = json_of(np.ascontiguousarray(identities))[2:-2].split(b"],[")
    for pair in digits if len(identities) else ():
        group, term = pair.split(b",")
        yield b"".join(
            (
                around.before,
                b"[",
                (group + b",") * (times - 1),
                group,
                b'],"leader_terms":[',
                (term + b",") * (times - 1),
                term,
                b"]",
                around.after,
            )
        )
