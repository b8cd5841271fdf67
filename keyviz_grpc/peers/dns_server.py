"""Resolving names by one DNS server instead of by the system's configuration."""

from __future__ import annotations

import ipaddress
import socket

import dns.asyncresolver
import dns.exception
import dns.name

from keyviz_grpc.peers.dns_peers import LONGEST_LOOKUP_S


class DnsServerResolver:
    """A `Resolver` that asks the server at `server` (HOST:PORT, host an IP address), and keeps nothing.

    Names are taken as they are, without search domains. Raises ValueError for a server that is no IP address.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [str(ipaddress.ip_address(host.strip("[]")))]
        self._resolver.port = int(port)
        self._resolver.lifetime = LONGEST_LOOKUP_S
        self._server = server

    async def __call__(self, host: str) -> list[str]:
        """Every A and AAAA address of the name. Raises OSError when it has none or the server does not answer."""
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        try:
            name = dns.name.from_text(host)
            answers = await self._resolver.resolve_name(name, family=socket.AF_UNSPEC)
        except dns.exception.DNSException as error:
            raise OSError(f"{type(error).__name__} from the DNS server {self._server}") from error
        return list(answers.addresses())
