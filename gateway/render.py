"""From the model to the bytes of SPEC 6, straight from arrays: no Python work a cell, little a row."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from keyviz_grpc.model import Catalogue, Matrix, Row
from keyviz_grpc.outcome import Answer, Cell, Outcome, Overview

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = 253_402_300_799_999
_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY
_FLAG: Final = (b'],"conflict":false', b'],"conflict":true')


def rfc3339(unix_ms: int) -> str:
    """`2026-04-27T11:45:00.123Z`; "" for a moment that is not stated (0) or cannot be written with four year digits."""
    if not 0 < unix_ms <= _LAST_MS:
        return ""
    return (_EPOCH + timedelta(milliseconds=unix_ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{unix_ms % 1000:03d}Z"


class MatrixRenderer:
    """Renders matrices. Row metadata is rendered once a catalogue and remembered for the last few; thread-safe."""

    def __init__(self, remembered: int = 4) -> None:
        self._remembered = remembered
        self._heads: tuple[tuple[Catalogue, list[bytes]], ...] = ()

    def render(self, answer: Answer, *, identity: bool = True) -> bytes:
        """The body of the matrix endpoint. identity False leaves out `raft_group_ids` and `leader_terms`.

        `fanout` is absent for an answer that no fan-out made: a local node alone.
        """
        matrix = answer.matrix
        rows, columns = matrix.shape
        nodes = np.ones(columns, np.int64) if answer.column_nodes is None else answer.column_nodes
        parts = [
            b'{"column_unix_ms":',
            _dump(matrix.columns),
            b',"step_ms":%d,"rows":[' % answer.step_ms,
            b",".join(self._rows(matrix, identity=identity)) if rows else b"",
            b'],"series":"%s","generated_at":"%s","column_nodes":'
            % (matrix.series.value.encode(), rfc3339(answer.generated_at_unix_ms).encode()),
            _dump(nodes),
        ]
        if answer.merged and [outcome.address for outcome in answer.outcomes] != ["self"]:
            parts += [b',"fanout":', render_fanout(answer.outcomes)]
        parts.append(b"}")
        return b"".join(parts)

    def _rows(self, matrix: Matrix, *, identity: bool) -> list[bytes]:
        count = len(matrix.catalogue)
        conflicts, flags = _marks(matrix.conflicts, b',"conflicts":[', count)
        soft, _ = _marks(matrix.soft, b',"soft":[', count)
        identities = _identities(matrix) if identity else [b""] * count
        pieces = zip(
            self._heads_of(matrix.catalogue), _texts(matrix.values), flags, conflicts, soft, identities, strict=True
        )
        return [
            b"".join((head, values, _FLAG[flag], marks, softness, ids, b"}"))
            for head, values, flag, marks, softness, ids in pieces
        ]

    def _heads_of(self, catalogue: Catalogue) -> list[bytes]:
        for known, heads in self._heads:
            if known == catalogue:
                return heads
        heads = [_head(row) for row in catalogue.rows]
        self._heads = ((catalogue, heads), *self._heads[: self._remembered - 1])
        return heads


def _head(row: Row) -> bytes:
    """A row's JSON up to and with the bracket that opens its values."""
    shown: dict[str, object] = {"bucket_id": row.bucket_id}
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
    return orjson.dumps(shown)[:-1] + b',"values":['


def _dump(array: NDArray[Any]) -> bytes:
    return orjson.dumps(np.ascontiguousarray(array), option=_NUMPY) if array.size else b"[]"


def _texts(array: NDArray[Any]) -> list[bytes]:
    """Each row of a two-dimensional array as JSON, without the brackets around it."""
    if not array.size:
        return [b""] * len(array)
    return _dump(array)[2:-2].split(b"],[")


def _marks(marks: NDArray[np.bool_] | None, key: bytes, count: int) -> tuple[list[bytes], list[bool]]:
    """For every row its text, b"" where nothing is marked, and whether something is."""
    texts = [b""] * count
    if marks is None:
        return texts, [False] * count
    marked: NDArray[np.bool_] = np.logical_or.reduce(marks, axis=1)
    numbers = np.flatnonzero(marked)
    for number, text in zip(numbers.tolist(), _texts(marks[numbers]), strict=True):
        texts[number] = key + text + b"]"
    return texts, marked.tolist()


def _identities(matrix: Matrix) -> list[bytes]:
    """For every row its two identity arrays, b"" where unknown throughout."""
    count, columns = matrix.shape
    texts = [b""] * count
    if matrix.codes is None or not columns:
        return texts
    lowest, highest = matrix.codes.min(axis=1), matrix.codes.max(axis=1)
    # A row under one leader throughout is the rule: its arrays are one number repeated.
    repeated: dict[int, bytes] = {}
    for number in np.flatnonzero((lowest == highest) & (highest > 0)).tolist():
        code = int(highest[number])
        if code not in repeated:
            group, term = (b"%d" % part for part in matrix.identities[code].tolist())
            repeated[code] = _identity_text(b",".join([group] * columns), b",".join([term] * columns))
        texts[number] = repeated[code]
    mixed = np.flatnonzero(lowest != highest)
    codes = matrix.codes[mixed]
    groups, terms = (_texts(np.ascontiguousarray(matrix.identities[:, part])[codes]) for part in (0, 1))
    for number, group, term in zip(mixed.tolist(), groups, terms, strict=True):
        texts[number] = _identity_text(group, term)
    return texts


def _identity_text(groups: bytes, terms: bytes) -> bytes:
    return b',"raft_group_ids":[' + groups + b'],"leader_terms":[' + terms + b"]"


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
