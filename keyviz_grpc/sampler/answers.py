"""What a node says of its closed windows: the matrix of those that a caller asked for and lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge import fold
from keyviz_grpc.merge.parts import select_rows
from keyviz_grpc.model import Catalogue, Matrix, Row
from keyviz_grpc.outcome import Answer, History, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler.assembled import Assembled, State
from keyviz_grpc.sampler.buckets import Buckets
from keyviz_grpc.sampler.history import Columns, HistoryNumber, ShownRows, what_is_left
from keyviz_grpc.sampler.ring import Ring
from keyviz_grpc.sampler.slots import ReadRole, Visible


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Where the ring stood, as it says itself."""

    oldest_unix_ms: int
    newest_unix_ms: int
    revision: int


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that an answer is made of, at one moment; none of it is ever written to."""

    held: Columns
    state: State
    moment: Moment


class Answers:
    """One node's answers. `snapshot` and `is_quick` are called under the sampler's lock, the rest without it.

    own: the node as an outcome, without times.
    """

    def __init__(self, own: Outcome, ring: Ring, buckets: Buckets, assembled: Assembled) -> None:
        self._own, self._ring, self._assembled = own, ring, assembled
        self._rows, self._plain_rows = (Rows(ring, buckets, roles=roles) for roles in (True, False))

    def snapshot(self, query: MatrixQuery, table: NDArray[np.uint64], read_role: ReadRole) -> Snapshot:
        """What is held now. table: identities by number."""
        held = self._ring.between(query.window.from_unix_ms, query.window.to_unix_ms)
        shown, number = self._rows_for(query).now(read_role)
        if query.node_id and query.node_id != self._own.node_id:
            held, shown = [], ShownRows(shown.slots[:0], shown.starts[:0], Catalogue(()))
        ring = self._ring
        state = State(number, shown, table)
        return Snapshot(held, state, Moment(ring.oldest_unix_ms, ring.newest_unix_ms, ring.revision))

    def is_quick(self, query: MatrixQuery) -> bool:
        """Whether `snapshot` would find the rows as they were the last time."""
        return self._rows_for(query).are_current

    def _rows_for(self, query: MatrixQuery) -> Rows:
        return self._plain_rows if query.without_roles else self._rows

    def matrix(self, query: MatrixQuery, snapshot: Snapshot, *, generated_at_unix_ms: int) -> Answer:
        """The answer of that moment, as `Source.matrix` has it."""
        left, history = self._left(query, snapshot)
        matrix = self._assembled.matrix(query.series, left, snapshot.state)
        answer = self._answer(matrix, history, snapshot.moment, generated_at_unix_ms)
        return fold(select_rows(answer, query.bucket_ids), query.rows)

    def at_once(self, query: MatrixQuery, snapshot: Snapshot, *, generated_at_unix_ms: int) -> Answer | None:
        """The same, where its matrix is asked for as a whole and was made before, or is made in next to no time."""
        if query.rows or query.bucket_ids:
            return None
        left, history = self._left(query, snapshot)
        matrix = self._assembled.at_once(query.series, left, snapshot.state)
        return None if matrix is None else self._answer(matrix, history, snapshot.moment, generated_at_unix_ms)

    def _left(self, query: MatrixQuery, snapshot: Snapshot) -> tuple[Columns, History | None]:
        return what_is_left(
            snapshot.held,
            query,
            node_id=self._own.node_id,
            incarnation=self._own.incarnation,
            number=snapshot.state.number,
            newest_unix_ms=snapshot.moment.newest_unix_ms,
        )

    def _answer(self, matrix: Matrix, history: History | None, moment: Moment, generated_at_unix_ms: int) -> Answer:
        own = self._own
        outcome = Outcome(
            "",
            node_id=own.node_id,
            incarnation=own.incarnation,
            step_ms=own.step_ms,
            generated_at_unix_ms=generated_at_unix_ms,
            oldest_unix_ms=moment.oldest_unix_ms,
        )
        return Answer(
            matrix,
            (outcome,),
            node_id=own.node_id,
            incarnation=own.incarnation,
            step_ms=own.step_ms,
            generated_at_unix_ms=generated_at_unix_ms,
            oldest_unix_ms=moment.oldest_unix_ms,
            revision=moment.revision,
            history=history,
        )


class Rows:
    """The rows that a node shows, with roles or without, and the number of their history."""

    def __init__(self, ring: Ring, buckets: Buckets, *, roles: bool) -> None:
        self._ring, self._buckets, self._roles = ring, buckets, roles
        self._last: _Last | None = None
        self._history = HistoryNumber()

    def now(self, read_role: ReadRole) -> tuple[ShownRows, int]:
        """(the rows, the number of this state)."""
        last = self._current() or self._looked(read_role)
        return last.shown, self._history.now(last.shown, self._ring.rewrites)

    @property
    def are_current(self) -> bool:
        """Whether they are as they were looked for the last time."""
        return self._current() is not None

    def _current(self) -> _Last | None:
        last = self._last
        if last is None or last.version != self._version:
            return None
        return last if last.from_unix_ms <= self._ring.oldest_unix_ms <= last.until_unix_ms else None

    @property
    def _version(self) -> int:
        slots = self._buckets.slots
        return slots.version + slots.roles_version if self._roles else slots.version

    def _looked(self, read_role: ReadRole) -> _Last:
        visible = self._buckets.visible(self._ring.oldest_unix_ms, read_role if self._roles else None)
        shown = _shown(visible)
        if self._last is not None and shown.same_as(self._last.shown):
            shown = self._last.shown
        # The version is asked for now, for to look may make a new one.
        self._last = _Last(self._version, visible.from_unix_ms, visible.until_unix_ms, shown)
        return self._last


@dataclass(frozen=True, slots=True, eq=False)
class _Last:
    """Rows as they were looked for the last time, and for which version and oldest column they hold."""

    version: int
    from_unix_ms: int
    until_unix_ms: int
    shown: ShownRows


def _shown(visible: Visible) -> ShownRows:
    rows = visible.rows
    starts = [0, *(n + 1 for n, (a, b) in enumerate(pairwise(rows)) if a.bucket_id != b.bucket_id)] if rows else []
    if len(starts) < len(rows):
        rows = [_as_one(rows[start:end]) for start, end in pairwise([*starts, len(rows)])]
    return ShownRows(visible.slots, np.array(starts, np.int64), Catalogue(tuple(rows)))


def _as_one(rows: Sequence[Row]) -> Row:
    """What neighbours of one id are: as the first of them, in the roles of all."""
    roles = tuple(sorted({role for row in rows for role in row.sample_roles}))
    return rows[0] if roles == rows[0].sample_roles else replace(rows[0], sample_roles=roles)
