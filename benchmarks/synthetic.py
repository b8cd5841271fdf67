"""Seeded clusters of any size: what each node would answer, with the trouble that real clusters have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Catalogue, Matrix, Row, Series, Shares
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb

STEP_MS = 60_000
FIRST_STAMP_UNIX_MS = 1_790_000_040_000 // STEP_MS * STEP_MS
FIRST_INCARNATION = FIRST_STAMP_UNIX_MS - 3_600_000
KEY_BYTES = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """nodes x rows x columns, and what is wrong with the cluster.

    flips: every tenth row changes its leader inside the window, so that one column holds two shares.
    conflict_share: the part of non-zero cells that a second node reports differently under the same identity.
    divergent: every node lacks a few rows, and holds a few under another end.
    traffic: "zipf" (most rows rarely hit), "dense" (every cell, wide values) or "idle" (zeros).
    """

    nodes: int
    rows: int
    columns: int
    series: Series = Series.WRITES
    flips: bool = True
    conflict_share: float = 0.02
    divergent: bool = True
    traffic: str = "zipf"
    seed: int = 1

    @classmethod
    def from_plain(cls, told: dict[str, Any]) -> Shape:
        """Of what `dataclasses.asdict` gave, after a way through JSON."""
        return cls(**{**told, "series": Series(told["series"])})

    @property
    def name(self) -> str:
        """As the table of results calls it."""
        return f"{self.nodes} x {self.rows} x {self.columns}"


@dataclass(frozen=True, slots=True)
class _Truth:
    values: NDArray[np.uint64]
    groups: NDArray[np.uint64]
    terms: NDArray[np.uint64]
    leaders: NDArray[np.int64]
    flip_columns: NDArray[np.int64]


def cluster(shape: Shape, *, now_unix_ms: int = 0, only: Sequence[int] | None = None) -> list[Answer]:
    """Every node's own answer, or that of the nodes of some numbers, in order.

    The newest column ends at `now_unix_ms` (0: at a fixed moment).
    """
    truth = _truth(shape, np.random.default_rng(shape.seed))
    last = now_unix_ms // STEP_MS * STEP_MS if now_unix_ms else FIRST_STAMP_UNIX_MS + shape.columns * STEP_MS
    columns = last - STEP_MS * np.arange(shape.columns - 1, -1, -1, dtype=np.int64)
    return [_answer(shape, truth, node, columns) for node in (range(shape.nodes) if only is None else only)]


def _truth(shape: Shape, rng: np.random.Generator) -> _Truth:
    size = (shape.rows, shape.columns)
    if shape.traffic == "zipf":
        rates = 20_000.0 / np.arange(1, shape.rows + 1) ** 1.1
        values = rng.poisson(np.broadcast_to(rng.permutation(rates)[:, None], size))
    elif shape.traffic == "dense":
        values = rng.integers(1, 1 << 40, size)
    else:
        values = np.zeros(size, np.int64)
    groups = np.arange(1, shape.rows + 1, dtype=np.uint64)
    terms = np.broadcast_to(rng.integers(1, 50, shape.rows)[:, None], size).astype(np.uint64)
    leaders = np.broadcast_to((np.arange(shape.rows) % shape.nodes)[:, None], size).copy()
    flip_columns = np.full(shape.rows, -1, np.int64)
    if shape.flips and shape.series.is_write:
        flip_columns[::10] = rng.integers(1, max(2, shape.columns - 1), len(flip_columns[::10]))
        later = (np.arange(shape.columns) >= flip_columns[:, None]) & (flip_columns[:, None] >= 0)
        terms[later] += np.uint64(1)
        leaders[later] = (leaders[later] + 1) % shape.nodes
    return _Truth(values.astype(np.uint64), groups, terms, leaders, flip_columns)


def _catalogue(shape: Shape, node: int) -> tuple[Catalogue, NDArray[np.int64]]:
    width = (1 << (8 * KEY_BYTES - 1)) // shape.rows
    bounds = [(number * width).to_bytes(KEY_BYTES, "big") for number in range(shape.rows)] + [b""]
    bounds[0] = b""
    numbers = [n for n in range(shape.rows) if not (shape.divergent and shape.nodes > 1 and n % 97 == node * 7 + 3)]
    rows = []
    for number in numbers:
        end = bounds[number + 1]
        if shape.divergent and node and end and number % 211 == node:
            end += b"\x00"
        rows.append(Row(f"route:{number + 1}", bounds[number], end, sample_roles=(1, 3)))
    return Catalogue(tuple(rows)), np.array(numbers, np.int64)


def _answer(shape: Shape, truth: _Truth, node: int, columns: NDArray[np.int64]) -> Answer:
    catalogue, numbers = _catalogue(shape, node)
    if shape.series.is_write:
        matrix = _write_matrix(shape, truth, node, columns=columns, catalogue=catalogue, numbers=numbers)
    else:
        values = (truth.values[numbers] * np.uint64(node + 1)) // np.uint64(shape.nodes)
        matrix = Matrix(shape.series, columns, catalogue, values)
    last = int(columns[-1])
    incarnation, node_id = FIRST_INCARNATION + node, f"n{node + 1}"
    outcome = Outcome(
        address="",
        node_id=node_id,
        incarnation=incarnation,
        step_ms=STEP_MS,
        generated_at_unix_ms=last,
        oldest_unix_ms=int(columns[0]),
    )
    return Answer(
        matrix,
        (outcome,),
        node_id=node_id,
        incarnation=incarnation,
        step_ms=STEP_MS,
        generated_at_unix_ms=last,
        oldest_unix_ms=int(columns[0]),
    )


def _write_matrix(
    shape: Shape,
    truth: _Truth,
    node: int,
    *,
    columns: NDArray[np.int64],
    catalogue: Catalogue,
    numbers: NDArray[np.int64],
) -> Matrix:
    # In the column of a flip the old and the new leader counted a half each; with one node it holds both as shares.
    values = np.where(truth.leaders[numbers] == node, truth.values[numbers], np.uint64(0))
    terms = truth.terms[numbers].copy()
    flips = truth.flip_columns[numbers]
    flipped = np.flatnonzero(flips >= 0)
    at = flips[flipped]
    halves = truth.values[numbers[flipped], at] // np.uint64(2)
    old = truth.leaders[numbers[flipped], at - 1] == node
    new = truth.leaders[numbers[flipped], at] == node
    values[flipped[new], at[new]] -= halves[new]
    values[flipped[old], at[old]] += halves[old]
    only_old = old & ~new
    terms[flipped[only_old], at[only_old]] -= np.uint64(1)

    rng = np.random.default_rng(shape.seed * 1_000 + node)
    stale = (rng.random(values.shape) < shape.conflict_share) & (truth.leaders[numbers] == (node + 1) % shape.nodes)
    if shape.nodes > 1:
        values = np.where(stale, truth.values[numbers] // np.uint64(3), values)

    groups = truth.groups[numbers]
    span = np.uint64(1 << 32)
    keys = np.where(values > 0, groups[:, None] * span + terms, np.uint64(0))
    both = flipped[old & new & (halves > 0)]
    both_at, both_halves = flips[both], halves[old & new & (halves > 0)]
    old_keys = groups[both] * span + terms[both, both_at] - np.uint64(1)
    table, inverse = np.unique(np.concatenate([np.zeros(1, np.uint64), keys.ravel(), old_keys]), return_inverse=True)
    codes = inverse.astype(np.uint32)
    cell_codes = codes[1 : 1 + keys.size].reshape(keys.shape).copy()
    shares = Shares(
        np.repeat(both, 2),
        np.repeat(both_at, 2),
        np.column_stack([codes[1 + keys.size :], cell_codes[both, both_at]]).ravel(),
        np.column_stack([both_halves, values[both, both_at] - both_halves]).ravel(),
    )
    identities = np.column_stack([table // span, table % span])
    return Matrix(shape.series, columns, catalogue, np.ascontiguousarray(values), identities, cell_codes, shares)


def without_extensions(message: pb.GetKeyVizMatrixResponse) -> pb.GetKeyVizMatrixResponse:
    """The answer of a node that knows only fields 1 to 15."""
    return pb.GetKeyVizMatrixResponse(column_unix_ms=message.column_unix_ms, rows=message.rows)
