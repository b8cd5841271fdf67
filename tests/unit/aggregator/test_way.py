"""Which ways through aggregators are gone, and who shares one fan-out."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from keyviz_grpc.aggregator.flights import Flights, Questions, Room
from keyviz_grpc.aggregator.way import check_way
from keyviz_grpc.codec import decode_query, encode_query
from keyviz_grpc.deadline import MOST_HURRY, Deadline
from keyviz_grpc.errors import InvalidRequest, LoopRefused
from keyviz_grpc.query import MAX_VIA, MatrixQuery


def test_the_deepest_way_is_refused_by_the_aggregator_that_could_not_hand_it_on() -> None:
    """Not by the peer below it, whose failure would be taken for the peer's own."""
    names = [f"a{number}" for number in range(MAX_VIA)]
    check_way("me", names[1:])
    assert decode_query(encode_query(MatrixQuery(via=(*names[1:], "me")))).via[-1] == "me"
    with pytest.raises(InvalidRequest, match=f"via={MAX_VIA}"):
        check_way("me", names)
    with pytest.raises(LoopRefused, match="'a3'"):
        check_way("a3", names)


@pytest.mark.parametrize(
    ("left_s", "halvings"),
    [(100.0, 0), (5.0, 0), (4.9, 1), (2.5, 1), (2.4, 2), (1.25, 2), (0.001, 13), (1e-9, MOST_HURRY), (0.0, MOST_HURRY)],
)
def test_hurry_tells_how_often_the_time_of_a_fan_out_is_halved(left_s: float, halvings: int) -> None:
    """Four seconds for peers, which are four fifths of what is left."""
    assert Deadline(left_s, lambda: 0.0).hurry(4.0, 0.8) == halvings


async def test_nobody_waits_for_work_that_is_due_after_ones_own_time() -> None:
    """Four callers of one question: who has as much time or more joins; who has less has a fan-out of its own."""
    now, go, begun = [0.0], asyncio.Event(), []
    room = Room(8)
    questions: Questions[str, int] = Questions(room, timeout_s=4.0, share=0.8)

    def ask(left_s: float) -> asyncio.Task[int]:
        async def work() -> int:
            begun.append(left_s)
            await go.wait()
            return len(begun)

        return asyncio.create_task(questions.join("q", Deadline(now[0] + left_s, lambda: now[0]), work))

    asked = []
    for at_s, left_s in ((0.0, 2.0), (0.1, 1.3), (0.2, 1.9), (0.3, 1.25), (0.4, 60.0), (0.5, 60.0)):
        now[0] = at_s
        asked.append(ask(left_s))
        await asyncio.sleep(0)
    assert begun == [2.0, 1.3, 60.0]
    assert room.taken == 3
    go.set()
    await asyncio.gather(*asked)
    assert room.taken == 0


async def test_nothing_is_kept_of_questions_that_were_answered_or_given_up() -> None:
    """Every poll asks for other windows: what is kept of each would grow for ever."""

    class Question:
        """Told apart by identity."""

    flights: Flights[Question, int] = Flights(Room(8))

    async def work() -> int:
        return 1

    questions = [Question() for _ in range(3)]
    traces = [weakref.ref(question) for question in questions]
    assert await flights.join(questions[0], work, due_s=1.0) == 1
    with pytest.raises(ValueError, match="of its own"):
        await flights.join(questions[1], _failing)
    left = asyncio.create_task(flights.join(questions[2], asyncio.Event().wait, due_s=1.0))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    await asyncio.sleep(0)
    del left
    questions.clear()
    gc.collect()
    assert [trace() for trace in traces] == [None] * 3


@pytest.mark.parametrize("lasting", [True, False])
async def test_what_fails_when_nobody_waits_any_more_is_logged(
    caplog: pytest.LogCaptureFixture, *, lasting: bool
) -> None:
    """Work that goes on by itself, and work that fails at being ended: else nobody would ever hear of it."""
    go, ended = asyncio.Event(), asyncio.Event()
    flights: Flights[str, int] = Flights(Room(8), lasting=lasting)

    async def work() -> int:
        try:
            await go.wait()
        finally:
            ended.set()
            await _failing()
        return 1

    caller = asyncio.create_task(flights.join("q", work))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    del caller
    go.set()
    await ended.wait()
    await asyncio.sleep(0)
    gc.collect()
    [told] = caplog.records
    assert told.exc_info is not None
    assert str(told.exc_info[1]) == "of its own"


async def test_work_that_was_left_takes_nothing_from_what_was_begun_after_it() -> None:
    """However long it takes to end: whoever asks next joins the new work."""
    flights: Flights[str, int] = Flights(Room(8))
    go, ends = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await ends.wait()
        return 1

    async def work() -> int:
        await go.wait()
        return 2

    async def never() -> int:
        raise AssertionError

    left = asyncio.create_task(flights.join("q", slow_to_end))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    first = asyncio.create_task(flights.join("q", work))
    await asyncio.sleep(0)
    ends.set()
    for _ in range(5):
        await asyncio.sleep(0)
    second = asyncio.create_task(flights.join("q", never))
    await asyncio.sleep(0)
    go.set()
    assert set(await asyncio.gather(first, second)) == {2}


async def test_whoever_waits_for_work_that_is_cancelled_is_cancelled() -> None:
    """As by a server that ends: nobody waits for ever."""
    room = Room(8)
    flights: Flights[str, int] = Flights(room)

    async def work() -> int:
        raise asyncio.CancelledError

    caller = asyncio.create_task(flights.join("q", work))
    await asyncio.wait({caller}, timeout=30)
    assert caller.cancelled()
    assert room.taken == 0


async def test_an_error_goes_with_whoever_was_told_it() -> None:
    """And not when the garbage collector comes across it: it knows the frames in which answers were."""

    class Own(Exception):
        """Which can be watched."""

    async def work() -> int:
        raise Own

    async def trace() -> weakref.ref[Own]:
        try:
            await Flights[str, int](Room(8)).join("q", work)
        except Own as error:
            return weakref.ref(error)
        raise AssertionError

    gc.collect()
    gc.disable()
    try:
        left = await trace()
        await asyncio.sleep(0)
        assert left() is None
    finally:
        gc.enable()


async def _failing() -> int:
    raise ValueError("of its own")
