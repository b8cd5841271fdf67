"""Which rows a node shows, in their roles and without; looked for only when they may have become others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from keyviz_grpc.model import Catalogue, Row
from keyviz_grpc.sampler.buckets import Buckets
from keyviz_grpc.sampler.history import HistoryNumber, Layout, ShownRows
from keyviz_grpc.sampler.ring import Ring
from keyviz_grpc.sampler.slots import ReadRole, Visible


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What was visible when somebody last looked, and for which version of the slots it holds."""

    version: int
    visible: Visible
    layout: Layout


@dataclass(slots=True, eq=False)
class _Kind:
    """Rows as callers of one kind were told them last; seen, roles_version: what they were made of."""

    seen: _Seen | None = None
    roles_version: int = -1
    rows: ShownRows | None = None
    history: HistoryNumber = field(default_factory=HistoryNumber)


class Shown:
    """The rows that a node shows, and the numbers of their histories: of both kinds apart.

    Which slots are shown, and as which row, is the same object for both. Not thread-safe.
    """

    def __init__(self, ring: Ring, buckets: Buckets) -> None:
        self._ring, self._buckets, self._slots = ring, buckets, buckets.slots
        self._seen: _Seen | None = None
        self._in_roles, self._plain = _Kind(), _Kind()

    def now(self, read_role: ReadRole, *, roles: bool) -> tuple[ShownRows, int]:
        """(the rows, the number of this state)."""
        kind = self._in_roles if roles else self._plain
        seen = self._current() or self._looked()
        rows = self._told(kind, seen)
        if rows is None:
            visible = seen.visible
            told = self._slots.in_roles(visible, read_role) if roles else [bucket.row for bucket in visible.buckets]
            rows = ShownRows(seen.layout, Catalogue(_by_id(told, seen.layout)))
            if kind.rows is not None and rows.same_as(kind.rows):
                rows = kind.rows
            kind.seen, kind.roles_version, kind.rows = seen, self._slots.roles_version, rows
        return rows, kind.history.now(rows, self._ring.rewrites)

    def are_current(self, *, roles: bool) -> bool:
        """Whether they are as they were told the last time."""
        seen = self._current()
        return seen is not None and self._told(self._in_roles if roles else self._plain, seen) is not None

    def _told(self, kind: _Kind, seen: _Seen) -> ShownRows | None:
        has_roles = kind is self._in_roles
        stays = kind.seen is seen and not (has_roles and kind.roles_version != self._slots.roles_version)
        return kind.rows if stays else None

    def _current(self) -> _Seen | None:
        seen = self._seen
        if seen is None or seen.version != self._slots.version:
            return None
        visible = seen.visible
        return seen if visible.from_unix_ms <= self._ring.oldest_unix_ms <= visible.until_unix_ms else None

    def _looked(self) -> _Seen:
        visible = self._buckets.visible(self._ring.oldest_unix_ms)
        layout = _layout_of(visible)
        if self._seen is not None and layout.same_as(self._seen.layout):
            layout = self._seen.layout
        # The version is asked for now, for to look may make a new one.
        self._seen = _Seen(self._slots.version, visible, layout)
        return self._seen


def _layout_of(visible: Visible) -> Layout:
    ids = [bucket.row.bucket_id for bucket in visible.buckets]
    if len(set(ids)) == len(ids):
        return Layout(visible.slots, np.arange(len(ids)))
    starts = [0, *(n + 1 for n, (before, after) in enumerate(pairwise(ids)) if before != after)]
    return Layout(visible.slots, np.array(starts, np.int64))


def _by_id(rows: list[Row], layout: Layout) -> tuple[Row, ...]:
    if layout.single:
        return tuple(rows)
    return tuple(_as_one(rows[start:end]) for start, end in pairwise([*layout.starts.tolist(), len(rows)]))


def _as_one(rows: Sequence[Row]) -> Row:
    """What neighbours of one id are: as the first of them, in the roles of all."""
    roles = tuple(sorted({role for row in rows for role in row.sample_roles}))
    return rows[0] if roles == rows[0].sample_roles else replace(rows[0], sample_roles=roles)
