"""From answers to JSON bytes in the existing wire format. Arrays are written as arrays, without a loop over cells."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from keyviz_grpc.model import Catalogue, Matrix, Row
from keyviz_grpc.outcome import Answer, Cell, Outcome, Overview

JSON: Final = "application/json; charset=utf-8"
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY

_kept: list[tuple[Catalogue, list[dict[str, Any]]]] = []
KEPT_CATALOGUES: Final = 8


def matrix_json(answer: Answer, *, identity: bool, fanout: bool = True) -> bytes:
    """The body of a matrix answer. identity: with the identity arrays; fanout: with the outcome of every node."""
    matrix = answer.matrix
    body: dict[str, Any] = {
        "column_unix_ms": np.ascontiguousarray(matrix.columns),
        "step_ms": answer.step_ms,
        "rows": _rows(matrix, identity=identity),
        "series": matrix.series.value,
        "generated_at": rfc3339(answer.generated_at_unix_ms),
        "column_nodes": _column_nodes(answer),
    }
    if fanout:
        body["fanout"] = fanout_of(answer.outcomes)
    return orjson.dumps(body, option=_OPTIONS)


def _column_nodes(answer: Answer) -> NDArray[np.int64]:
    if answer.column_nodes is None:
        return np.ones(len(answer.matrix.columns), np.int64)
    return np.ascontiguousarray(answer.column_nodes)


def _rows(matrix: Matrix, *, identity: bool) -> list[dict[str, Any]]:
    values = np.ascontiguousarray(matrix.values)
    identities = matrix.identity_arrays() if identity else None
    known = None if identities is None else _marked_rows(identities[0] > 0)
    conflicted = _marked_rows(matrix.conflicts)
    soft = _marked_rows(matrix.soft)
    rows = []
    for number, described in enumerate(_described(matrix.catalogue)):
        row = {**described, "values": values[number], "conflict": conflicted is not None and bool(conflicted[number])}
        if row["conflict"] and matrix.conflicts is not None:
            row["conflicts"] = matrix.conflicts[number]
        if soft is not None and soft[number] and matrix.soft is not None:
            row["soft"] = matrix.soft[number]
        if identities is not None and known is not None and known[number]:
            row["raft_group_ids"], row["leader_terms"] = identities[0][number], identities[1][number]
        rows.append(row)
    return rows


def _marked_rows(marks: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    if marks is None:
        return None
    flags: NDArray[np.bool_] = np.logical_or.reduce(marks, axis=1)
    return flags


def _described(catalogue: Catalogue) -> list[dict[str, Any]]:
    # A catalogue stays the same object while routes stay the same, so its part of the answer is made once.
    for known, rows in _kept:
        if known is catalogue:
            return rows
    rows = [_describe(row) for row in catalogue.rows]
    _kept.append((catalogue, rows))
    del _kept[:-KEPT_CATALOGUES]
    return rows


def _describe(row: Row) -> dict[str, Any]:
    described: dict[str, Any] = {"bucket_id": row.bucket_id}
    if row.label:
        described["label"] = row.label
    described["start"] = base64.b64encode(row.start).decode()
    described["end"] = base64.b64encode(row.end).decode()
    described["aggregate"] = row.aggregate
    if row.aggregate:
        described["route_ids"] = list(row.route_ids)
        if row.route_ids_truncated:
            described["route_ids_truncated"] = True
    described["route_count"] = row.route_count
    return described


def fanout_of(outcomes: tuple[Outcome, ...]) -> dict[str, Any]:
    """All leaves in configured order, and how many of them responded."""
    return {
        "nodes": [_node(outcome) for outcome in outcomes],
        "responded": sum(outcome.ok for outcome in outcomes),
        "expected": len(outcomes),
    }


def _node(outcome: Outcome) -> dict[str, Any]:
    return {
        "node": outcome.address or "self",
        "ok": outcome.ok,
        "error": "" if outcome.kind is None else f"{outcome.kind}: {outcome.detail}",
        "kind": outcome.kind or "",
        "node_id": outcome.node_id,
        "latency_ms": round(outcome.latency_ms, 3),
        "generated_at": rfc3339(outcome.generated_at_unix_ms) if outcome.generated_at_unix_ms else "",
        "warnings": [
            {"code": warning.code.value, "bucket_id": warning.bucket_id, "detail": warning.detail}
            for warning in outcome.warnings
        ],
    }


def cell_json(cell: Cell) -> bytes:
    """The body of a cell answer."""
    return orjson.dumps(
        {
            "bucket_id": cell.bucket_id,
            "column_unix_ms": cell.column_unix_ms,
            "series": cell.series.value,
            "value": cell.value,
            "conflict": cell.conflict,
            "contributions": [
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
            ],
            "fanout": fanout_of(cell.outcomes),
        }
    )


def cluster_json(overview: Overview, *, now_unix_ms: int) -> bytes:
    """The body of a cluster answer."""
    members = sorted(member.node_id for member in overview.members if member.node_id)
    groups = [
        {
            "group_id": leader.raft_group_id,
            "leader_id": leader.leader_node_id,
            "members": members,
            "is_leader": leader.leader_node_id == overview.self_.node_id,
        }
        for leader in overview.group_leaders
    ]
    return orjson.dumps(
        {
            "node_id": overview.self_.node_id,
            "version": overview.version,
            "timestamp": rfc3339(now_unix_ms),
            "groups": groups,
        }
    )


def error_json(code: str, message: str, **more: object) -> bytes:
    """The error envelope."""
    return orjson.dumps({"error": code, "message": message, **more})


def rfc3339(unix_ms: int) -> str:
    """UTC with milliseconds, such as 2026-04-27T11:45:00.123Z."""
    moment = datetime.fromtimestamp(min(max(unix_ms, 0), 253_402_300_799_000) / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{unix_ms % 1000:03d}Z"
