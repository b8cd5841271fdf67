"""Several pieces of work at once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from keyviz_grpc.aggregator.together import together


async def test_results_stand_in_the_order_of_the_work_whoever_is_done_first() -> None:
    events = [asyncio.Event() for _ in range(3)]

    async def work(number: int) -> int:
        if number:
            await events[number - 1].wait()
        events[number].set()
        return number

    assert await together([work(2), work(0), work(1)]) == [2, 0, 1]


async def test_nothing_to_do_is_done_at_once() -> None:
    assert await together([]) == []


async def test_all_begin_before_any_is_done() -> None:
    meeting = asyncio.Barrier(3)

    async def work() -> None:
        async with meeting:
            pass

    await together([work(), work(), work()])


@pytest.mark.parametrize("fails", [0, 1, 2])
async def test_a_failure_is_told_when_all_of_it_has_ended(fails: int) -> None:
    failed, under_way = asyncio.Event(), 0

    async def work(number: int) -> None:
        nonlocal under_way
        under_way += 1
        try:
            if number == fails:
                while under_way < 3:  # noqa: ASYNC110 - each turn of the loop begins one
                    await asyncio.sleep(0)
                failed.set()
                raise ValueError("broken")
            await failed.wait()
        finally:
            under_way -= 1

    with pytest.raises(ValueError, match="broken"):
        await together([work(number) for number in range(3)])
    assert failed.is_set()
    assert under_way == 0


async def test_whoever_is_cancelled_while_waiting_has_ended_all_of_it() -> None:
    began, ended = asyncio.Barrier(3), 0

    async def lasting() -> None:
        nonlocal ended
        try:
            await began.wait()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended += 1

    waiting = asyncio.create_task(together([lasting(), lasting()]))
    await began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == 2


@pytest.mark.parametrize("swallows", [0, 1])
async def test_a_cancellation_is_not_lost_where_a_piece_of_work_goes_on(swallows: int) -> None:
    """As `asyncio.wait_for` of Python 3.11 does when what it waits for comes in the very same moment."""
    ended = False

    async def swallowing() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def lasting() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    async def short() -> None:
        pass

    works = [swallowing(), lasting()] if swallows == 0 else [short(), swallowing()]
    waiting = asyncio.create_task(together(works))
    for _ in range(3):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 5)
    assert ended is (swallows == 0)


async def test_the_first_is_begun_at_once_and_in_the_task_of_who_waits() -> None:
    async def work() -> asyncio.Task[None] | None:
        return asyncio.current_task()

    first, second = await together([work(), work()])
    assert first is asyncio.current_task()
    assert second is not first
