"""The four ways to know the peers. Each keeps one client an address, and closes those that left when they are idle."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from keyviz_grpc.client import ClientShared, PeerClient
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind, SettingError
from keyviz_grpc.files import mark_of
from keyviz_grpc.outcome import Outcome, Overview
from keyviz_grpc.peers.protocols import Peer

log = logging.getLogger(__name__)

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

REDISCOVER_S: Final = 15.0
RESOLVE_S: Final = 5.0
CLOSE_AFTER_S: Final = 30.0


class _Clients:
    """One client an address."""

    def __init__(self, shared: ClientShared) -> None:
        self._shared = shared
        self._clients: dict[str, PeerClient] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, addresses: Sequence[str]) -> list[PeerClient]:
        """The clients of these addresses; those of other addresses are closed once their calls have had time."""
        for address in [address for address in self._clients if address not in addresses]:
            task = asyncio.ensure_future(_close_later(self._clients.pop(address)))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for address in addresses:
            if address not in self._clients:
                self._clients[address] = PeerClient(address, self._shared)
        return [self._clients[address] for address in addresses]

    async def close(self) -> None:
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in self._clients.values()))
        self._clients.clear()


async def _close_later(client: PeerClient) -> None:
    try:
        await asyncio.sleep(CLOSE_AFTER_S)
    finally:
        await client.close()


class StaticPeers:
    """A fixed list, in the order given; an address listed twice is one peer."""

    def __init__(self, addresses: Sequence[str], shared: ClientShared) -> None:
        self._addresses = list(dict.fromkeys(addresses))
        self._clients = _Clients(shared)

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """See `Membership`."""
        del deadline
        return self._clients.of(self._addresses)

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """A fixed list stays what it is."""

    async def close(self) -> None:
        """See `Membership`."""
        await self._clients.close()


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a name as HOST:PORT, sorted. Raises OSError when it does not resolve."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    hosts = sorted(
        {str(entry[4][0]) for entry in found}, key=lambda text: ipaddress.ip_address(text.split("%")[0]).packed
    )
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts]


def _packed(host: str) -> bytes:
    return ipaddress.ip_address(host.partition("%")[0]).packed


class DnsPeers:
    """Every address of NAME:PORT, resolved anew every few seconds; when that fails, the addresses known stay in use."""

    def __init__(
        self,
        name: str,
        shared: ClientShared,
        *,
        resolver: Resolver = resolve,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        host, _, port = name.rpartition(":")
        self._name, self._host, self._port = name, host.strip("[]"), int(port)
        self._resolver, self._clock = resolver, clock
        self._clients = _Clients(shared)
        self._known: list[str] = []
        self._until = -1.0

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """See `Membership`."""
        failed: list[Outcome] = []
        if self._clock() >= self._until:
            try:
                async with asyncio.timeout(min(1.0, deadline.left_s() / 2)):
                    self._known = list(await self._resolver(self._host, self._port))
                self._until = self._clock() + RESOLVE_S
            except (OSError, TimeoutError) as error:
                log.warning("a name does not resolve", extra={"peer_name": self._name, "reason": str(error)})
                failed.append(Outcome(self._name, kind=FailureKind.UNREACHABLE, detail=f"does not resolve: {error}"))
        return [*self._clients.of(self._known), *failed]

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """A peer that went away may have a new address."""
        if any(outcome.kind is FailureKind.UNREACHABLE for outcome in outcomes):
            self._until = min(self._until, self._clock() + 1.0)

    async def close(self) -> None:
        """See `Membership`."""
        await self._clients.close()


def read_peers_file(path: Path, parse: Callable[[str], str]) -> list[str]:
    """One HOST:PORT a line, blank lines and # comments aside. Raises SettingError naming file and line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"peers file {str(path)!r} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(parse(text))
        except ValueError as error:
            raise SettingError(f"peers file {str(path)!r}, line {number}: {text!r}: {error}") from error
    return list(dict.fromkeys(found))


class FilePeers:
    """The addresses of a file, read again when it changes; a bad new file leaves the last good list in use.

    parse: HOST:PORT checked, or ValueError. Raises SettingError for a file that is bad from the start.
    """

    def __init__(self, path: Path, shared: ClientShared, *, parse: Callable[[str], str]) -> None:
        self._path, self._parse = path, parse
        self._clients = _Clients(shared)
        self._mark = mark_of(self._path)
        self._addresses = read_peers_file(path, parse)

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """See `Membership`."""
        del deadline
        mark = mark_of(self._path)
        if mark != self._mark:
            self._mark = mark
            try:
                self._addresses = read_peers_file(self._path, self._parse)
            except SettingError as error:
                log.warning("the new peers file is not used", extra={"reason": str(error)})
        return self._clients.of(self._addresses)

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """A file says who is there, whether they answer or not."""

    async def close(self) -> None:
        """See `Membership`."""
        await self._clients.close()


class SeedPeers:
    """Seeds and the members that they tell of, by node id; asked again after a while, and at once when one is lost."""

    def __init__(
        self, seeds: Sequence[str], shared: ClientShared, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seeds, self._clock = list(dict.fromkeys(seeds)), clock
        self._clients = _Clients(shared)
        self._seed_clients = _Clients(shared)
        self._known: list[str] = []
        self._until = -1.0
        self._failed: list[Outcome] = []

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """See `Membership`."""
        if self._clock() >= self._until:
            await self._discover(deadline.child(1.0, 0.4))
        return [*self._clients.of(self._known), *self._failed]

    async def _discover(self, deadline: Deadline) -> None:
        seeds = self._seed_clients.of(self._seeds)
        replies = await asyncio.gather(*(seed.overview(deadline) for seed in seeds))
        found: dict[str, str] = {}
        failed = []
        for seed, reply in zip(seeds, replies, strict=True):
            if not isinstance(reply, Overview):
                failed.append(reply)
                continue
            found[reply.self_.node_id or seed.address] = seed.address
            for member in reply.members:
                if member.address:
                    found.setdefault(member.node_id or member.address, member.address)
        if found:
            self._known = list(dict.fromkeys(found[name] for name in sorted(found)))
            self._failed = [] if len(failed) < len(seeds) else failed
            self._until = self._clock() + REDISCOVER_S
        else:
            # Nobody tells anything: who was known stays, and the seeds show why nothing new is known.
            self._failed = [] if self._known else failed

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """A lost member is looked for again at the next request."""
        if any(outcome.kind is FailureKind.UNREACHABLE for outcome in outcomes):
            self._until = -1.0

    async def close(self) -> None:
        """See `Membership`."""
        await self._clients.close()
        await self._seed_clients.close()
