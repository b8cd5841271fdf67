"""One piece of work for requests that want the same at the same moment, and what it means when their clients leave."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from starlette.requests import ClientDisconnect

from gateway import endpoints
from gateway.shared import SharedWork
from tests.unit.gateway.test_endpoints import Caller


@dataclass
class Kitchen:
    """Work that is done when `done` is set.

    shares: how often somebody waited for what another one does. left: how often the client of that one left.
    """

    done: asyncio.Event = field(default_factory=asyncio.Event)
    began: int = 0
    cancelled: int = 0
    shares: int = 0
    left: int = 0
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.work = SharedWork[str, str](self._shared)

    def _shared(self) -> None:
        self.shares += 1

    def _left(self) -> None:
        self.left += 1

    async def _cook(self) -> str:
        self.began += 1
        number = self.began
        try:
            await self.done.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            raise
        if self.error is not None:
            raise self.error
        return f"dish {number}"

    async def order(self, caller: Caller | None = None, key: str = "same") -> asyncio.Task[str]:
        """One request, which has begun to wait."""
        ordering = asyncio.create_task(self.work.of((caller or Caller()).request, key, self._cook, left=self._left))
        await asyncio.sleep(0)
        return ordering


@pytest.fixture(autouse=True)
def watched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for clients to be looked at."""
    monkeypatch.setattr(endpoints, "UNWATCHED_S", 0.0)


async def gone(caller: Caller) -> None:
    """The caller has left, and everybody who wants to know it does."""
    await caller.watched.wait()
    caller.leaves.set()
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_wants_the_same_waits_for_the_first() -> None:
    """And gets the very same; another thing is another piece of work, and nothing is kept."""
    kitchen = Kitchen()
    same = [await kitchen.order() for _ in range(3)]
    other = await kitchen.order(key="other")
    kitchen.done.set()
    dishes = await asyncio.gather(*same)
    assert len({id(dish) for dish in dishes}) == 1
    assert await other != dishes[0]
    assert (kitchen.began, kitchen.shares) == (2, 2)
    await (await kitchen.order())
    assert (kitchen.began, kitchen.shares) == (3, 2)


async def test_the_work_goes_on_for_others_when_the_client_of_the_first_has_left() -> None:
    """They get what came of it, and the first is told that nobody is there."""
    kitchen, leaving = Kitchen(), Caller()
    first, second = await kitchen.order(leaving), await kitchen.order()
    await gone(leaving)
    assert (first.done(), kitchen.cancelled, kitchen.left) == (False, 0, 1)
    third = await kitchen.order()
    kitchen.done.set()
    assert [await second, await third] == ["dish 1", "dish 1"]
    with pytest.raises(ClientDisconnect):
        await first


async def test_the_work_ends_when_the_last_client_has_left() -> None:
    """Whoever comes while it ends has work of its own, which others join after that end too."""
    kitchen, callers = Kitchen(), [Caller() for _ in range(3)]
    orders = [await kitchen.order(caller) for caller in callers]
    await gone(callers[0])
    await gone(callers[1])
    assert kitchen.cancelled == 0
    await callers[2].watched.wait()
    callers[2].leaves.set()
    while not kitchen.cancelled:  # noqa: ASYNC110 - nobody announces a cancellation
        await asyncio.sleep(0)
    late = await kitchen.order()
    results = await asyncio.gather(*orders, return_exceptions=True)
    assert [type(result) for result in results] == [ClientDisconnect] * 3
    later = await kitchen.order()
    assert (kitchen.began, kitchen.cancelled, kitchen.shares) == (2, 1, 3)
    kitchen.done.set()
    assert [await late, await later] == ["dish 2", "dish 2"]


async def test_a_client_that_was_alone_has_its_place_until_the_work_has_ended() -> None:
    """Else whoever comes and goes has much more work under way than there are places."""
    kitchen, leaving = Kitchen(), Caller()
    alone = await kitchen.order(leaving)
    await gone(leaving)
    with pytest.raises(ClientDisconnect):
        await alone
    assert (kitchen.cancelled, kitchen.left) == (1, 0)


async def test_who_leaves_takes_nothing_from_the_first() -> None:
    """It waited for it alone."""
    kitchen, leaving = Kitchen(), Caller()
    first, second = await kitchen.order(), await kitchen.order(leaving)
    await gone(leaving)
    with pytest.raises(ClientDisconnect):
        await second
    kitchen.done.set()
    assert await first == "dish 1"


async def test_another_does_it_when_the_first_is_cancelled() -> None:
    """As by a timeout around its request, of which those who wait know nothing."""
    kitchen = Kitchen()
    first, *others = [await kitchen.order() for _ in range(3)]
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    kitchen.done.set()
    assert [await other for other in others] == ["dish 2", "dish 2"]
    assert (kitchen.began, kitchen.cancelled) == (2, 1)


async def test_all_are_told_why_it_failed() -> None:
    """The next request begins anew."""
    kitchen = Kitchen(error=ValueError("burnt"))
    orders = [await kitchen.order() for _ in range(3)]
    kitchen.done.set()
    results = await asyncio.gather(*orders, return_exceptions=True)
    assert [str(result) for result in results] == ["burnt"] * 3
    kitchen.error = None
    assert await (await kitchen.order()) == "dish 2"


async def test_a_client_that_has_left_is_not_told_why_it_failed() -> None:
    """Only those for whom the work went on are, and it counts as one that has left."""
    kitchen, leaving = Kitchen(error=ValueError("burnt")), Caller()
    first, second = await kitchen.order(leaving), await kitchen.order()
    await gone(leaving)
    kitchen.done.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [ClientDisconnect, ValueError]


async def test_whether_work_is_shared() -> None:
    """While others wait for it; not before, not after, and not by whoever does it."""
    kitchen = Kitchen()
    assert not kitchen.work.is_shared("same")
    first = await kitchen.order()
    assert not kitchen.work.is_shared("same")
    second = await kitchen.order()
    assert kitchen.work.is_shared("same")
    assert not kitchen.work.is_shared("other")
    kitchen.done.set()
    assert await first == await second
    assert not kitchen.work.is_shared("same")
