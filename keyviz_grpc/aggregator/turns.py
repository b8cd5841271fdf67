"""How many peers are asked at the same moment, and none of them at the cost of the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from keyviz_grpc.curfew import Curfew
from keyviz_grpc.deadline import NOT_IN_TIME, Deadline
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.outcome import Outcome

_Reply = TypeVar("_Reply")

GRACE_S: Final = 0.25
"""How much later than its deadline a call is done at the latest."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    address: str
    peers: int
    turn: asyncio.Future[None]


class Turns:
    """At most `limit` calls at once, of one peer at most its share of them; for one event loop.

    A peer that does not answer holds its own share by the questions of many callers, and never what is for others.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside: dict[str, int] = {}
        self._total = 0
        self._waiting: list[_Waiting] = []
        self._curfew = Curfew()

    async def ask(
        self, address: str, peers: int, call: Callable[[Deadline], Awaitable[_Reply]], deadline: Deadline
    ) -> _Reply | Outcome:
        """What the call gives when it is the peer's turn, GRACE_S after the deadline at the latest.

        A peer keeps to its deadline by itself; what it takes to read its answer does not count on that.
        """
        number = self._curfew.enter(deadline.left_s() + GRACE_S)
        try:
            if not self._enters(address, peers):
                await self._wait(address, peers)
            try:
                return await call(deadline)
            finally:
                self._leave(address)
        except (asyncio.CancelledError, TimeoutError) as error:
            if isinstance(error, asyncio.CancelledError) and not self._curfew.is_why(number):
                raise
            return Outcome(address, kind=FailureKind.DEADLINE_EXCEEDED, detail=NOT_IN_TIME)
        finally:
            self._curfew.leave(number)

    @contextlib.asynccontextmanager
    async def of(self, address: str, peers: int) -> AsyncIterator[None]:
        """One call to the peer inside the block, when it is its turn; peers: how many there are to ask."""
        if not self._enters(address, peers):
            await self._wait(address, peers)
        try:
            yield
        finally:
            self._leave(address)

    def _share(self, peers: int) -> int:
        return max(1, self._limit // max(1, peers))

    def _enters(self, address: str, peers: int) -> bool:
        """Whether it is its turn at once."""
        inside = self._inside.get(address, 0)
        if self._total >= self._limit or inside >= self._share(peers):
            return False
        self._total += 1
        self._inside[address] = inside + 1
        return True

    async def _wait(self, address: str, peers: int) -> None:
        waiting = _Waiting(address, peers, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.cancelled():
                self._waiting.remove(waiting)
            else:  # its turn came in the same moment
                self._leave(waiting.address)
            raise

    def _leave(self, address: str) -> None:
        self._total -= 1
        inside = self._inside.pop(address)
        if inside > 1:
            self._inside[address] = inside - 1
        if not self._waiting:
            return
        still: list[_Waiting] = []
        for waiting in self._waiting:
            if not waiting.turn.done() and self._enters(waiting.address, waiting.peers):
                waiting.turn.set_result(None)
            else:
                still.append(waiting)
        self._waiting = still
