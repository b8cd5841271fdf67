"""What is remembered of who leaves whom out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from keyviz_grpc.aggregator.left_out import FIRST_ROUND_SHARE, LeftOut
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import duplicate_leaves, merge
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from tests.reference.convert import answer_of
from tests.reference.oracle import Node


def node(name: str, life: int) -> Answer:
    """One process of a node."""
    own = answer_of(Node(name, {"route:1": (b"", b"")}, [1000]), Series.READS)
    return replace(own, incarnation=life, outcomes=(replace(own.outcomes[0], incarnation=life),))


@dataclass
class Below:
    """An aggregator over two nodes that does what it is told."""

    address: str = "below:1"
    life: int = 1
    asked: list[tuple[tuple[str, int], ...]] = field(default_factory=list)

    def answer(self, without: tuple[tuple[str, int], ...]) -> Answer:
        """Without those."""
        self.asked.append(without)
        query = MatrixQuery(Series.READS, exclude=without)
        return merge([node("n1", self.life), node("n2", 1)], query=query, now_unix_ms=1000, node_id="low")


async def test_lives_that_are_over_are_not_left_out_for_ever() -> None:
    """However often a node restarts, one of its lives is remembered; nothing is asked twice without a reason."""
    below, left_out = Below(), LeftOut[Below, Answer](duplicate_leaves)

    async def ask(peer: Below) -> Answer | Outcome:
        return peer.answer(left_out.of(peer.address))

    for life in range(1, 5):
        below.life = life
        for _ in range(3):
            answers: list[Answer | Outcome] = [node("n1", life), await ask(below)]
            await left_out.settle(answers, {1: below}, ask)
            assert left_out.of("below:1") == (("n1", life),)
            assert [outcome.contributes for outcome in answers[1].outcomes] == [False, True]  # type: ignore[union-attr]
    assert len(below.asked) == 4 * 3 + 1 + 3 * 2
    lost = Outcome("below:1", kind=FailureKind.UNREACHABLE)
    await left_out.settle([node("n1", 4), lost], {1: below}, ask)
    assert left_out.of("below:1") == (("n1", 4),)
    alone: list[Answer | Outcome] = [Outcome("n1:1", kind=FailureKind.UNREACHABLE), await ask(below)]
    await left_out.settle(alone, {1: below}, ask)
    assert left_out.of("below:1") == ()


async def test_an_answer_without_somebody_is_better_than_none() -> None:
    """Where there is no time to ask again; then the next request does."""
    below, left_out = Below(), LeftOut[Below, Answer](duplicate_leaves)

    async def ask(peer: Below) -> Answer | Outcome:
        return peer.answer(left_out.of(peer.address))

    await left_out.settle([node("n1", 1), await ask(below)], {1: below}, ask)
    lost: list[Answer | Outcome] = [Outcome("n1:1", kind=FailureKind.DEADLINE_EXCEEDED), await ask(below)]

    async def too_late(peer: Below) -> Answer | Outcome:
        return Outcome(peer.address, kind=FailureKind.DEADLINE_EXCEEDED)

    kept = lost[1]
    await left_out.settle(lost, {1: below}, too_late)
    assert lost[1] is kept
    await left_out.settle(lost, {1: below}, ask)
    assert [outcome.contributes for outcome in lost[1].outcomes] == [True, True]  # type: ignore[union-attr]


def test_time_is_left_for_asking_again_where_it_may_be_needed() -> None:
    """And only there."""
    left_out = LeftOut[Below, Answer](duplicate_leaves)
    whole = Deadline(10.0, lambda: 0.0)
    assert left_out.first_round(whole, [Below()]) is whole
    left_out._remember("below:1", (("n1", 1),))
    assert left_out.first_round(whole, [Below("other:1"), Below()]).at_s == FIRST_ROUND_SHARE * 10
