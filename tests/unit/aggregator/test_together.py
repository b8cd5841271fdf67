"""Several pieces of work at once."""

from __future__ import annotations

import asyncio

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


async def test_the_first_is_begun_at_once_and_in_the_task_of_who_waits() -> None:
    async def work() -> asyncio.Task[None] | None:
        return asyncio.current_task()

    first, second = await together([work(), work()])
    assert first is asyncio.current_task()
    assert second is not first
