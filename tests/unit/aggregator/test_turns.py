"""Nobody's silence costs another peer its turn."""

from __future__ import annotations

import asyncio

from keyviz_grpc.aggregator.turns import Turns


async def test_a_silent_peer_holds_no_more_than_its_share() -> None:
    """Eight at once, four peers: two each, whoever came first."""
    turns, go = Turns(8), asyncio.Event()
    inside: list[str] = []

    async def call(address: str) -> None:
        async with turns.of(address, 4):
            inside.append(address)
            await go.wait()

    calls = [asyncio.create_task(call("silent")) for _ in range(20)]
    calls += [asyncio.create_task(call(name)) for name in ("a", "b", "c") for _ in range(3)]
    await asyncio.sleep(0)
    assert sorted(inside) == ["a", "a", "b", "b", "c", "c", "silent", "silent"]
    go.set()
    await asyncio.gather(*calls)
    assert len(inside) == 29


async def test_all_together_are_never_more_than_the_limit() -> None:
    """More peers than turns: one each, in the order in which they came."""
    turns, most, now = Turns(3), 0, 0
    order: list[int] = []

    async def call(number: int) -> None:
        nonlocal most, now
        async with turns.of(f"p{number % 7}", 7):
            now += 1
            order.append(number)
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(call(number) for number in range(21)))
    assert most == 3
    assert order[:3] == [0, 1, 2]
    assert sorted(order) == list(range(21))


async def test_who_gives_up_waiting_takes_nobodys_turn() -> None:
    """Before its turn, and in the very moment in which it comes."""
    turns, go = Turns(1), asyncio.Event()
    others: list[asyncio.Task[str]] = []

    async def call(address: str) -> str:
        async with turns.of(address, 1):
            return address

    async def first() -> None:
        async with turns.of("a", 1):
            await go.wait()
        others[1].cancel()  # its turn has come, and it does not know yet

    holding = asyncio.create_task(first())
    await asyncio.sleep(0)
    others += [asyncio.create_task(call(name)) for name in ("b", "c", "d")]
    await asyncio.sleep(0)
    others[0].cancel()
    await asyncio.sleep(0)
    go.set()
    await holding
    ended = await asyncio.gather(*others, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in ended] == [True, True, False]
    assert ended[2] == "d"
