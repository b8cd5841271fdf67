"""Bodies that are sent in pieces, and what counts as waiting for its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from starlette.types import Message

from gateway.limits import Unsent
from gateway.responses import TLS_PIECE_BYTES, InPieces
from gateway.streamed import Pieces, Streamed


async def nothing() -> Message:
    """Nobody says anything."""
    raise RuntimeError("nobody was to be asked")


async def taken(pieces: Pieces, unsent: Unsent | None = None, *, method: str = "GET", fails_at: int = -1) -> list[int]:
    """How much was unsent at each message; sending the one of that number fails."""
    held: list[int] = []

    async def send(message: Message) -> None:
        del message
        if len(held) == fails_at:
            raise OSError("the reader is gone")
        held.append(0 if unsent is None else unsent.held_bytes)

    await InPieces(pieces, unsent=unsent)({"type": "http", "method": method}, nothing, send)
    return held


def three(written: list[str], *, fails: bool = False) -> Streamed:
    """Pieces that tell when they are written."""

    def pieces() -> Iterator[bytes]:
        for _ in range(3):
            written.append("piece")
            yield b"1234"
            if fails:
                raise ValueError("it cannot be written")

    return Streamed(12, 12, pieces())


async def test_others_have_their_turn_while_a_body_is_written() -> None:
    """After each piece, also when its reader is quick."""
    turns: list[str] = []

    async def other() -> None:
        for _ in range(3):
            turns.append("other")
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await taken(three(turns))
    await beside
    assert turns == ["piece", "other"] * 3


async def test_for_head_nothing_is_written() -> None:
    """The length is known without."""
    written: list[str] = []
    await taken(three(written), method="HEAD")
    assert not written


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_over_tls_pieces_are_cut_and_the_body_is_the_same(scheme: str) -> None:
    """A piece is encrypted whole, whether its reader takes it or not."""
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        if message.get("body"):
            sent.append(bytes(message["body"]))

    pieces: list[bytes | memoryview] = [b"12", memoryview(bytes(range(250)) * 1500), b"345"]
    await InPieces(pieces)({"type": "http", "method": "GET", "scheme": scheme}, nothing, send)
    assert b"".join(sent) == b"".join(pieces)
    assert [len(piece) for piece in sent] == (
        [2, 375_000, 3] if scheme == "http" else [2, TLS_PIECE_BYTES, TLS_PIECE_BYTES, 375_000 % TLS_PIECE_BYTES, 3]
    )


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_body_waits_until_it_is_taken(method: str) -> None:
    """Also one of which only the head is; with one piece more, which may be copied, where all of it is there."""
    for pieces, held_bytes in (([b"1234"] * 3, 16), (three([]), 12)):
        unsent = Unsent(100)
        assert set(await taken(pieces, unsent, method=method)) == {held_bytes}
        assert unsent.held_bytes == 0


@pytest.mark.parametrize("fails_at", range(4))
async def test_a_body_whose_reader_is_gone_waits_no_longer(fails_at: int) -> None:
    """Whenever it went."""
    unsent = Unsent(100)
    with pytest.raises(OSError, match="gone"):
        await taken(three([]), unsent, fails_at=fails_at)
    assert unsent.held_bytes == 0


async def test_a_body_that_cannot_be_written_waits_no_longer() -> None:
    """What was sent of it is too short, so that its reader knows."""
    unsent = Unsent(100)
    with pytest.raises(ValueError, match="cannot be written"):
        await taken(three([], fails=True), unsent)
    assert unsent.held_bytes == 0
