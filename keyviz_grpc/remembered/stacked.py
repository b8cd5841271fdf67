"""Columns that were told one by one, as one block: nothing of them is spread over all rows on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keyviz_grpc.model import NO_SHARES, Matrix
from keyviz_grpc.remembered.blocks import Block, Narrow
from keyviz_grpc.remembered.joining import united
from keyviz_grpc.traffic import Busy, Counts


def stacked(blocks: Sequence[Block]) -> Narrow | None:
    """The same as a narrow copy of `joined`, of matrices of one column each; None where there is any other.

    Each says which rows have traffic, and under which leaders all of it is, and nothing besides.
    """
    told = [block for block in blocks if isinstance(block, Matrix) and _is_plain(block)]
    plain = [(matrix, matrix.busy, matrix.busy.runs) for matrix in told if matrix.busy and matrix.busy.runs]
    if not blocks or len(plain) < len(blocks):
        return None
    counts = _counts([busy for _, busy, _ in plain], len(told[0].catalogue))
    identities, remaps = united([matrix.identities for matrix in told])
    codes = np.zeros(counts.shape, np.uint32)
    # Runs tell one column after the other here, row by row, as the cells stand.
    told_codes = [
        (runs.codes if remap is None else remap.take(runs.codes)).repeat(runs.lengths)
        for (_, _, runs), remap in zip(plain, remaps, strict=True)
    ]
    np.place(codes, counts != 0, np.concatenate(told_codes))
    columns = np.concatenate([matrix.columns for matrix in told])
    return Narrow.around(columns, counts.T, codes.T, identities=identities, shares=NO_SHARES)


def _is_plain(matrix: Matrix) -> bool:
    marks = matrix.soft is not None or matrix.conflicts is not None
    return len(matrix.columns) == 1 and not marks and not len(matrix.shares)


def _counts(parts: Sequence[Busy], rows: int) -> Counts:
    """counts[i] are those of all rows of parts[i]."""
    strips = [(number, strip) for number, busy in enumerate(parts) for strip in busy.strips]
    width = np.result_type(np.uint8, *(strip.values.dtype for _, strip in strips))
    counts: Counts = np.zeros((len(parts), rows), width)
    for number, strip in strips:
        counts[number, strip.rows] = strip.values[:, 0]
    return counts
