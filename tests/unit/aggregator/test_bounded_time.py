"""How long a whole fan-out takes whatever its peers do, exactly, on a clock that only moves while everybody waits."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from benchmarks.synthetic import FIRST_STAMP_UNIX_MS, Shape, cluster
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.aggregator.extent import Holdings, within
from keyviz_grpc.aggregator.turns import GRACE_S
from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import NOT_IN_TIME, Deadline
from keyviz_grpc.errors import FailureKind, HotKeysDisabled, Overloaded
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, Member, NoUsablePeers, Outcome, Overview, WarningCode
from keyviz_grpc.query import MatrixQuery

Reply = TypeVar("Reply", Answer, Overview)

ANSWERS = cluster(Shape(2, 10, 5, conflict_share=0.0, divergent=False))


class Leaping(selectors.DefaultSelector):
    """Nobody waits: where a loop would sleep until a timer, its time is that of the timer at once."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Waits only for threads, which have no timer."""
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self.now_s += timeout
        return ready


def on_a_clock_of_its_own(work: Callable[[Callable[[], float]], Awaitable[None]]) -> None:
    """Runs it in a loop whose time leaps; it gets the clock."""
    leaping = Leaping()
    loop = asyncio.SelectorEventLoop(leaping)
    loop.time = lambda: leaping.now_s  # type: ignore[method-assign]
    try:
        loop.run_until_complete(work(loop.time))
    finally:
        loop.close()


@dataclass
class Scripted:
    """A peer. after_s: when it answers; None = never, whatever its deadline. keeps: gives up at its deadline."""

    address: str
    after_s: float | None
    answer: Answer = ANSWERS[0]
    keeps: bool = True

    async def matrix(self, query: MatrixQuery, deadline: Deadline, budget: BytesBudget) -> Answer | Outcome:
        """As scripted."""
        del query, budget
        return await self._said(self.answer, deadline)

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview | Outcome:
        """As scripted."""
        del via
        return await self._said(Overview(Member(self.address, "")), deadline)

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline, budget: BytesBudget) -> HotKeysAnswer | Outcome:
        """As scripted, and then that they are off."""
        del query, budget
        await self._said(self.answer, deadline)
        return Outcome(self.address, kind=FailureKind.DISABLED, detail="hotkeys_disabled")

    async def _said(self, reply: Reply, deadline: Deadline) -> Reply | Outcome:
        if self.keeps and (self.after_s is None or self.after_s > deadline.left_s()):
            await asyncio.sleep(deadline.left_s())
            return Outcome(self.address, kind=FailureKind.DEADLINE_EXCEEDED, detail=NOT_IN_TIME)
        if self.after_s is None:
            await asyncio.Event().wait()
        await asyncio.sleep(self.after_s or 0.0)
        return reply


@dataclass
class Fixed:
    """A membership that stays as it is."""

    members: Sequence[Scripted]

    async def peers(self, deadline: Deadline) -> Sequence[Scripted]:
        """All."""
        del deadline
        return self.members

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """Nothing is learned."""

    async def close(self) -> None:
        """Nothing is held."""


WELL, OTHER = Scripted("well", 0.1), Scripted("other", 1.5, ANSWERS[1])
FROZEN, DEAF = Scripted("frozen", None), Scripted("deaf", None, keeps=False)


@pytest.mark.parametrize(
    ("peers", "left_s", "in_flight", "took_s", "responded"),
    [
        ([WELL, OTHER], 100.0, 9, 1.5, 2),
        ([WELL, OTHER, FROZEN], 100.0, 9, 2.0, 2),
        ([WELL, OTHER, DEAF], 100.0, 9, 2.0 + GRACE_S, 2),
        ([WELL, OTHER, FROZEN], 1.0, 9, 0.8, 1),
        ([WELL, DEAF], 1.0, 9, 0.8 + GRACE_S, 1),
        ([WELL, *[FROZEN] * 30], 100.0, 3, 2.0, 1),
        ([DEAF, WELL, OTHER], 100.0, 1, 2.0 + GRACE_S, 0),
        ([FROZEN, DEAF], 100.0, 9, 2.0 + GRACE_S, 0),
    ],
)
def test_a_fan_out_takes_its_deadline_and_a_quarter_of_a_second_at_most(
    peers: list[Scripted], left_s: float, in_flight: int, took_s: float, responded: int
) -> None:
    """Peers that keep to their deadline or not, a caller in a hurry, and turns that never come; who answered counts."""

    async def work(clock: Callable[[], float]) -> None:
        settings = FanoutSettings(timeout_s=2.0, max_in_flight_peers=in_flight)
        aggregator = Aggregator(Fixed(peers), settings=settings, node_id="agg")
        try:
            outcomes = (await aggregator.matrix(MatrixQuery(), Deadline.after(left_s, clock))).outcomes
        except NoUsablePeers as nobody:
            outcomes = nobody.outcomes
        assert sum(outcome.ok for outcome in outcomes) == responded
        assert {outcome.kind for outcome in outcomes if not outcome.ok} <= {FailureKind.DEADLINE_EXCEEDED}
        assert clock() == pytest.approx(took_s)
        began = clock()
        if responded:
            await aggregator.overview(Deadline.after(left_s, clock))
        assert clock() - began <= took_s + 1e-9
        began = clock()
        with pytest.raises((HotKeysDisabled, NoUsablePeers)):
            await aggregator.hot_keys(HotKeysQuery(1), Deadline.after(left_s, clock))
        assert clock() - began <= took_s + 1e-9
        await aggregator.close()

    on_a_clock_of_its_own(work)


