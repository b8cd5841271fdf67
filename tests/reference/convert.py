"""Between the oracle's plain data and the product's types."""

from __future__ import annotations

import numpy as np

from keyviz_grpc.model import Catalogue, Matrix, Row, Series, Shares
from keyviz_grpc.outcome import Answer, Outcome, WarningCode
from tests.reference.oracle import Cell, Identity, Merged, Node, known

STEP_MS = 1000


def answer_of(node: Node, series: Series, *, step_ms: int = STEP_MS) -> Answer:
    """What this node would answer; an empty node_id makes it an older node."""
    order = sorted(node.ranges, key=lambda b: (node.ranges[b][0], node.ranges[b][1] == b"", node.ranges[b][1], b))
    table = sorted({(0, 0)} | {i for shares in node.cells.values() for i in shares if known(i)})
    code = {identity: number for number, identity in enumerate(table)}
    shape = (len(order), len(node.stamps))
    values, codes = np.zeros(shape, np.uint64), np.zeros(shape, np.uint32)
    listed: list[tuple[int, int, int, int]] = []
    for row, bucket in enumerate(order):
        for column, stamp in enumerate(sorted(node.stamps)):
            parts: dict[int, int] = {}
            for identity, value in node.cells.get((bucket, stamp), {}).items():
                if value:
                    number = code.get(identity, 0)
                    parts[number] = parts.get(number, 0) + value
            values[row, column] = sum(parts.values())
            best = max((n for n in parts if n), key=lambda n: (parts[n], table[n][1], table[n][0]), default=0)
            codes[row, column] = best
            if len(parts) > 1:
                listed += [(row, column, number, value) for number, value in sorted(parts.items())]
    columns = np.array([stamp + node.phase_ms for stamp in sorted(node.stamps)], np.int64)
    flat = np.array(listed, np.uint64).reshape(-1, 4)
    shares = Shares(
        flat[:, 0].astype(np.int64), flat[:, 1].astype(np.int64), flat[:, 2].astype(np.uint32), flat[:, 3].copy()
    )
    catalogue = Catalogue(tuple(Row(bucket, *node.ranges[bucket]) for bucket in order))
    if series.is_write:
        matrix = Matrix(series, columns, catalogue, values, np.array(table, np.uint64), codes, shares)
    else:
        matrix = Matrix(series, columns, catalogue, values)
    outcome = Outcome(node.node_id, node_id=node.node_id, incarnation=1, step_ms=step_ms)
    return Answer(matrix, (outcome,), node_id=node.node_id, incarnation=1, step_ms=step_ms)


def told_by(answer: Answer, *, writes: bool) -> Merged:
    """A merged answer in the oracle's words."""
    matrix = answer.matrix
    rows = [row.bucket_id for row in matrix.catalogue.rows]
    stamps = matrix.columns.tolist()
    table = [(int(group), int(term)) for group, term in matrix.identities.tolist()]
    merged = Merged({}, set(), {}, {}, rows, stamps, set())
    listed: dict[Cell, dict[Identity, int]] = {}
    for row, column, number, value in zip(
        matrix.shares.rows, matrix.shares.columns, matrix.shares.codes, matrix.shares.values, strict=True
    ):
        listed.setdefault((rows[row], stamps[column]), {})[table[number]] = int(value)
    for i, bucket in enumerate(rows):
        for j, stamp in enumerate(stamps):
            cell, value = (bucket, stamp), int(matrix.values[i, j])
            merged.values[cell] = value
            if not writes:
                continue
            identity = table[int(matrix.codes[i, j])] if matrix.codes is not None else (0, 0)
            merged.shown[cell] = identity
            merged.shares[cell] = listed.get(cell, {identity: value} if value else {})
            if matrix.conflicts is not None and matrix.conflicts[i, j]:
                merged.conflicts.add(cell)
    for outcome in answer.outcomes:
        for warning in outcome.warnings:
            if warning.code is WarningCode.CATALOG_DIVERGENCE:
                merged.divergences.add((outcome.node_id, warning.bucket_id))
    return merged
