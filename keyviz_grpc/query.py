"""What a caller asks for, validated once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.model import ALL_KEYS, EVERYTHING, KeyRange, Series, Window

MAX_VIA: Final = 32
"""How many aggregators a question may pass."""


@dataclass(frozen=True, slots=True)
class Known:
    """Says that the caller holds every column of the range asked for that is stamped below `below_unix_ms`.

    As one life (node_id, incarnation) of one node gave them while its history had that number; all are positive.
    """

    node_id: str
    incarnation: int
    history: int
    below_unix_ms: int


@dataclass(frozen=True, slots=True)
class MatrixQuery:
    """One request for a matrix.

    rows: row budget, 0 = every row. via: node ids of the aggregators passed, outermost first. unmerged: an
    aggregator returns each leaf's own answer. bucket_ids: only these rows, empty = all. node_id: only what this
    node says, "" = all. keys: only rows that meet this range, cut after merging and before folding to the budget; an
    aggregator keeps it to itself. exclude: (node_id, incarnation) of leaves that the caller has from elsewhere. known:
    what need not be said again; only a node heeds it. for_display: the answer will not be merged again, so shares and
    the books of who holds which row under which range are left out. without_roles: the caller does not read
    `sample_roles`, which may be left out.
    Hashable, so that identical requests can share one fan-out; hashed once, for each is looked for again and again.
    Raises InvalidRequest for a negative budget.
    """

    series: Series = Series.WRITES
    window: Window = EVERYTHING
    rows: int = 0
    via: tuple[str, ...] = ()
    unmerged: bool = False
    bucket_ids: tuple[str, ...] = ()
    node_id: str = ""
    keys: KeyRange = ALL_KEYS
    exclude: tuple[tuple[str, int], ...] = field(default=())
    known: Known | None = None
    for_display: bool = False
    without_roles: bool = False
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.rows < 0:
            raise InvalidRequest("rows", self.rows, "must not be negative")
        # Of what callers mostly ask differently; equal ones are equal in all of it.
        object.__setattr__(self, "_hash", hash((self.series, self.window, self.rows, self.node_id, self.bucket_ids)))

    def __hash__(self) -> int:
        return self._hash
