"""What a caller asks for, validated once."""

from __future__ import annotations

from dataclasses import dataclass, field

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.model import EVERYTHING, Series, Window


@dataclass(frozen=True, slots=True)
class MatrixQuery:
    """One request for a matrix.

    rows: row budget, 0 = every row. via: node ids of the aggregators passed, outermost first. unmerged: an
    aggregator returns each leaf's own answer. bucket_ids: only these rows, empty = all. node_id: only what this
    node says, "" = all. exclude: (node_id, incarnation) of leaves that the caller has from elsewhere.
    Hashable, so that identical requests can share one fan-out. Raises InvalidRequest for a negative budget.
    """

    series: Series = Series.WRITES
    window: Window = EVERYTHING
    rows: int = 0
    via: tuple[str, ...] = ()
    unmerged: bool = False
    bucket_ids: tuple[str, ...] = ()
    node_id: str = ""
    exclude: tuple[tuple[str, int], ...] = field(default=())

    def __post_init__(self) -> None:
        if self.rows < 0:
            raise InvalidRequest("rows", self.rows, "must not be negative")
