"""From the model to the bytes of docs/http.md: cells, clusters, and how the leaves of an answer fared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import orjson

from keyviz_grpc.hotkeys import HotKeysAnswer
from keyviz_grpc.outcome import Answer, Cell, Outcome, Overview

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - in UTC, which is written by hand
_LAST_MS: Final = 253_402_300_799_999

KEPT_SECONDS: Final = 64
"""What nodes say of one moment is of a second or two."""


def rfc3339(unix_ms: int) -> str:
    """`2026-04-27T11:45:00.123Z`; "" for a moment that is not stated (0) or cannot be written with four year digits."""
    if not 0 < unix_ms <= _LAST_MS:
        return ""
    unix_s, ms = divmod(unix_ms, 1000)
    return f"{_second(unix_s)}.{ms:03d}Z"


@lru_cache(KEPT_SECONDS)
def _second(unix_s: int) -> str:
    # `strftime` takes forty microseconds when it was not called for a while.
    return (_EPOCH + timedelta(seconds=unix_s)).isoformat()


def render_fanout(outcomes: Sequence[Outcome]) -> bytes:
    """How every leaf fared, in configured order."""
    return orjson.dumps(_fanout(outcomes))


def _fanout(outcomes: Sequence[Outcome]) -> dict[str, object]:
    # Tenths are told by one product: `round` to a digit takes seven microseconds when it was not called for a while.
    nodes = [
        {
            "node": outcome.address or "self",
            "ok": outcome.ok,
            "error": "" if outcome.kind is None else outcome.detail or outcome.kind,
            "kind": outcome.kind or "",
            "node_id": outcome.node_id,
            "latency_ms": round(outcome.latency_ms * 10) / 10,
            "generated_at": rfc3339(outcome.generated_at_unix_ms),
            "warnings": [
                {"code": warning.code, "bucket_id": warning.bucket_id, "detail": warning.detail}
                for warning in outcome.warnings
            ],
        }
        for outcome in outcomes
    ]
    return {"nodes": nodes, "responded": sum([outcome.ok for outcome in outcomes]), "expected": len(nodes)}


def fanout_of(answer: Answer | HotKeysAnswer) -> dict[str, object]:
    """The part of a body that says how every leaf fared; nothing where no fan-out was made: a local node alone."""
    if not answer.merged or [outcome.address for outcome in answer.outcomes] == ["self"]:
        return {}
    return {"fanout": _fanout(answer.outcomes)}


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
        body["fanout"] = _fanout(cell.outcomes)
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
