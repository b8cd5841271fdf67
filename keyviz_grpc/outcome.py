"""What peers contribute to one request: outcomes, warnings and answers. Values only; nothing here does I/O."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import ON_THE_WIRE, FailureKind, KeyVizError, MalformedAnswer, Translation
from keyviz_grpc.model import Matrix, Series
from keyviz_grpc.unchanging import unchanging


class WarningCode(enum.StrEnum):
    """Conditions that do not stop a merge but that the reader of its result must know."""

    CLOCK_SKEW = "clock_skew"
    SHORT_HISTORY = "short_history"
    CATALOG_DIVERGENCE = "catalog_divergence"
    DUPLICATE_NODE = "duplicate_node"
    DUPLICATE_NODE_ID = "duplicate_node_id"
    ROW_BUDGET_ON_PEER = "row_budget_on_peer"


@dataclass(frozen=True, slots=True, order=True)
class PeerWarning:
    """`bucket_id` is empty for warnings about the whole peer. `detail` is one line for people."""

    code: WarningCode
    bucket_id: str = ""
    detail: str = ""


@unchanging(frozen=True, slots=True)
class Outcome:
    """What one leaf (a node, not an aggregator between) contributed to one request.

    `kind` is None when it is ok. `detail` explains a failure in one line without secrets. Times are unix
    milliseconds, 0 = not stated; `latency_ms` is measured by whoever called the leaf; `step_ms`, `incarnation`,
    `generated_at_unix_ms`, `oldest_unix_ms` and, of hot keys alone, `newest_unix_ms` are what the leaf itself stated.
    """

    address: str
    node_id: str = ""
    kind: FailureKind | None = None
    detail: str = ""
    warnings: tuple[PeerWarning, ...] = ()
    generated_at_unix_ms: int = 0
    latency_ms: float = 0.0
    incarnation: int = 0
    step_ms: int = 0
    oldest_unix_ms: int = 0
    newest_unix_ms: int = 0

    @property
    def ok(self) -> bool:
        """Whether the leaf's data is in the answer, unless a `duplicate_node` warning says that it was left out."""
        return self.kind is None

    @property
    def contributes(self) -> bool:
        """Whether the leaf's data is in the answer: ok, and not left out as a duplicate."""
        if self.kind is not None or not self.warnings:
            return self.kind is None
        return not any(warning.code is WarningCode.DUPLICATE_NODE for warning in self.warnings)

    def warned(self, warnings: tuple[PeerWarning, ...]) -> Outcome:
        """The same with these warnings. By hand, for many are: `replace` takes twice as long."""
        return Outcome(
            self.address,
            self.node_id,
            self.kind,
            self.detail,
            warnings,
            self.generated_at_unix_ms,
            self.latency_ms,
            self.incarnation,
            self.step_ms,
            self.oldest_unix_ms,
            self.newest_unix_ms,
        )


def as_failures(outcomes: Iterable[Outcome], kind: FailureKind, detail: str) -> tuple[Outcome, ...]:
    """Of leaves whose data cannot be used: those that are ok fail for this reason, the others for their own."""
    return tuple(replace(outcome, kind=kind, detail=detail) if outcome.ok else outcome for outcome in outcomes)


@unchanging(frozen=True, slots=True)
class LeafRange:
    """Leaf number `leaf` holds row number `row` under this range, which is not the range that the row shows."""

    row: int
    leaf: int
    start: bytes
    end: bytes


@unchanging(frozen=True, slots=True)
class History:
    """How far a node's columns that were served before still hold.

    Two answers of one life with the same number have equal rows and equal cells in every column that both hold.
    newest_unix_ms: stamp of the newest column held, 0 = none. left_out_below_unix_ms: above 0 when the columns below
    are left out because the query's `known` holds; left_out_columns: how many of the range asked for.
    """

    number: int
    newest_unix_ms: int = 0
    left_out_below_unix_ms: int = 0
    left_out_columns: int = 0


