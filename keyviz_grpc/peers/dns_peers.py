"""Peers behind one DNS name, such as a headless service."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import queue
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from keyviz_grpc.client import ClientShared
from keyviz_grpc.deadline import NOT_IN_TIME, Deadline
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.peers.clients import Clients
from keyviz_grpc.peers.looking import BETWEEN_S, Looking
from keyviz_grpc.peers.protocols import Peer, lost

log = logging.getLogger(__name__)

Resolver: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""From a host name to every IP address that it has, in any order; OSError when there is none."""

RESOLVE_S: Final = 5.0
LONGEST_LOOKUP_S: Final = 5.0


async def resolve(host: str) -> list[str]:
    """By the system's own means (hosts file, search domains, DNS). A `Resolver`."""
    found = await _LOOKUPS.ask(host)
    return [str(entry[4][0]) for entry in found]


class _Lookups:
    """A lookup of the system cannot be called off: in one thread of their own, those that hang do not pile up.

    A daemon, for a command that ends does not wait for the name service.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[str, asyncio.AbstractEventLoop, asyncio.Future[list[Any]]]] = (
            queue.SimpleQueue()
        )
        self._begin = threading.Lock()
        self._thread: threading.Thread | None = None

    async def ask(self, host: str) -> list[Any]:
        """What `getaddrinfo` says."""
        with self._begin:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="keyviz-resolve", daemon=True)
                self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Any]] = loop.create_future()
        self._asked.put((host, loop, answer))
        return await answer

    def _run(self) -> None:
        while True:
            host, loop, answer = self._asked.get()
            if answer.cancelled():
                continue
            found: list[Any] | OSError | UnicodeError
            try:
                found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                found = error
            with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
                loop.call_soon_threadsafe(_settle, answer, found)


def _settle(answer: asyncio.Future[list[Any]], found: list[Any] | OSError | UnicodeError) -> None:
    if answer.done():
        return
    if isinstance(found, list):
        answer.set_result(found)
    else:
        answer.set_exception(found)


_LOOKUPS: Final = _Lookups()


class DnsPeers:
    """Every address of NAME:PORT, resolved anew every few seconds; when that fails, the addresses known stay in use.

    The failure is told beside them until the name resolves again. clock: seconds that only go forward.
    """

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
        self._resolver = resolver
        self._clients = Clients(shared)
        self._looking = Looking(self._look, clock=clock)
        self._known: list[str] = []
        self._failure = NOT_IN_TIME

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """See `Membership`."""
        await self._looking.fresh(deadline.left_s() / 2)
        failed: list[Outcome] = []
        if self._failure:
            detail = f"does not resolve: {self._failure}"
            failed.append(Outcome(self._name, kind=FailureKind.UNREACHABLE, detail=detail))
        return [*self._clients.of(self._known), *failed]

    async def _look(self) -> float:
        try:
            async with asyncio.timeout(LONGEST_LOOKUP_S):
                found = await self._resolver(self._host)
            self._known = [_with_port(address, self._port) for address in _sorted(found)]
        except (OSError, TimeoutError, ValueError) as error:
            reason = str(error) or NOT_IN_TIME
            if reason != self._failure:
                log.warning("a name does not resolve", extra={"peer_name": self._name, "reason": reason})
            self._failure = reason
            return BETWEEN_S
        self._failure = ""
        self._looking.some.set()
        return RESOLVE_S

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """A peer that went away may have a new address."""
        if lost(outcomes):
            self._looking.soon()

    async def close(self) -> None:
        """See `Membership`."""
        await self._looking.close()
        await self._clients.close()


def _sorted(addresses: Sequence[str]) -> list[str]:
    """Each address once, by family and number. ValueError for what is no address, OSError where there is none."""

    def rank(address: str) -> tuple[int, bytes]:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        return parsed.version, parsed.packed

    if not addresses:
        raise OSError("the name has no address")
    return sorted(set(addresses), key=rank)


def _with_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
