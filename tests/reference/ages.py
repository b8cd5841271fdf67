"""Answers as an existing node would have given them, and answers as the oracle's plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from keyviz_grpc.model import Series, Shares
from keyviz_grpc.outcome import Answer, Outcome
from tests.reference.oracle import Cell, Identity, Node


def newest(answers: Sequence[Answer]) -> dict[Cell, Identity]:
    """The newest identity that anyone counted under, cell by cell: what every node knows when the window closes."""
    found: dict[Cell, Identity] = {}
    for answer in answers:
        for cell, shares in node_of(answer).cells.items():
            for identity in shares:
                found[cell] = max(found.get(cell, (0, 0)), identity, key=lambda one: (one[1], one[0]))
    return found


def as_old(answer: Answer, address: str, at_close: Mapping[Cell, Identity], *, phase_ms: int = 0) -> Answer:
    """No node id, no step, no shares, stamps off the grid: one identity a cell, the one known at the window's close."""
    matrix = answer.matrix
    table = sorted({(0, 0), *at_close.values()})
    codes = np.zeros(matrix.shape, np.uint32)
    if matrix.series.is_write:
        for number, row in enumerate(matrix.catalogue.rows):
            for column, stamp in enumerate(matrix.columns.tolist()):
                if matrix.values[number, column]:
                    codes[number, column] = table.index(at_close.get((row.bucket_id, stamp), (0, 0)))
    none = np.empty(0, np.int64)
    old = replace(
        matrix,
        identities=np.array(table, np.uint64).reshape(-1, 2) if matrix.series.is_write else matrix.identities,
        codes=codes if matrix.series.is_write else None,
        shares=Shares(none, none, none.astype(np.uint32), none.astype(np.uint64)),
        columns=matrix.columns + phase_ms,
    )
    return replace(answer, matrix=old, outcomes=(Outcome(address),), node_id="", incarnation=0, step_ms=0)


def node_of(answer: Answer) -> Node:
    """One node's answer for the oracle; its stamps must be on the grid."""
    matrix = answer.matrix
    rows = [row.bucket_id for row in matrix.catalogue.rows]
    stamps = [int(stamp) for stamp in matrix.columns]
    table: list[Identity] = [(int(group), int(term)) for group, term in matrix.identities]
    cells: dict[Cell, dict[Identity, int]] = {}
    for row, column in zip(*np.nonzero(matrix.values), strict=True):
        known = matrix.codes is not None and matrix.series in (Series.WRITES, Series.WRITE_BYTES)
        identity = table[int(matrix.codes[row, column])] if known and matrix.codes is not None else (0, 0)
        cells[rows[row], stamps[column]] = {identity: int(matrix.values[row, column])}
    listed: dict[Cell, dict[Identity, int]] = {}
    shares = matrix.shares
    for row, column, code, value in zip(shares.rows, shares.columns, shares.codes, shares.values, strict=True):
        listed.setdefault((rows[row], stamps[column]), {})[table[int(code)]] = int(value)
    ranges = {row.bucket_id: (row.start, row.end) for row in matrix.catalogue.rows}
    return Node(answer.node_id, ranges, stamps, cells | listed)
