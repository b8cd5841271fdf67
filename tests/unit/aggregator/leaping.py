"""Peers that answer as scripted, on a clock that only moves while everybody waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.deadline import NOT_IN_TIME, Deadline
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.outcome import Answer, Member, Outcome, Overview
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
    told_id: str = ""

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
