"""What a caller asks about hot keys, validated once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.labels import check_label
from keyviz_grpc.model import EVERYTHING, Series, Window

MAX_SLICES: Final = 1 << 20
"""No route is believed to have more slices."""


@dataclass(frozen=True, slots=True)
class HotKeysQuery:
    """One request for the hot keys of a route, or of one of its labels; hashable, so that equal ones share a fan-out.

    series: READS or WRITES. window: stamps of windows, as for a matrix. sub_bucket: only keys of this slice of the
    route, None = all. top: how many keys at most, 0 = every candidate. max_bytes: how many bytes of keys, see
    `within_bytes`, 0 = as many as the server likes. via, node_id, exclude: as in `MatrixQuery`.
    Raises InvalidRequest naming field and value.
    """

    route_id: int
    label: str = ""
    series: Series = Series.WRITES
    window: Window = EVERYTHING
    sub_bucket: int | None = None
    top: int = 0
    max_bytes: int = 0
    via: tuple[str, ...] = ()
    node_id: str = ""
    exclude: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.route_id < 2**64:
            raise InvalidRequest("route_id", self.route_id, "must be a positive 64-bit number")
        check_label(self.label)
        if self.series not in (Series.READS, Series.WRITES):
            problem = "must be reads or writes: hot keys are counted in operations, not in bytes"
            raise InvalidRequest("series", self.series.value, problem)
        if self.top < 0:
            raise InvalidRequest("top", self.top, "must not be negative")
        if self.sub_bucket is not None and not 0 <= self.sub_bucket < MAX_SLICES:
            raise InvalidRequest("sub_bucket", self.sub_bucket, f"must be from 0 to {MAX_SLICES - 1}")
