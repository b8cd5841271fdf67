"""From the model to the bytes of SPEC 6, straight from arrays: no Python work a cell, little a row."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from keyviz_grpc.model import Catalogue, Matrix, Row
from keyviz_grpc.outcome import Answer, Cell, Outcome, Overview

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = 253_402_300_799_999

_Shown: TypeAlias = dict[str, Any]
"""One JSON object; arrays in it are written as they are."""


def rfc3339(unix_ms: int) -> str:
    """`2026-04-27T11:45:00.123Z`; "" for a moment that is not stated (0) or cannot be written with four year digits."""
    if not 0 < unix_ms <= _LAST_MS:
        return ""
    return (_EPOCH + timedelta(milliseconds=unix_ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{unix_ms % 1000:03d}Z"


class MatrixRenderer:
    """Renders matrices. Row metadata is described once a catalogue and remembered for the last few; thread-safe."""

    def __init__(self, remembered: int = 4) -> None:
        self._remembered = remembered
        self._heads: tuple[tuple[Catalogue, list[_Shown]], ...] = ()

    def render(self, answer: Answer, *, identity: bool = True) -> bytes:
        """The body of the matrix endpoint. identity False leaves out `raft_group_ids` and `leader_terms`.

        `fanout` is absent for an answer that no fan-out made: a local node alone.
        """
        matrix = answer.matrix
        nodes = np.ones(matrix.shape[1], np.int64) if answer.column_nodes is None else answer.column_nodes
        body: _Shown = {
            "column_unix_ms": np.ascontiguousarray(matrix.columns),
            "step_ms": answer.step_ms,
            "rows": self._rows(matrix, identity=identity),
            "series": matrix.series.value,
            "generated_at": rfc3339(answer.generated_at_unix_ms),
            "column_nodes": np.ascontiguousarray(nodes),
        }
        if answer.merged and [outcome.address for outcome in answer.outcomes] != ["self"]:
            body["fanout"] = orjson.Fragment(render_fanout(answer.outcomes))
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)

    def _rows(self, matrix: Matrix, *, identity: bool) -> list[_Shown]:
        values = np.ascontiguousarray(matrix.values)
        rows: list[_Shown] = [
            {**head, "values": values[number], "conflict": False}
            for number, head in enumerate(self._heads_of(matrix.catalogue))
        ]
        for number, marks in _marked(matrix.conflicts):
            rows[number]["conflict"] = True
            rows[number]["conflicts"] = marks
        for number, marks in _marked(matrix.soft):
            rows[number]["soft"] = marks
        if identity:
            _add_identities(rows, matrix)
        return rows

    def _heads_of(self, catalogue: Catalogue) -> list[_Shown]:
        for known, heads in self._heads:
            if known == catalogue:
                return heads
        heads = [_head(row) for row in catalogue.rows]
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


def _marked(marks: NDArray[np.bool_] | None) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """(row number, its marks) for each row in which anything is marked."""
    if marks is None:
        return
    marks = np.ascontiguousarray(marks)
    for number in np.flatnonzero(np.logical_or.reduce(marks, axis=1)).tolist():
        yield number, marks[number]


def _add_identities(rows: list[_Shown], matrix: Matrix) -> None:
    """Both identity arrays for every row that has any known identity."""
    columns = matrix.shape[1]
    if matrix.codes is None or not matrix.codes.size:
        return
    lowest, highest = matrix.codes.min(axis=1), matrix.codes.max(axis=1)
    # A row under one leader throughout is the rule: its arrays are one number repeated, written once a leader.
    repeated: dict[int, tuple[orjson.Fragment, orjson.Fragment]] = {}
    for number in np.flatnonzero((lowest == highest) & (highest > 0)).tolist():
        code = int(highest[number])
        if code not in repeated:
            group, term = matrix.identities[code].tolist()
            repeated[code] = (_repeat(group, columns), _repeat(term, columns))
        rows[number]["raft_group_ids"], rows[number]["leader_terms"] = repeated[code]
    mixed = np.flatnonzero(lowest != highest)
    codes = matrix.codes[mixed]
    groups, terms = (np.ascontiguousarray(matrix.identities[:, part])[codes] for part in (0, 1))
    for place, number in enumerate(mixed.tolist()):
        rows[number]["raft_group_ids"], rows[number]["leader_terms"] = groups[place], terms[place]


def _repeat(number: int, times: int) -> orjson.Fragment:
    return orjson.Fragment(b"[" + b",".join([b"%d" % number] * times) + b"]")


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
