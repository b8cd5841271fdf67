"""What a node says of its closed windows: the matrix of those that a caller asked for and lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.merge import fold
from keyviz_grpc.merge.parts import select_rows
from keyviz_grpc.model import Catalogue, Matrix
from keyviz_grpc.outcome import Answer, History, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler.assembled import Assembled, State
from keyviz_grpc.sampler.buckets import Buckets
from keyviz_grpc.sampler.history import NO_ROWS, Columns, what_is_left
from keyviz_grpc.sampler.ring import Ring
from keyviz_grpc.sampler.shown import Shown
from keyviz_grpc.sampler.slots import ReadRole


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Where the ring stood, as it says itself."""

    oldest_unix_ms: int
    newest_unix_ms: int
    revision: int


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that an answer is made of, at one moment; none of it is ever written to.

    rows: one for each of the state's layout; number: of their history.
    """

    held: Columns
    state: State
    rows: Catalogue
    number: int
    moment: Moment


class Answers:
    """One node's answers. `snapshot` and `is_quick` are called under the sampler's lock, the rest without it.

    own: the node as an outcome, without times.
    """

    def __init__(self, own: Outcome, ring: Ring, buckets: Buckets, assembled: Assembled) -> None:
        self._own, self._ring, self._assembled = own, ring, assembled
        self._shown = Shown(ring, buckets)

    def snapshot(self, query: MatrixQuery, table: NDArray[np.uint64], read_role: ReadRole) -> Snapshot:
        """What is held now. table: identities by number."""
        ring = self._ring
        held = ring.between(query.window.from_unix_ms, query.window.to_unix_ms)
        shown, number = self._shown.now(read_role, roles=not query.without_roles)
        if query.node_id and query.node_id != self._own.node_id:
            held, shown = [], NO_ROWS
        state = State(shown.layout, ring.rewrites, table)
        moment = Moment(ring.oldest_unix_ms, ring.newest_unix_ms, ring.revision)
        return Snapshot(held, state, shown.catalogue, number, moment)

    def is_quick(self, query: MatrixQuery) -> bool:
        """Whether `snapshot` would find the rows as they were the last time."""
        return self._shown.are_current(roles=not query.without_roles)

    def matrix(self, query: MatrixQuery, snapshot: Snapshot, *, generated_at_unix_ms: int) -> Answer:
        """The answer of that moment, as `Source.matrix` has it."""
        left, history = self._left(query, snapshot)
        matrix = self._assembled.matrix(query.series, left, snapshot.state, snapshot.rows)
        answer = self._answer(matrix, history, snapshot.moment, generated_at_unix_ms)
        return fold(select_rows(answer, query.bucket_ids), query.rows)

    def at_once(self, query: MatrixQuery, snapshot: Snapshot, *, generated_at_unix_ms: int) -> Answer | None:
        """The same, where its matrix is asked for as a whole and was made before, or is made in next to no time."""
        if query.rows or query.bucket_ids:
            return None
        left, history = self._left(query, snapshot)
        matrix = self._assembled.at_once(query.series, left, snapshot.state, snapshot.rows)
        return None if matrix is None else self._answer(matrix, history, snapshot.moment, generated_at_unix_ms)

    def _left(self, query: MatrixQuery, snapshot: Snapshot) -> tuple[Columns, History | None]:
        return what_is_left(
            snapshot.held,
            query,
            node_id=self._own.node_id,
            incarnation=self._own.incarnation,
            number=snapshot.number,
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
