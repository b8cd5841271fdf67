"""From the model to the bytes of docs/http.md, straight from arrays: no Python work a cell, little a row."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import Catalogue, Matrix, Row
from keyviz_grpc.outcome import Answer, Cell, Outcome, Overview
from keyviz_grpc.remembered import Shelf, continues

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = 253_402_300_799_999

KEPT_NUMBERS: Final = 1 << 21
"""Cells for which repeated identities are kept as text, four to ten bytes each as a rule, for one table of them."""

TEXT_BYTES: Final = 41
"""What a text takes in memory besides its bytes, its place in a list included."""

CHUNK_BYTES: Final = 256 << 10
"""About so large are the pieces of a large body: joining and sending each finds it in the processor's cache."""

FEW_CELLS: Final = 1 << 16
FEW_WORDS: Final = 512
"""So many cells, and outcomes and warnings, are written in less time than a way to a thread and back is worth."""

FEW_COLUMNS: Final = 8
"""Up to so many columns that fell out of the window are cut off the texts of rows one by one."""

_Shown: TypeAlias = dict[str, Any]
"""One JSON object; arrays in it are written as they are."""


def rfc3339(unix_ms: int) -> str:
    """`2026-04-27T11:45:00.123Z`; "" for a moment that is not stated (0) or cannot be written with four year digits."""
    if not 0 < unix_ms <= _LAST_MS:
        return ""
    return (_EPOCH + timedelta(milliseconds=unix_ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{unix_ms % 1000:03d}Z"


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    """values: of each row the JSON of its values. rows: all rows in a few pieces, None while nobody asked twice."""

    matrix: Matrix
    values: list[bytes]
    rows: list[bytes] | None


class MatrixRenderer:
    """Renders matrices. Row metadata is written once a catalogue and remembered for the last few; thread-safe.

    The body is put together from ready pieces, three to five a row: whoever hands one dictionary a row to a JSON
    encoder spends more on the dictionaries than on the numbers.

    shelf: where the written rows of a matrix are kept that is asked for again, the very same object, as one is of which
    no column is new; None = nowhere.
    """

    def __init__(self, remembered: int = 4, shelf: Shelf | None = None) -> None:
        self._remembered, self._shelf = remembered, shelf
        self._heads: tuple[tuple[Catalogue, list[bytes]], ...] = ()

    def render(self, answer: Answer, *, identity: bool = True) -> bytes:
        """The body of the matrix endpoint in one piece; see `pieces`."""
        return b"".join(self.pieces(answer, identity=identity))

    def is_quick(self, answer: Answer, *, identity: bool = True) -> bool:
        """Whether `pieces` takes a millisecond or two at most: few cells and known rows, or all rows written already.

        What is said of leaves must be little in any case.
        """
        if sum(1 + len(outcome.warnings) for outcome in answer.outcomes) > FEW_WORDS:
            return False
        matrix = answer.matrix
        before = self._before(matrix, identity=identity, keep=not answer.degraded)
        written = before is not None and before.matrix is matrix and before.rows is not None
        return written or (matrix.cells <= FEW_CELLS and any(known == matrix.catalogue for known, _ in self._heads))

    def pieces(self, answer: Answer, *, identity: bool = True) -> list[bytes]:
        """The body of the matrix endpoint. identity False leaves out `raft_group_ids` and `leader_terms`.

        `fanout` is absent for an answer that no fan-out made: a local node alone.
        """
        matrix = answer.matrix
        nodes = np.ones(matrix.shape[1], np.int64) if answer.column_nodes is None else answer.column_nodes
        after: _Shown = {
            "series": matrix.series.value,
            "generated_at": rfc3339(answer.generated_at_unix_ms),
            "column_nodes": np.ascontiguousarray(nodes),
        }
        if answer.merged and [outcome.address for outcome in answer.outcomes] != ["self"]:
            after["fanout"] = orjson.Fragment(render_fanout(answer.outcomes))
        columns = _json(np.ascontiguousarray(matrix.columns))
        rows = self._rows_of(matrix, identity=identity, keep=not answer.degraded)
        head = b'{"column_unix_ms":%b,"step_ms":%d,"rows":[' % (columns, answer.step_ms)
        return [head, *rows, b"]," + _json(after)[1:]]

    def _before(self, matrix: Matrix, *, identity: bool, keep: bool) -> _Written | None:
        there = self._shelf.get(self, (matrix.series, identity)) if self._shelf is not None and keep else None
        return there if isinstance(there, _Written) else None

    def _rows_of(self, matrix: Matrix, *, identity: bool, keep: bool) -> list[bytes]:
        before = self._before(matrix, identity=identity, keep=keep)
        seen = before is not None and before.matrix is matrix
        if seen and before is not None and before.rows is not None:
            return before.rows
        values = _values_of(matrix, before)
        pieces: list[bytes] = []
        self._add_rows(pieces, matrix, values, identity=identity)
        rows = _joined(pieces)
        if self._shelf is not None and keep:
            # All of it is worth its room only once somebody asks twice between two columns.
            kept = _Written(matrix, values, rows if seen else None)
            size = sum(map(len, values)) + TEXT_BYTES * len(values) + (sum(map(len, rows)) if seen else 0)
            self._shelf.put(self, (matrix.series, identity), kept, size_bytes=size, shared=(matrix.catalogue, matrix))
        return rows

    def _add_rows(self, pieces: list[bytes], matrix: Matrix, values: list[bytes], *, identity: bool) -> None:
        heads = self._heads_of(matrix.catalogue)
        tails: list[bytes] = [b',"conflict":false'] * len(heads)
        for number, marks in _marked(matrix.conflicts):
            tails[number] = b',"conflict":true,"conflicts":' + marks
        for number, marks in _marked(matrix.soft):
            tails[number] += b',"soft":' + marks
        identities = _identities(matrix) if identity else [b""] * len(heads)
        for parts in zip(heads, values, tails, identities, repeat(b"},"), strict=False):
            pieces += parts
        if heads:
            pieces[-1] = b"}"

    def _heads_of(self, catalogue: Catalogue) -> list[bytes]:
        """Each row from its brace up to the colon before its values."""
        for known, heads in self._heads:
            if known == catalogue:
                return heads
        heads = [_json(_head(row))[:-1] + b',"values":' for row in catalogue.rows]
        self._heads = ((catalogue, heads), *self._heads[: self._remembered - 1])
        return heads


def _head(row: Row) -> _Shown:
    shown: _Shown = {"bucket_id": row.bucket_id}
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
    return shown


def _joined(pieces: list[bytes]) -> list[bytes]:
    """The same bytes in fewer pieces, of about `CHUNK_BYTES` where rows are about equally long."""
    size = sum(map(len, pieces))
    count = max(1, len(pieces) * CHUNK_BYTES // size if size else 1)
    return [b"".join(pieces[at : at + count]) for at in range(0, len(pieces), count)]


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _each(array: NDArray[Any]) -> Iterator[bytes]:
    """Every row of an array as JSON."""
    return map(orjson.dumps, np.ascontiguousarray(array), repeat(None), repeat(orjson.OPT_SERIALIZE_NUMPY))


def _values_of(matrix: Matrix, before: _Written | None) -> list[bytes]:
    """The JSON of the values of every row; what was written of the columns that it begins with is not written anew."""
    part = None if before is None else continues(matrix, before.matrix)
    if before is None or part is None or part.stop != len(before.matrix.columns) or part.start > FEW_COLUMNS:
        return list(_each(matrix.values))
    new = matrix.shape[1] - (part.stop - part.start)
    if new <= 0 or part.stop == part.start:
        return list(_each(matrix.values))
    known = before.values
    for _ in range(part.start - 1):
        known = [b"[" + text[text.index(b",") + 1 :] for text in known]
    newest = _in_brackets(matrix.values[:, -new:])
    if part.start == 0:
        return [b"%b,%b]" % (text[:-1], more) for text, more in zip(known, newest, strict=True)]
    # In the same pass, since mostly one column leaves the window when one comes.
    return [b"[%b,%b]" % (text[text.index(b",") + 1 : -1], more) for text, more in zip(known, newest, strict=True)]


def _in_brackets(values: NDArray[np.uint64]) -> Iterable[bytes]:
    """Of each row what stands between the brackets of its JSON."""
    if values.shape[1] == 1:
        # One list of all numbers is written several times faster than a list a row.
        return _json(np.ascontiguousarray(values[:, 0]))[1:-1].split(b",")
    return (text[1:-1] for text in _each(values))


def _marked(marks: NDArray[np.bool_] | None) -> Iterator[tuple[int, bytes]]:
    """(row number, its marks as JSON) for each row in which anything is marked."""
    if marks is None:
        return
    numbers = np.flatnonzero(marks.any(axis=1))
    yield from zip(numbers.tolist(), _each(marks[numbers]), strict=True)


def _identities(matrix: Matrix) -> list[bytes]:
    """Both identity arrays of every row that has any known identity, nothing for the others."""
    written = [b""] * matrix.shape[0]
    if matrix.codes is None or not matrix.codes.size:
        return written
    codes = matrix.codes
    uniform = (codes[:, :1] == codes).all(axis=1)
    # A row under one leader throughout is the rule: its arrays are one number repeated.
    whole = np.flatnonzero(uniform & (codes[:, 0] > 0))
    shown = codes[whole, 0].tolist()
    known = _repeated_of(matrix.identities, shown, matrix.shape[1])
    for number, code in zip(whole.tolist(), shown, strict=True):
        written[number] = known[code]
    mixed = np.flatnonzero(~uniform)
    arrays = (_each(np.take(matrix.identities[:, part], matrix.codes[mixed])) for part in (0, 1))
    for number, groups, terms in zip(mixed.tolist(), *arrays, strict=True):
        written[number] = b',"raft_group_ids":%b,"leader_terms":%b' % (groups, terms)
    return written


_kept: Final[KeptByIdentity[dict[int, dict[int, bytes]]]] = KeptByIdentity(4)


def _repeated_of(identities: NDArray[np.uint64], codes: list[int], times: int) -> dict[int, bytes]:
    """For each code (and maybe others) its arrays; kept while leaders stay the same and as many columns are shown."""
    by_times = _kept.get((identities,), dict)
    known = by_times.get(times, {})
    missing = sorted({code for code in codes if code not in known})
    if missing:
        # A dictionary of its own, for another thread may be reading the one that is kept.
        known = {**known, **dict(zip(missing, _repeated(identities[missing], times), strict=True))}
        by_times.clear()
        if len(known) * times <= KEPT_NUMBERS:
            by_times[times] = known
    return known


def _repeated(identities: NDArray[np.uint64], times: int) -> Iterator[bytes]:
    """For each (group, term) both arrays, `times` (at least 1) numbers long."""
    # One encoding for all decimals: formatting them one by one took half of the time here.
    digits = _json(np.ascontiguousarray(identities))[2:-2].split(b"],[")
    for pair in digits if len(identities) else ():
        group, term = pair.split(b",")
        yield b"".join(
            (
                b',"raft_group_ids":[',
                (group + b",") * (times - 1),
                group,
                b'],"leader_terms":[',
                (term + b",") * (times - 1),
                term,
                b"]",
            )
        )


def render_fanout(outcomes: Sequence[Outcome]) -> bytes:
    """How every leaf fared, in configured order."""
    nodes = [
        {
            "node": outcome.address or "self",
            "ok": outcome.ok,
            "error": "" if outcome.kind is None else outcome.detail or outcome.kind.value,
            "kind": "" if outcome.kind is None else outcome.kind.value,
            "node_id": outcome.node_id,
            "latency_ms": round(outcome.latency_ms, 1),
            "generated_at": rfc3339(outcome.generated_at_unix_ms),
            "warnings": [
                {"code": warning.code.value, "bucket_id": warning.bucket_id, "detail": warning.detail}
                for warning in outcome.warnings
            ],
        }
        for outcome in outcomes
    ]
    responded = sum(outcome.ok for outcome in outcomes)
    return orjson.dumps({"nodes": nodes, "responded": responded, "expected": len(nodes)})


def render_cell(cell: Cell) -> bytes:
    """The body of the cell endpoint."""
    contributions = [
        {
            "node": part.node,
            "node_id": part.node_id,
            "value": part.value,
            "raft_group_id": part.raft_group_id,
            "leader_term": part.leader_term,
            "counted": part.counted,
            "reason": part.reason,
        }
        for part in cell.contributions
    ]
    body: dict[str, object] = {
        "bucket_id": cell.bucket_id,
        "column_unix_ms": cell.column_unix_ms,
        "series": cell.series.value,
        "value": cell.value,
        "conflict": cell.conflict,
        "contributions": contributions,
    }
    if cell.outcomes:
        body["fanout"] = orjson.Fragment(render_fanout(cell.outcomes))
    return orjson.dumps(body)


def render_overview(overview: Overview, *, version: str, now_unix_ms: int) -> bytes:
    """The body of the cluster endpoint. Nobody tells the members of a single group, so those lists are empty."""
    own = overview.self_.node_id
    groups = [
        {
            "group_id": leader.raft_group_id,
            "leader_id": leader.leader_node_id,
            "leader_term": leader.leader_term,
            "members": [],
            "is_leader": bool(own) and leader.leader_node_id == own,
        }
        for leader in overview.group_leaders
    ]
    return orjson.dumps(
        {
            "node_id": own,
            "version": overview.version or version,
            "timestamp": rfc3339(now_unix_ms),
            "groups": groups,
            "nodes": [{"node_id": member.node_id, "grpc_address": member.address} for member in overview.members],
        }
    )
