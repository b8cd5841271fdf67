"""Peers that are listed: on the command line, or in a file that is watched."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from keyviz_grpc.client import ClientShared
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import SettingError
from keyviz_grpc.files import mark_of
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.peers.clients import Clients
from keyviz_grpc.peers.protocols import Peer

log = logging.getLogger(__name__)


class StaticPeers:
    """A fixed list, in the order given; an address listed twice is one peer."""

    def __init__(self, addresses: Sequence[str], shared: ClientShared) -> None:
        self._addresses = list(dict.fromkeys(addresses))
        self._clients = Clients(shared)

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """See `Membership`."""
        del deadline
        return self._clients.of(self._addresses)

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """A fixed list stays what it is."""

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
        self._clients = Clients(shared)
        self._mark = mark_of(self._path)
        self._addresses = self._read()

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """See `Membership`."""
        del deadline
        mark = mark_of(self._path)
        if mark != self._mark:
            self._mark = mark
            try:
                self._addresses = self._read()
            except SettingError as error:
                log.warning("the new peers file is not used", extra={"reason": str(error)})
        return self._clients.of(self._addresses)

    def _read(self) -> list[str]:
        found = read_peers_file(self._path, self._parse)
        if not found:
            log.warning("the peers file names no node", extra={"file": str(self._path)})
        return found

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """A file says who is there, whether they answer or not."""

    async def close(self) -> None:
        """See `Membership`."""
        await self._clients.close()
