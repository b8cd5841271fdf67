"""Polls in which nothing but the moment is another: their answer is that of merging, and nothing is merged for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from gateway.matrix_body import MatrixRenderer
from keyviz_grpc.aggregator.building import Building
from keyviz_grpc.aggregator.extent import Holdings
from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import fold, merge, select_range
from keyviz_grpc.model import KeyRange, Matrix, Window
from keyviz_grpc.outcome import Answer, History, Outcome, PeerWarning, WarningCode
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import NodeColumns, Shelf, merged

ROWS, COLUMNS, NUMBER = 30, 8, 7
QUERY = MatrixQuery(rows=1024, for_display=True)


@dataclass(frozen=True, slots=True)
class Node:
    """One that has told all of its columns; from then on it leaves them out. address: it listens there."""

    address: str
    whole: Answer
    told: NodeColumns = field(default_factory=lambda: NodeColumns(Shelf(1 << 24)))

    def tell(self, query: MatrixQuery, *, at_unix_ms: int, latency_ms: float = 1.0, **changed: Any) -> Answer:
        """What it says at that moment of all its rows, put together from what is known of it."""
        query = MatrixQuery(query.series, query.window)
        recalled = self.told.recall(query)
        newest = int(self.whole.matrix.columns[-1])
        outcome = replace(self.whole.outcomes[0], address=self.address, generated_at_unix_ms=at_unix_ms)
        answer = replace(
            self.whole,
            outcomes=(replace(outcome, latency_ms=latency_ms, oldest_unix_ms=self.whole.oldest_unix_ms),),
            generated_at_unix_ms=at_unix_ms,
            history=History(NUMBER, newest),
            **changed,
        )
        if recalled.held is not None:
            columns, catalogue = answer.matrix.columns, answer.matrix.catalogue
            none = Matrix(query.series, columns[:0], catalogue, np.zeros((len(catalogue), 0), np.uint64))
            left_out = History(NUMBER, newest, newest + 1, len(columns[query.window.bounds(columns)]))
            answer = replace(answer, matrix=none, history=left_out)
        return recalled.whole(answer, 100)


@dataclass(frozen=True, slots=True)
class Polled:
    """Two nodes, and a gateway that has had their answers three times: in full, without the columns, and once more."""

    nodes: tuple[Node, ...]
    memory: Building
    moment: int

    @classmethod
    def of(cls, query: MatrixQuery, *, skew_ms: int = 0) -> Polled:
        """All at one moment. skew_ms: by so much a clock was off in the last of these polls."""
        nodes = tuple(Node(f"10.0.0.{n}:1", answer) for n, answer in enumerate(cluster(Shape(2, ROWS, COLUMNS))))
        moment = int(nodes[0].whole.matrix.columns[-1])
        shelf, clock = Shelf(1 << 24), [moment]
        memory = Building(node_id="gw", incarnation=3, wall_clock=lambda: clock[0] / 1000, remembered=shelf)
        polled = cls(nodes, memory, moment)
        polled.memory.built(polled.tell(query, moment), query, room())
        polled.memory.built(polled.tell(query, moment), query, room())
        clock[0] += skew_ms
        assert polled.memory.at_once(polled.tell(query, moment), query, room()) is not None
        clock[0] = moment + 1000
        return polled

    def tell(self, query: MatrixQuery, at_unix_ms: int, **changed: Any) -> list[Answer | Outcome]:
        """What both say."""
        return [node.tell(query, at_unix_ms=at_unix_ms, **changed) for node in self.nodes]


def room() -> Holdings:
    """More than enough."""
    return Holdings(BytesBudget(1 << 30))


def by_merging(results: Sequence[Answer | Outcome], query: MatrixQuery, now_unix_ms: int) -> bytes:
    """The body without memory."""
    made = merge(results, query=query, now_unix_ms=now_unix_ms, node_id="gw", incarnation=3)
    return MatrixRenderer().render(fold(select_range(made, query.keys), query.rows))


def count_merges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of those in this memory from now on, one each."""
    merges: list[int] = []

    def counted(*parts: Any, **told: Any) -> Answer:
        merges.append(1)
        return merge(*parts, **told)

    monkeypatch.setattr(merged, "merge", counted)
    return merges


