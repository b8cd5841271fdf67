"""How much a reader must take of what waits for it, with a transport whose buffer is told."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from gateway import connection
from gateway.connection import LEAST_TAKEN_BYTES, BoundedConnection


class Told(asyncio.Transport):
    """Holds what it is told, one figure a look; the last one stays."""

    def __init__(self, *held: int) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2), "socket": socket.socket()})
        self._held, self.looks = list(held), 0
        self.cut = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        """The next figure."""
        self.looks += 1
        return self._held.pop(0) if len(self._held) > 1 else self._held[0]

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It tells figures of its own."""

    def abort(self) -> None:
        """Ends it."""
        self.get_extra_info("socket").close()
        self.cut.set()

    def is_closing(self) -> bool:
        """Only once it is cut."""
        return self.cut.is_set()

    def close(self) -> None:
        """It is cut already."""

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""


class Closing(Told):
    """Closes when all that it holds is taken."""

    def is_closing(self) -> bool:
        """All the time."""
        return True


class Ended(Told):
    """Closes when it is told to, and takes nothing of what it is given. answered: it was given something."""

    def __init__(self, *held: int) -> None:
        super().__init__(*held)
        self.answered, self._closing = asyncio.Event(), False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keeps none of it."""
        del data
        self.answered.set()

    def is_closing(self) -> bool:
        """From then on."""
        return self._closing

    def close(self) -> None:
        """When the rest is taken."""
        self._closing = True


@pytest.mark.parametrize(
    ("held", "looks"),
    [
        ([1 << 20, 1 << 20], 1),
        ([1 << 20, (1 << 20) - 1], 1),
        ([1 << 20, (1 << 20) - LEAST_TAKEN_BYTES + 1], 1),
        ([2 << 20, (2 << 20) - LEAST_TAKEN_BYTES, (2 << 20) - 2 * LEAST_TAKEN_BYTES, 1 << 20], 4),
    ],
    ids=["nothing", "a byte", "a byte too little", "enough, twice"],
)
async def test_who_takes_too_little_is_cut_at_the_next_look(
    monkeypatch: pytest.MonkeyPatch, held: list[int], looks: int
) -> None:
    """However steadily it takes that little."""
    monkeypatch.setattr(connection, "STALLED_S", 0.01)
    transport = Told(*held)
    made = BoundedConnection(uvicorn.Config(Starlette(), log_config=None), ServerState(), {})
    made.connection_made(transport)
    made.pause_writing()
    await asyncio.wait_for(transport.cut.wait(), 30)
    assert transport.looks == 1 + looks
    made.connection_lost(None)


async def test_the_rest_of_a_last_answer_is_watched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a connection that closes with it: however little is left, and whatever the transport says of writing on."""
    monkeypatch.setattr(connection, "STALLED_S", 0.01)
    transport = Closing(1000)
    made = BoundedConnection(uvicorn.Config(Starlette(), log_config=None), ServerState(), {})
    made.connection_made(transport)
    made.on_response_complete()
    made.resume_writing()
    await asyncio.wait_for(transport.cut.wait(), 30)
    made.connection_lost(None)


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"], ids=["at once", "after an answer"])
async def test_the_answer_to_what_is_not_http_is_watched_too(monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    """With all that waits before it: who sends nonsense and reads nothing keeps no connection."""
    monkeypatch.setattr(connection, "STALLED_S", 0.01)
    transport = Ended(1000)
    config = uvicorn.Config(Starlette(), log_config=None)
    config.load()
    made = BoundedConnection(config, ServerState(), {})
    made.connection_made(transport)
    if before:
        made.data_received(before)
        await asyncio.wait_for(transport.answered.wait(), 30)
    made.data_received(b"nonsense\r\n\r\n")
    assert transport.is_closing()
    await asyncio.wait_for(transport.cut.wait(), 30)
    made.connection_lost(None)