@unchanging(frozen=True, slots=True, eq=False, weakref_slot=True)
class Answer:
    """A matrix and where it comes from: one leaf's own answer, or a merged one; merging is closed over this type.

    outcomes: one a leaf in configured order, at least one; a leaf's own answer has exactly its own.
    column_nodes: int64[C], how many leaves hold any window of the column, 0 = unknown; None = one leaf, all ones.
    leaf_sets, row_leaf_set: leaf_sets[row_leaf_set[i]] are the (ascending) numbers of the leaves that hold row i;
    row_leaf_set None = every leaf that is ok. leaf_ranges: exceptions to the rows' ranges, sorted by (row, leaf).
    step_ms: 0 = not known. node_id and incarnation are those of who answered: the node or the aggregator.
    leaf_answers: only for a request that asked for `unmerged`: (leaf number, its own answer); the matrix is then empty.
    history: only on a node's own answer with every row.
    asked_unix_ms, received_unix_ms: between which moments it was made, by the clock of whoever asked; 0 = nobody says.
    They are not told to anybody else.
    """

    matrix: Matrix
    outcomes: tuple[Outcome, ...]
    node_id: str = ""
    incarnation: int = 0
    step_ms: int = 0
    generated_at_unix_ms: int = 0
    oldest_unix_ms: int = 0
    merged: bool = False
    column_nodes: NDArray[np.int64] | None = None
    leaf_sets: tuple[tuple[int, ...], ...] = ()
    row_leaf_set: NDArray[np.int64] | None = None
    leaf_ranges: tuple[LeafRange, ...] = ()
    leaf_answers: tuple[tuple[int, Answer], ...] = field(default=())
    revision: int = 0
    history: History | None = None
    asked_unix_ms: int = 0
    received_unix_ms: int = 0

    def __post_init__(self) -> None:
        nodes, sets = self.column_nodes, self.row_leaf_set
        if nodes is not None and nodes.shape != (columns := self.matrix.shape[1],):
            raise MalformedAnswer(f"column_nodes has {len(nodes)} entries for {columns} columns")
        if sets is not None and sets.shape != (rows := self.matrix.shape[0],):
            raise MalformedAnswer(f"row_leaf_set has {len(sets)} entries for {rows} rows")

    def between(self, asked_unix_ms: int, received_unix_ms: int) -> Answer:
        """The same answer, made between these moments."""
        return self._like(self.matrix, asked_unix_ms, received_unix_ms)

    def of(self, matrix: Matrix) -> Answer:
        """The same answer with another matrix, which fits what is said of rows and columns."""
        return self._like(matrix, self.asked_unix_ms, self.received_unix_ms)

    def _like(self, matrix: Matrix, asked_unix_ms: int, received_unix_ms: int) -> Answer:
        # By hand, for many are made: `replace` takes twice as long.
        return Answer(
            matrix,
            self.outcomes,
            self.node_id,
            self.incarnation,
            self.step_ms,
            self.generated_at_unix_ms,
            self.oldest_unix_ms,
            self.merged,
            self.column_nodes,
            self.leaf_sets,
            self.row_leaf_set,
            self.leaf_ranges,
            self.leaf_answers,
            self.revision,
            self.history,
            asked_unix_ms,
            received_unix_ms,
        )

    @property
    def cells(self) -> int:
        """Of its own matrix, and of those of the leaves that it carries."""
        own = self.matrix.cells
        return own if not self.leaf_answers else own + sum(leaf.matrix.cells for _, leaf in self.leaf_answers)

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """Its own, and those of the leaves that it carries."""
        own = (self.matrix,)
        return own if not self.leaf_answers else (*own, *(leaf.matrix for _, leaf in self.leaf_answers))

    @property
    def responded(self) -> int:
        """How many leaves contributed."""
        return sum(outcome.ok for outcome in self.outcomes)

    @property
    def degraded(self) -> bool:
        """Whether some leaf did not contribute."""
        return self.responded < len(self.outcomes)


class NoUsablePeers(KeyVizError):
    """Not one peer contributed; `outcomes` says why, for each."""

    def __init__(self, outcomes: tuple[Outcome, ...]) -> None:
        reasons = "; ".join(f"{o.address}: {o.kind} {o.detail}".strip() for o in outcomes[:8])
        more = f"; and {len(outcomes) - 8} more" if len(outcomes) > 8 else ""
        super().__init__(f"no usable peer ({reasons or 'none is configured'}{more})"[:1000])
        self.outcomes = outcomes


NO_PEERS_ON_THE_WIRE: Final = Translation("UNAVAILABLE", 502, "no_peers")
ON_THE_WIRE[NoUsablePeers] = NO_PEERS_ON_THE_WIRE


@dataclass(frozen=True, slots=True)
class Member:
    """A node that somebody knows: its id ("" = not known) and gRPC address."""

    node_id: str
    address: str


@dataclass(frozen=True, slots=True)
class GroupLeader:
    """Who leads a Raft group and under which term, as far as the server knows; node id "" = not known."""

    raft_group_id: int
    leader_node_id: str
    leader_term: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What a server says of itself and of the cluster; `members` leaves the server itself out on nodes."""

    self_: Member
    members: tuple[Member, ...] = ()
    group_leaders: tuple[GroupLeader, ...] = ()
    aggregate_qps: int = 0
    capabilities: tuple[tuple[str, bool], ...] = ()
    incarnation: int = 0
    version: str = ""


@dataclass(frozen=True, slots=True)
class Contribution:
    """One share of one cell as one leaf reported it.

    node is its address (`self` for a local node), raft_group_id and leader_term are 0 where unknown. `counted` tells
    whether it made the cell's value; `reason` says why in plain words.
    """

    node: str
    node_id: str
    value: int
    raft_group_id: int
    leader_term: int
    counted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One merged cell and everything that was reported for it, in configured order of the leaves."""

    bucket_id: str
    column_unix_ms: int
    series: Series
    value: int
    conflict: bool
    contributions: tuple[Contribution, ...]
    outcomes: tuple[Outcome, ...] = ()