@pytest.mark.parametrize(
    "query",
    [
        QUERY,
        replace(QUERY, rows=7),
        replace(QUERY, rows=9, keys=KeyRange(b"\x20", b"\x60")),
        replace(QUERY, window=Window(1)),
        MatrixQuery(),
    ],
    ids=["all", "folded", "cut", "short history", "with books"],
)
def test_the_next_moment_is_told_as_merging_tells_it(query: MatrixQuery, monkeypatch: pytest.MonkeyPatch) -> None:
    """With times and latencies of its own, and all warnings; nothing is merged for it."""
    polled, merges = Polled.of(query), count_merges(monkeypatch)
    now = polled.moment + 1000
    results = polled.tell(query, now - 3, latency_ms=7.5, revision=5)
    answer = polled.memory.at_once(results, query, room())
    assert answer is not None
    assert not merges
    assert MatrixRenderer().render(answer) == by_merging(results, query, now)
    assert (answer.generated_at_unix_ms, answer.revision) == (now, 10)


@pytest.mark.parametrize("skew_ms", [0, 10_000_000], ids=["now", "in the poll before"])
def test_a_clock_that_is_off_is_told(skew_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that was is not told any more."""
    polled, merges = Polled.of(QUERY, skew_ms=skew_ms), count_merges(monkeypatch)
    now = polled.moment + 1000
    results = polled.tell(QUERY, now if skew_ms else now - 10_000_000)
    answer = polled.memory.at_once(results, QUERY, room())
    assert answer is not None
    assert merges
    assert MatrixRenderer().render(answer) == by_merging(results, QUERY, now)
    codes = {warning.code for outcome in answer.outcomes for warning in outcome.warnings}
    assert (WarningCode.CLOCK_SKEW in codes) == (not skew_ms)


def test_whoever_fails_is_missing() -> None:
    """However often nothing was new before."""
    polled = Polled.of(QUERY)
    first, second = polled.tell(QUERY, polled.moment)
    failed = Outcome("10.0.0.0:1", kind=FailureKind.UNREACHABLE)
    for results in ([failed, second], [first, failed], [first], [second], [first, second, failed]):
        assert polled.memory.at_once(results, QUERY, room()) is None


@pytest.mark.parametrize("changed", [{"step_ms": 30_000}, {"oldest_unix_ms": 1}, {"address": "10.0.0.9:1"}], ids=str)
def test_a_node_that_says_anything_else_is_merged_anew(
    changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its step, its oldest column, another place; and nodes that come in another order."""
    polled, merges = Polled.of(QUERY), count_merges(monkeypatch)
    results = polled.tell(QUERY, polled.moment)
    other = results[0]
    assert isinstance(other, Answer)
    outcome = replace(other.outcomes[0], **changed)
    of_answer = {name: value for name, value in changed.items() if name != "address"}
    results[0] = replace(other, outcomes=(outcome,), **of_answer)
    answer = polled.memory.at_once(results, QUERY, room())
    if answer is not None:
        assert merges
        assert MatrixRenderer().render(answer) == by_merging(results, QUERY, polled.moment + 1000)


def test_what_an_answer_warns_of_itself_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is in a merge."""
    polled, merges = Polled.of(QUERY), count_merges(monkeypatch)
    results = polled.tell(QUERY, polled.moment)
    warned = results[0]
    assert isinstance(warned, Answer)
    warning = PeerWarning(WarningCode.ROW_BUDGET_ON_PEER, "", "few rows")
    results[0] = replace(warned, outcomes=(warned.outcomes[0].warned((warning,)),))
    answer = polled.memory.at_once(results, QUERY, room())
    assert answer is not None
    assert merges
    assert warning in answer.outcomes[0].warnings


def test_another_question_is_another_answer() -> None:
    """Of the same columns: what was found for the last one is not its."""
    polled, other = Polled.of(QUERY), replace(QUERY, rows=7)
    results = polled.tell(other, polled.moment)
    assert polled.memory.at_once(results, other, room()) is None
    polled.memory.built(results, other, room())
    for _ in range(2):
        answer = polled.memory.at_once(results, other, room())
        assert answer is not None
        assert MatrixRenderer().render(answer) == by_merging(results, other, polled.moment + 1000)


def test_what_is_told_in_full_again_is_merged_anew() -> None:
    """Nothing is known of such a node any more: it may have lived anew."""
    polled = Polled.of(QUERY)
    polled.nodes[0].told.forget()
    assert polled.memory.at_once(polled.tell(QUERY, polled.moment), QUERY, room()) is None


def test_equal_stamps_of_another_life_are_others() -> None:
    """What is known of a node is told apart by the object: a restart leaves the stamps as they are."""
    polled = Polled.of(QUERY)
    node = polled.nodes[0]
    before, again = (node.tell(QUERY, at_unix_ms=polled.moment).matrix.columns for _ in range(2))
    assert before is again
    node.told.forget()
    node.tell(QUERY, at_unix_ms=polled.moment)
    assert node.tell(QUERY, at_unix_ms=polled.moment).matrix.columns is not before
