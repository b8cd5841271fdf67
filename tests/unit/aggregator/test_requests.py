"""What requests leave behind or learn, exactly, on a clock that only moves while everybody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from benchmarks.synthetic import FIRST_STAMP_UNIX_MS
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.aggregator.extent import Holdings, held_bytes, within
from keyviz_grpc.bytes_budget import HELD_CELL_BYTES, HELD_KEY_BYTES, BytesBudget
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import Overloaded
from keyviz_grpc.hotkeys import HotKey, HotKeysAnswer, HotKeysQuery
from keyviz_grpc.merge import contributions
from keyviz_grpc.model import Series, Window
from keyviz_grpc.outcome import Answer, Cell, Outcome, WarningCode
from keyviz_grpc.query import MatrixQuery
from tests.unit.aggregator.leaping import (
    ANSWERS,
    FROZEN,
    OTHER,
    WELL,
    Fixed,
    Scripted,
    on_a_clock_of_its_own,
)


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


@dataclass
class Paying(Scripted):
    """A peer that pays for its answer, as clients do."""

    async def matrix(self, query: MatrixQuery, deadline: Deadline, budget: BytesBudget) -> Answer | Outcome:
        """As scripted."""
        reply = await super().matrix(query, deadline, budget)
        if isinstance(reply, Answer):
            budget.take(HELD_CELL_BYTES * reply.matrix.cells)
        return reply

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline, budget: BytesBudget) -> HotKeysAnswer | Outcome:
        """Three keys of a route."""
        await super().hot_keys(query, deadline, budget)
        keys = tuple(HotKey(key, 2, 2, 2, 1) for key in (b"a", b"b", b"c"))
        budget.take(HELD_KEY_BYTES * len(keys))
        return HotKeysAnswer(keys=keys, outcomes=(Outcome(self.address, self.address),), observed=True, sample_rate=1)


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


def test_the_same_question_is_asked_as_wide_as_the_steps_of_now() -> None:
    """Half a step on both sides, of a minute until somebody told one; whoever polls asks with one object.

    A node that tells no step changes nothing, and another question is another one.
    """

    async def work(clock: Callable[[], float]) -> None:
        peer = Stepping("n", 0.1)
        aggregator = Aggregator(Fixed([peer]), settings=FanoutSettings(), node_id="agg")
        query, wide = MatrixQuery(window=Window(10**12, 10**12 + 1000)), list[tuple[int, int]]()
        for peer.step_ms in (1000, 1000, 0, 600_000, 1000):
            await aggregator.matrix(query, Deadline.after(100.0, clock))
            asked = peer.asked.window
            wide.append((10**12 - asked.from_unix_ms, asked.to_unix_ms - 10**12 - 1000))
        assert wide == [(half, half) for half in (30_000, 500, 500, 500, 300_000)]
        for series in (Series.READS, Series.WRITE_BYTES):
            await aggregator.matrix(replace(query, series=series), Deadline.after(100.0, clock))
            assert peer.asked.series is series
        await aggregator.close()

    on_a_clock_of_its_own(work)


@pytest.mark.parametrize(
    ("query", "plain"),
    [(MatrixQuery(), False), (MatrixQuery(for_display=True), True), (MatrixQuery(without_roles=True), True)],
)
def test_peers_are_asked_for_roles_only_where_somebody_reads_them(query: MatrixQuery, plain: bool) -> None:
    """What is shown shows none, and an aggregator that was asked for none asks for none."""

    async def work(clock: Callable[[], float]) -> None:
        peer = Stepping("n", 0.1)
        aggregator = Aggregator(Fixed([peer]), settings=FanoutSettings(), node_id="agg")
        await aggregator.matrix(query, Deadline.after(100.0, clock))
        assert peer.asked.without_roles is plain
        assert not peer.asked.for_display
        await aggregator.close()

    on_a_clock_of_its_own(work)


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
        monkeypatch.setattr("keyviz_grpc.aggregator.building.within", held_up)
        monkeypatch.setattr("keyviz_grpc.aggregator.aggregator.is_little", lambda *_: False)
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


@pytest.mark.parametrize("leaves", [False, True])
def test_what_a_cell_is_made_of_is_held_until_it_is_made(monkeypatch: pytest.MonkeyPatch, *, leaves: bool) -> None:
    """Whether or not its caller waits for it."""
    entered, go = threading.Event(), threading.Event()

    def held_up(*args: Any, **kwargs: Any) -> Cell:
        entered.set()
        assert go.wait(30)
        return contributions(*args, **kwargs)

    async def work(clock: Callable[[], float]) -> None:
        settings = FanoutSettings(max_total_bytes=10_000_000, max_held_bytes=10_000_000)
        aggregator = Aggregator(Fixed([Paying("a", 0.1)]), settings=settings, node_id="agg")
        monkeypatch.setattr("keyviz_grpc.aggregator.aggregator.contributions", held_up)
        deadline = Deadline.after(100.0, clock)
        asking = asyncio.ensure_future(
            aggregator.cell(
                bucket_id="route:1", column_unix_ms=FIRST_STAMP_UNIX_MS, series=Series.WRITES, deadline=deadline
            )
        )
        await asyncio.to_thread(entered.wait, 30)
        if leaves:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        assert not aggregator._held.fits(10_000_000)
        go.set()
        if not leaves:
            await asking
        await aggregator.close()
        aggregator._threads.shutdown(wait=True)
        assert aggregator._held.fits(10_000_000)

    on_a_clock_of_its_own(work)


@pytest.mark.parametrize("unmerged", [False, True])
def test_a_merged_answer_is_held_until_nobody_has_it(*, unmerged: bool) -> None:
    """While it waits to be written other requests find so much less; those who share it hold it once."""

    async def work(clock: Callable[[], float]) -> None:
        settings = FanoutSettings(max_total_bytes=10_000_000, max_held_bytes=10_000_000)
        peers = [Paying("a", 0.1), Paying("b", 0.1, ANSWERS[1])]
        aggregator = Aggregator(Fixed(peers), settings=settings, node_id="agg")
        query = MatrixQuery(unmerged=unmerged)
        asking = [aggregator.matrix(query, Deadline.after(100.0, clock)) for _ in range(2)]
        [first, second] = await asyncio.gather(*asking)
        assert first is second
        size = held_bytes(first)
        assert size > 0
        assert aggregator._held.fits(10_000_000 - size)
        assert not aggregator._held.fits(10_000_001 - size)
        del first
        assert not aggregator._held.fits(10_000_001 - size)
        del second, asking
        await asyncio.sleep(0)
        aggregator._threads.shutdown(wait=True)  # one that merged holds what came of it for a moment more
        assert aggregator._held.fits(10_000_000)
        await aggregator.close()

    on_a_clock_of_its_own(work)


def test_merged_hot_keys_are_held_until_nobody_has_them() -> None:
    """The same for keys, of which each counts."""

    async def work(clock: Callable[[], float]) -> None:
        settings = FanoutSettings(max_total_bytes=10_000, max_held_bytes=10_000)
        peers = [Paying("a", 0.1), Paying("b", 0.1)]
        aggregator = Aggregator(Fixed(peers), settings=settings, node_id="agg")
        answer = await aggregator.hot_keys(HotKeysQuery(1), Deadline.after(100.0, clock))
        size = HELD_KEY_BYTES * len(answer.keys)
        assert size > 0
        assert aggregator._held.fits(10_000 - size)
        assert not aggregator._held.fits(10_001 - size)
        del answer
        await asyncio.sleep(0)
        await aggregator.close()
        aggregator._threads.shutdown(wait=True)
        assert aggregator._held.fits(10_000)

    on_a_clock_of_its_own(work)
