"""Peers that tell of each other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from keyviz_grpc.addresses import parse_address
from keyviz_grpc.client import ClientShared, PeerClient
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.outcome import Outcome, Overview
from keyviz_grpc.peers.clients import Clients
from keyviz_grpc.peers.looking import Looking
from keyviz_grpc.peers.protocols import Peer, lost

REDISCOVER_S: Final = 15.0
LONGEST_LOOK_S: Final = 2.0
MOST_MEMBERS: Final = 1024
LONGEST_ADDRESS: Final = 259
"""A host name of 253 characters and a port."""
FAILED_AGAIN_S: Final = 2.0


class SeedPeers:
    """Seeds and the members that they tell of, by node id; asked again after a while, and soon when one is lost.

    Of members at most MOST_MEMBERS are believed, and only those with a HOST:PORT: what a seed says is dialled.

    A seed that does not answer and that no other one tells of is a failure of its own: a node whose absence must be
    seen. clock: seconds that only go forward.
    """

    def __init__(
        self, seeds: Sequence[str], shared: ClientShared, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seeds = list(dict.fromkeys(seeds))
        self._clients, self._seed_clients = Clients(shared), Clients(shared)
        self._looking = Looking(self._look, clock=clock)
        self._known: list[str] = []
        self._failed: list[Outcome] = []
        self._names: dict[str, str] = {}  # of seeds, as they called themselves last
        self._told: dict[str, str] = {}

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """See `Membership`."""
        await self._looking.fresh(deadline.left_s() / 2)
        clients = self._clients.of(self._known)
        for client in clients:
            client.told_id = self._told_id(client.address)
        return [*clients, *self._failed]

    async def _look(self) -> float:
        deadline = Deadline.after(LONGEST_LOOK_S)
        replies: dict[str, Overview | Outcome] = {}

        async def ask(seed: PeerClient) -> None:
            replies[seed.address] = reply = await seed.overview(deadline)
            if isinstance(reply, Overview) and not self._looking.some.is_set():
                # The first to answer will do for whoever waits; the others may be frozen.
                self._known = self._members(replies)
                self._looking.some.set()

        await asyncio.gather(*(ask(seed) for seed in self._seed_clients.of(self._seeds)))
        told = any(isinstance(reply, Overview) for reply in replies.values())
        if told:
            self._known = self._members(replies)
        missing = [replies[seed] for seed in self._seeds if not self._covered(seed, replies[seed], replies)]
        failed = [outcome for outcome in missing if isinstance(outcome, Outcome)]
        self._failed = [replace(outcome, node_id=self._told_id(outcome.address)) for outcome in failed]
        return REDISCOVER_S if told and not self._failed else FAILED_AGAIN_S

    def _members(self, replies: dict[str, Overview | Outcome]) -> list[str]:
        """The addresses of all that are told of, in the order of their names; a seed by the address it was given."""
        found: dict[str, str] = {}
        overviews = [(seed, replies.get(seed)) for seed in self._seeds]
        for seed, reply in overviews:
            if isinstance(reply, Overview):
                name = self._names[seed] = reply.self_.node_id or seed
                found.setdefault(name, seed)
        for _, reply in overviews:
            for member in reply.members if isinstance(reply, Overview) else ():
                if len(found) < MOST_MEMBERS and _is_address(member.address):
                    found.setdefault(member.node_id or member.address, member.address)
        self._told = {address: name for name, address in found.items()}
        return list(dict.fromkeys(found[name] for name in sorted(found)))

    def _told_id(self, address: str) -> str:
        name = self._told.get(address) or self._names.get(address, address)
        return "" if name == address else name

    def _covered(self, seed: str, reply: Overview | Outcome, replies: dict[str, Overview | Outcome]) -> bool:
        """Whether the seed is among those who will be asked, so that its failure is seen there."""
        if isinstance(reply, Overview) or seed in self._known:
            return True
        name = self._names.get(seed)
        overviews = [other for other in replies.values() if isinstance(other, Overview)]
        return any(member.node_id == name and member.address for other in overviews for member in other.members)

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """A lost member is looked for again."""
        if lost(outcomes):
            self._looking.soon()

    async def close(self) -> None:
        """See `Membership`."""
        await self._looking.close()
        await self._clients.close()
        await self._seed_clients.close()


def _is_address(text: str) -> bool:
    """Whether it is HOST:PORT in its plain form, and nothing that gRPC would take for a scheme."""
    if len(text) > LONGEST_ADDRESS:
        return False
    try:
        return parse_address(text) == text
    except ValueError:
        return False