@dataclass
class Clocked(Scripted):
    """A peer with steps of a second and a clock that is off by skew_s. wall_clock: unix seconds, the right ones."""

    wall_clock: Callable[[], float] = lambda: 0.0
    skew_s: float = 0.0

    async def matrix(self, query: MatrixQuery, deadline: Deadline, budget: BytesBudget) -> Answer | Outcome:
        """As scripted, with the moment at which it answers."""
        reply = await super().matrix(query, deadline, budget)
        if isinstance(reply, Outcome):
            return reply
        return replace(reply, step_ms=1000, generated_at_unix_ms=int((self.wall_clock() + self.skew_s) * 1000))


def test_who_waits_for_a_frozen_peer_does_not_blame_the_others_clocks() -> None:
    """They answered long ago when the answers are merged; a clock that is off is told all the same."""

    async def work(clock: Callable[[], float]) -> None:
        def wall_clock() -> float:
            return FIRST_STAMP_UNIX_MS / 1000 + 3600 + clock()

        right = Clocked("right", 0.1, wall_clock=wall_clock)
        wrong = Clocked("wrong", 0.1, ANSWERS[1], wall_clock=wall_clock, skew_s=-0.7)
        settings = FanoutSettings(timeout_s=2.0)
        aggregator = Aggregator(Fixed([right, wrong, FROZEN]), settings=settings, node_id="agg", wall_clock=wall_clock)
        outcomes = (await aggregator.matrix(MatrixQuery(), Deadline.after(9.0, clock))).outcomes
        assert clock() == pytest.approx(2.0)
        skewed = [any(w.code is WarningCode.CLOCK_SKEW for w in outcome.warnings) for outcome in outcomes]
        assert skewed == [False, True, False]
        await aggregator.close()

    on_a_clock_of_its_own(work)


def test_questions_of_all_kinds_share_one_bound() -> None:
    """One more is refused at once, whatever it asks; when the first has ended there is room again."""

    async def work(clock: Callable[[], float]) -> None:
        settings = FanoutSettings(timeout_s=2.0, max_requests=1)
        aggregator = Aggregator(Fixed([WELL, FROZEN]), settings=settings, node_id="agg")
        deadline = Deadline.after(100.0, clock)
        first = asyncio.ensure_future(aggregator.matrix(MatrixQuery(), deadline))
        await asyncio.sleep(0.5)
        assert aggregator.fan_outs == 1
        questions: list[Callable[[], Awaitable[object]]] = [
            lambda: aggregator.matrix(MatrixQuery(Series.READS), deadline),
            lambda: aggregator.cell(bucket_id="route:1", column_unix_ms=1, series=Series.READS, deadline=deadline),
            lambda: aggregator.overview(deadline),
            lambda: aggregator.hot_keys(HotKeysQuery(1), deadline),
        ]
        for question in questions:
            with pytest.raises(Overloaded):
                await question()
        assert clock() == pytest.approx(0.5)
        await first
        await aggregator.overview(deadline)
        assert (aggregator.fan_outs, aggregator.fan_outs_begun) == (0, 2)
        await aggregator.close()

    on_a_clock_of_its_own(work)


@dataclass
class Stepping(Scripted):
    """A peer that says its step, and keeps what it was asked last."""

    step_ms: int = 0
    asked: MatrixQuery = field(default_factory=MatrixQuery)

    async def matrix(self, query: MatrixQuery, deadline: Deadline, budget: BytesBudget) -> Answer | Outcome:
        """As scripted, under the step of now."""
        self.asked = query
        outcome = replace(self.answer.outcomes[0], step_ms=self.step_ms)
        await super().matrix(query, deadline, budget)
        return replace(self.answer, step_ms=self.step_ms, outcomes=(outcome,))


def test_a_step_that_no_node_has_any_more_does_not_widen_questions() -> None:
    """A node with windows of an hour was there once; a cell is looked for around it by the steps of now."""

    async def work(clock: Callable[[], float]) -> None:
        peer = Stepping("n", 0.1)
        aggregator = Aggregator(Fixed([peer]), settings=FanoutSettings(), node_id="agg")
        deadline = Deadline.after(100.0, clock)
        wide: list[int] = []
        for peer.step_ms in (3_600_000, 60_000):
            await aggregator.matrix(MatrixQuery(), deadline)
            await aggregator.cell(bucket_id="r", column_unix_ms=10**12, series=Series.READS, deadline=deadline)
            wide.append(peer.asked.window.to_unix_ms - 10**12)
        assert wide[0] == 60 * wide[1] > 0
        await aggregator.close()

    on_a_clock_of_its_own(work)


def test_who_leaves_during_the_merge_takes_nothing_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the request holds stays held while its thread works, and then goes back, all of it."""
    entered, go = threading.Event(), threading.Event()

    def held_up(results: Sequence[Answer | Outcome], holdings: Holdings) -> list[Answer | Outcome]:
        entered.set()
        assert go.wait(30)
        return within(results, holdings)

    async def work(clock: Callable[[], float]) -> None:
        settings = FanoutSettings(max_total_bytes=10_000_000, max_held_bytes=10_000_000)
        aggregator = Aggregator(Fixed([WELL, OTHER]), settings=settings, node_id="agg")
        monkeypatch.setattr("keyviz_grpc.aggregator.aggregator.within", held_up)
        asking = asyncio.ensure_future(aggregator.matrix(MatrixQuery(), Deadline.after(100.0, clock)))
        await asyncio.to_thread(entered.wait, 30)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert not aggregator._held.fits(10_000_000)
        go.set()
        await aggregator.close()
        aggregator._threads.shutdown(wait=True)
        assert aggregator._held.fits(10_000_000)

    on_a_clock_of_its_own(work)
