"""Who says what about one cell, and which of it counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from keyviz_grpc.merge.merging import merge
from keyviz_grpc.merge.parts import prepare
from keyviz_grpc.merge.shares import spread_out
from keyviz_grpc.model import UNKNOWN, Window
from keyviz_grpc.outcome import Answer, Cell, Contribution, Outcome
from keyviz_grpc.query import MatrixQuery


@dataclass(frozen=True, slots=True)
class _Share:
    leaf: int
    identity: tuple[int, int]
    value: int
    full: int


def contributions(
    parts: Sequence[Answer | Outcome], *, query: MatrixQuery, column_unix_ms: int, now_unix_ms: int
) -> Cell:
    """The merged cell of query.bucket_ids[0] at `column_unix_ms`, with one entry per share and leaf.

    parts: as for `merge`; answers of aggregators must be unmerged, or their leaves cannot be told apart. The cell of a
    bucket or column that nobody holds is 0 without contributions. The query's window must hold the column.
    """
    bucket_id = query.bucket_ids[0]
    query = replace(query, unmerged=False, bucket_ids=(bucket_id,), window=Window())
    whole = merge(parts, query=query, now_unix_ms=now_unix_ms)
    at = int(np.searchsorted(whole.matrix.columns, column_unix_ms))
    found = at < len(whole.matrix.columns) and int(whole.matrix.columns[at]) == column_unix_ms
    row = whole.matrix.catalogue.index.get(bucket_id)
    if row is None or not found:
        return Cell(
            bucket_id, column_unix_ms, query.series, 0, conflict=False, contributions=(), outcomes=whole.outcomes
        )
    value = int(whole.matrix.values[row, at])
    conflict = whole.matrix.conflicts is not None and bool(whole.matrix.conflicts[row, at])
    shares = _shares(parts, query, column_unix_ms, now_unix_ms)
    judged = _judge_writes(shares, value, whole.outcomes) if query.series.is_write else _judge_reads(shares)
    return Cell(
        bucket_id,
        column_unix_ms,
        query.series,
        value,
        conflict=conflict,
        contributions=tuple(map(_contribution, shares, judged, [whole.outcomes[share.leaf] for share in shares])),
        outcomes=whole.outcomes,
    )


def _contribution(share: _Share, judged: tuple[bool, str], leaf: Outcome) -> Contribution:
    counted, reason = judged
    return Contribution(
        leaf.address or "self", leaf.node_id, share.value, *share.identity, counted=counted, reason=reason
    )


def _shares(
    parts: Sequence[Answer | Outcome], query: MatrixQuery, column_unix_ms: int, now_unix_ms: int
) -> list[_Share]:
    prepared, _ = prepare(parts, query, now_unix_ms)
    found: list[_Share] = []
    leaf = 0
    for part in prepared:
        first = leaf
        leaf += len(part.outcomes)
        if part.answer is None or len(part.answer.matrix.catalogue) == 0:
            continue
        matrix = part.answer.matrix
        at = int(np.searchsorted(matrix.columns, column_unix_ms))
        if at == len(matrix.columns) or int(matrix.columns[at]) != column_unix_ms:
            continue
        full = int(matrix.values[0, at])
        if not full:
            found.append(_Share(first, UNKNOWN, 0, 0))
            continue
        every = spread_out(matrix)
        for number in np.flatnonzero(every.columns == at).tolist():
            group, term = (int(part) for part in matrix.identities[every.codes[number]])
            found.append(_Share(first, (group, term), int(every.values[number]), full))
    return found


def _judge_reads(shares: Sequence[_Share]) -> list[tuple[bool, str]]:
    return [
        (True, "summed: every node counts its own reads") if s.value else (False, "no traffic here") for s in shares
    ]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Which of the three terms of max(K, U, F) the cell's value is, and the best share of every identity."""

    largest: dict[tuple[int, int], _Share]
    fullest: _Share
    by_known: bool
    by_unknown: bool


def _judge_writes(shares: Sequence[_Share], value: int, outcomes: Sequence[Outcome]) -> list[tuple[bool, str]]:
    largest: dict[tuple[int, int], _Share] = {}
    for share in shares:
        best = largest.get(share.identity)
        if share.value and (best is None or share.value > best.value):
            largest[share.identity] = share
    known = min(sum(share.value for identity, share in largest.items() if identity != UNKNOWN), 2**64 - 1)
    by_known = known == value
    by_unknown = not by_known and UNKNOWN in largest and largest[UNKNOWN].value == value
    verdict = _Verdict(largest, max(shares, key=lambda share: share.full), by_known, by_unknown)
    return [_judge_write(share, verdict, outcomes) if share.value else (False, "no traffic here") for share in shares]


def _judge_write(share: _Share, verdict: _Verdict, outcomes: Sequence[Outcome]) -> tuple[bool, str]:
    if not verdict.by_known and not verdict.by_unknown:
        if share.leaf == verdict.fullest.leaf:
            return True, "part of the largest count that any one node reports: identities are not all known"
        return False, "not added: an unknown identity may be the same traffic, so the largest full count is shown"
    best = verdict.largest[share.identity]
    counted = share is best and verdict.by_unknown == (share.identity == UNKNOWN)
    if verdict.by_unknown:
        reason = "its identity is unknown: the maximum is shown" if counted else "not added: may be the same traffic"
    elif share.identity == UNKNOWN:
        reason = "not added: its identity is unknown, so it may be the same traffic"
    elif counted:
        reason = "the leader's count under this term"
    else:
        winner = outcomes[best.leaf].node_id or outcomes[best.leaf].address or "self"
        same = share.value == best.value
        reason = f"the same observation as {winner}'s" if same else f"smaller than {winner}'s under the same identity"
    return counted, reason
