"""From what peers told to one answer: merged, cut to the keys asked for, and folded to the budget of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from keyviz_grpc.aggregator.effort import is_little
from keyviz_grpc.aggregator.extent import Holdings, within
from keyviz_grpc.merge import fold, merge, select_range
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import MergedColumns, Shelf, Told


class Building:
    """Builds an aggregator's answers; safe to use from several threads. wall_clock: unix seconds.

    node_id, incarnation: the aggregator's own. remembered: where merged columns are kept, None = nothing is.
    """

    def __init__(
        self, *, node_id: str, incarnation: int, wall_clock: Callable[[], float], remembered: Shelf | None
    ) -> None:
        self._own = (node_id, incarnation)
        self._wall_clock = wall_clock
        self._merged = None if remembered is None else MergedColumns(remembered)

    def at_once(self, told: Sequence[Answer | Outcome], query: MatrixQuery, holdings: Holdings) -> Answer | None:
        """The answer where little or nothing is new in it: quick enough for an event loop. Else None."""
        if self._merged is None:
            return None
        now = self._told(query)
        answer = self._merged.again(told, query, now_unix_ms=now["now_unix_ms"])
        if answer is None and (look := self._merged.look(told, query)) is not None:

            def is_quick(newest: Sequence[Answer], query: MatrixQuery) -> bool:
                return is_little(newest, query) and holdings.has_room(look.cells)

            answer = self._merged.at_once(look, is_quick, **now)
        return answer if answer is not None and holdings.has_room(answer.matrix.cells) else None

    def built(self, told: Sequence[Answer | Outcome], query: MatrixQuery, holdings: Holdings) -> Answer:
        """The answer; what there is no room for has become failures."""
        results = told if query.unmerged else within(told, holdings)
        if self._merged is not None and (known := self._merged.merge(results, **self._told(query))) is not None:
            return known
        merged = merge(results, **self._told(query))
        holdings.settle(merged.matrix.cells)
        tangled = merged.step_ms == 0 and query.via and not query.unmerged and len(merged.outcomes) > 1
        # Without any step the leaves cannot be aligned here; the aggregator above may know one.
        if tangled:
            return merge(results, **self._told(replace(query, unmerged=True)))
        return fold(select_range(merged, query.keys), query.rows, shares=not query.for_display)

    def forget(self) -> None:
        """Gives back what is remembered."""
        if self._merged is not None:
            self._merged.forget()

    def _told(self, query: MatrixQuery) -> Told:
        node_id, incarnation = self._own
        now = int(self._wall_clock() * 1000)
        return {"query": query, "now_unix_ms": now, "node_id": node_id, "incarnation": incarnation}
