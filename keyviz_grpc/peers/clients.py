"""One client an address, kept as long as the address is in the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from keyviz_grpc.client import ClientShared, PeerClient

CLOSE_AFTER_S: Final = 30.0
"""A request that was told of a peer before it left may still be about to call it."""

IDLE_LOOK_S: Final = 0.2


class Clients:
    """The clients of one membership. For one event loop."""

    def __init__(self, shared: ClientShared) -> None:
        self._shared = shared
        self._clients: dict[str, PeerClient] = {}
        self._last: tuple[list[str], tuple[PeerClient, ...]] = [], ()
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, addresses: Sequence[str]) -> Sequence[PeerClient]:
        """The clients of these addresses; those of other addresses are closed once they have been idle for a while."""
        if addresses == self._last[0]:
            return self._last[1]
        for address in self._clients.keys() - set(addresses):
            task = asyncio.ensure_future(_close_when_idle(self._clients.pop(address)))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for address in addresses:
            if address not in self._clients:
                self._clients[address] = PeerClient(address, self._shared)
        self._last = list(addresses), tuple(self._clients[address] for address in addresses)
        return self._last[1]

    async def close(self) -> None:
        """Closes all at once."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in self._clients.values()))
        self._clients.clear()
        self._last = [], ()


async def _close_when_idle(client: PeerClient) -> None:
    try:
        await asyncio.sleep(CLOSE_AFTER_S)
        while client.questions:  # noqa: ASYNC110 - each call is bounded by its own deadline
            await asyncio.sleep(IDLE_LOOK_S)
    finally:
        await client.close()
