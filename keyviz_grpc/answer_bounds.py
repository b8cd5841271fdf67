"""How large an answer may be that a server sends."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from keyviz_grpc.errors import TooLarge
from keyviz_grpc.outcome import Answer


@dataclass(frozen=True, slots=True)
class AnswerBounds:
    """The largest matrix that is sent."""

    max_rows: int
    max_columns: int

    def check(self, shape: tuple[int, int]) -> None:
        """Raises TooLarge; its words are those by which callers know that a shorter slice of time may fit."""
        rows, columns = shape
        if rows > self.max_rows:
            raise _larger(rows, "rows", self.max_rows, "ask for a row budget")
        if columns > self.max_columns:
            raise _larger(columns, "columns", self.max_columns, "ask for a shorter window")

    def check_all(self, answer: Answer) -> None:
        """The same for an answer, and for those of its leaves that it carries."""
        for matrix in answer.matrices:
            self.check(matrix.shape)


UNBOUNDED: Final = AnswerBounds(sys.maxsize, sys.maxsize)


def _larger(count: int, what: str, limit: int, hint: str) -> TooLarge:
    return TooLarge(f"an answer of {count} {what} is larger than max_{what}={limit} of this server: {hint}")
