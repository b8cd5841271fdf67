"""Work that lasts as long as its client is there."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from gateway import endpoints
from gateway.endpoints import while_connected


class Caller:
    """A client whose request is whole, and who leaves when `leaves` is set. watched: somebody waits for that."""

    def __init__(self) -> None:
        self.leaves, self.watched = asyncio.Event(), asyncio.Event()
        self._told = False

    @property
    def request(self) -> Request:
        """What it asks."""
        return Request({"type": "http"}, self._receive)

    async def _receive(self) -> Message:
        if not self._told:
            self._told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        self.watched.set()
        await self.leaves.wait()
        return {"type": "http.disconnect"}


async def test_the_work_ends_with_its_client() -> None:
    """It is cancelled, and over when the caller hears of it; the task that did it goes on as if nothing were."""
    caller, ended = Caller(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    caller.leaves.set()
    with pytest.raises(ClientDisconnect):
        await while_connected(caller.request, work())
    assert ended == [True]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("done_first", [True, False])
async def test_a_client_that_leaves_when_the_work_is_done_ends_nothing_else(*, done_first: bool) -> None:
    """Both in one turn of the loop: what is done with the result is not cancelled in its middle."""
    caller, go = Caller(), asyncio.Event()

    async def work() -> int:
        await go.wait()
        return 1

    async def use() -> int:
        result = await while_connected(caller.request, work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return result

    using = asyncio.create_task(use())
    await caller.watched.wait()
    for event in (go, caller.leaves) if done_first else (caller.leaves, go):
        event.set()
    assert await using == 1


@pytest.mark.parametrize("error", [TimeoutError("of its own"), ValueError("of its own")])
async def test_what_the_work_raises_is_told_as_it_is(error: Exception) -> None:
    """A timeout of its own is no client who left."""

    async def work() -> None:
        raise error

    with pytest.raises(type(error), match="of its own"):
        await while_connected(Caller().request, work())


async def test_who_is_cancelled_by_others_is_cancelled() -> None:
    """As when the server ends: the work too, and not as if its client had left."""
    caller, ended = Caller(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    using = asyncio.create_task(while_connected(caller.request, work()))
    await caller.watched.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert ended == [True]


async def test_who_is_cancelled_by_others_too_is_cancelled() -> None:
    """Though the client left first: whoever ends the server waits for just that."""
    caller, left = Caller(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
            await asyncio.Event().wait()

    using = asyncio.create_task(while_connected(caller.request, work()))
    caller.leaves.set()
    await left.wait()
    using.cancel()
    await asyncio.wait({using}, timeout=30)
    assert using.cancelled()


async def test_nobody_watches_a_client_whose_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its connection hears next is for its next request."""
    monkeypatch.setattr(endpoints, "UNWATCHED_S", 0.0)
    caller = Caller()

    async def work() -> int:
        return 1

    assert await while_connected(caller.request, work()) == 1
    for _ in range(5):
        await asyncio.sleep(0)
    assert not caller.watched.is_set()


async def test_a_client_that_cannot_be_watched_counts_as_gone(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the server said; nothing goes on that nobody can end."""
    ended = []

    async def broken() -> Message:
        raise RuntimeError("no such stream")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(ClientDisconnect):
        await while_connected(Request({"type": "http"}, broken), work())
    assert ended == [True]
    assert "no such stream" in caplog.text
