"""One timer ends many calls, each of them as `asyncio.timeout` of its own would."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from weakref import ref

import pytest

from keyviz_grpc.aggregator.turns import GRACE_S, Turns
from keyviz_grpc.curfew import Curfew
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.outcome import Outcome
from tests.unit.aggregator.leaping import on_a_clock_of_its_own


async def never(_: Deadline) -> str:
    """A call that hangs."""
    await asyncio.Event().wait()
    return "never"


def kind(result: object) -> FailureKind | None:
    """Of a failure."""
    return result.kind if isinstance(result, Outcome) else None


def test_calls_that_hang_end_together_and_the_others_are_not_touched() -> None:
    """GRACE_S after their deadline; those of another deadline after theirs, and one timer does for all that follow."""

    async def work(clock: Callable[[], float]) -> None:
        turns, ended = Turns(99), dict[str, tuple[float, FailureKind | None]]()

        async def ask(name: str, left_s: float, takes_s: float) -> None:
            async def call(_: Deadline) -> str:
                await asyncio.sleep(takes_s)
                return name

            found = await turns.ask(name, 1, call, deadlines[left_s])
            ended[name] = (clock(), kind(found))

        deadlines = {left_s: Deadline.after(left_s, clock) for left_s in (1.0, 3.0)}
        await asyncio.gather(ask("a", 1, 9), ask("b", 1, 9), ask("quick", 1, 0.5), ask("c", 3, 9), ask("slow", 3, 2))
        late = FailureKind.DEADLINE_EXCEEDED
        assert ended == {
            "quick": (0.5, None),
            "a": (1 + GRACE_S, late),
            "b": (1 + GRACE_S, late),
            "slow": (2, None),
            "c": (3 + GRACE_S, late),
        }
        assert not turns._curfew._inside
        began = clock()
        assert kind(await turns.ask("again", 1, never, deadlines[1.0])) is late
        assert clock() - began == pytest.approx(GRACE_S)
        deadline = Deadline.after(1, clock)
        assert await turns.ask("well", 1, lambda _: asyncio.sleep(0, "told"), deadline) == "told"
        assert not turns._curfew._inside
        began = clock()
        assert kind(await turns.ask("hangs after it", 1, never, deadline)) is late
        assert clock() - began == pytest.approx(1 + GRACE_S)
        assert not turns._curfew._inside
        waits = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert all(timer.cancelled() for timer in waits)
        for _ in range(9):
            assert await turns.ask("well", 1, lambda _: asyncio.sleep(0, "told"), Deadline.after(5, clock)) == "told"
        assert sum(not timer.cancelled() for timer in waits) == 1

    on_a_clock_of_its_own(work)


def test_each_call_ends_in_its_own_time_whoever_came_first() -> None:
    """The timer is set anew for whoever is due before it rings, and for the next one due when it has rung."""

    async def work(clock: Callable[[], float]) -> None:
        turns, ended = Turns(99), list[tuple[int, float]]()

        async def ask(left_s: int) -> None:
            assert kind(await turns.ask("a", 1, never, Deadline.after(left_s, clock))) is FailureKind.DEADLINE_EXCEEDED
            ended.append((left_s, clock()))

        await asyncio.gather(*map(ask, (3, 1, 4, 2)))
        assert ended == [(left_s, left_s + GRACE_S) for left_s in (1, 2, 3, 4)]

    on_a_clock_of_its_own(work)


def test_who_is_cancelled_by_somebody_else_stays_cancelled() -> None:
    """Before the time comes, in the same moment, and where it was cancelled once already before it asked."""

    async def work(clock: Callable[[], float]) -> None:
        turns, loop = Turns(99), asyncio.get_running_loop()
        for left_s in (2.0, 1.0 - GRACE_S):
            call = asyncio.ensure_future(turns.ask("a", 1, never, Deadline.after(left_s, clock)))
            loop.call_later(1.0, call.cancel)
            with pytest.raises(asyncio.CancelledError):
                await call

        async def stubborn() -> tuple[FailureKind | None, int]:
            me = asyncio.current_task()
            assert me is not None
            me.cancel()
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                found = await turns.ask("a", 1, never, Deadline.after(1, clock))
            return kind(found), me.cancelling()

        assert await asyncio.ensure_future(stubborn()) == (FailureKind.DEADLINE_EXCEEDED, 1)

    on_a_clock_of_its_own(work)


async def test_what_was_asked_for_goes_with_the_caller_that_leaves() -> None:
    """Not only when the garbage collector comes: an error, a frame and a task do not hold each other."""

    class Asked:
        """What somebody asked for."""

        async def call(self, deadline: Deadline) -> str:
            """Until it is cancelled."""
            return await never(deadline)

    async def ask() -> str | Outcome:
        asked = Asked()
        gone.append(ref(asked))
        return await turns.ask("a", 1, asked.call, Deadline.after(30))

    turns, gone = Turns(9), list[ref[Asked]]()
    gc.disable()
    try:
        calls = [asyncio.ensure_future(ask()) for _ in range(2)]
        await asyncio.sleep(0)
        calls[0].cancel()
        await asyncio.wait(calls[:1])
        calls[1].cancel()
        await asyncio.wait(calls[1:])
        del calls
        assert [asked() for asked in gone] == [None, None]
    finally:
        gc.enable()


async def test_only_a_task_can_enter() -> None:
    """Nothing else can be cancelled."""
    curfew, told = Curfew(), list[str]()

    def enter() -> None:
        with pytest.raises(RuntimeError, match="task"):
            curfew.enter(30)
        told.append("refused")

    asyncio.get_running_loop().call_soon(enter)
    await asyncio.sleep(0)
    assert told == ["refused"]
    curfew.leave(curfew.enter(30))
