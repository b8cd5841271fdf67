"""Bodies that are written while they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.row_texts import Piece


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """A body of `size_bytes`, for one reader: each of its pieces is written when it is asked for, and then forgotten.

    held_bytes: what they are written from, and those that are on their way: one copied for its reader, and the next.

    What was just written is sent from the caches, and its reader takes it while the next piece is written.
    """

    size_bytes: int
    held_bytes: int
    pieces: Iterator[Piece]

    def __iter__(self) -> Iterator[Piece]:
        return self.pieces


Pieces: TypeAlias = Sequence[Piece] | Streamed
"""Of a body. Several readers may take those of a sequence."""


def size_of(pieces: Pieces) -> int:
    """In bytes, of all together."""
    return pieces.size_bytes if isinstance(pieces, Streamed) else sum(map(len, pieces))


def held_by(pieces: Pieces) -> int:
    """What a body takes in bytes until its readers have it."""
    return max(pieces.size_bytes, pieces.held_bytes) if isinstance(pieces, Streamed) else size_of(pieces)


def copied_of(pieces: Pieces) -> int:
    """What a body takes besides for each of its readers: of a piece the connection copies what is not taken at once.

    What is written while it is sent has that in what it is held by.
    """
    return 0 if isinstance(pieces, Streamed) else max(map(len, pieces), default=0)
