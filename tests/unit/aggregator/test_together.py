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


async def test_a_failure_ends_the_others_before_it_is_told() -> None:
    waits, ended = asyncio.Event(), asyncio.Event()

    async def lasting() -> None:
        try:
            waits.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def failing() -> None:
        await waits.wait()
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await together([lasting(), failing()])
    assert ended.is_set()


async def test_whoever_is_cancelled_while_waiting_has_ended_all_of_it() -> None:
    began, ended = asyncio.Barrier(3), 0

    async def lasting() -> None:
        nonlocal ended
        await began.wait()
        try:
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
