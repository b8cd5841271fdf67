"""Who is at the other end of a request, seen through proxies that were named as trusted."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from gateway.settings import Network

_HOPS = 32


@dataclass(frozen=True, slots=True)
class Client:
    """address: as text, "" = not known. secure: whether the browser's own connection is encrypted."""

    address: str
    secure: bool

    @property
    def rate_key(self) -> str:
        """One for each client as far as limits go: an IPv6 client owns all of its /64."""
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(address, ipaddress.IPv4Address):
            return str(address)
        return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


def client_of(request: Request, trusted: Sequence[Network]) -> Client:
    """The client of a request. X-Forwarded-For and -Proto count only as far as trusted proxies wrote them."""
    address = request.client.host if request.client is not None else ""
    secure = request.url.scheme == "https"
    if not _is_trusted(address, trusted):
        return Client(address, secure)
    hops = [hop.strip() for line in request.headers.getlist("x-forwarded-for") for hop in line.split(",")]
    for hop in reversed(hops[-_HOPS:]):
        if not _is_address(hop):
            break
        address = hop
        if not _is_trusted(hop, trusted):
            break
    # The proxy next to us appends its own word last.
    protocols = [word.strip() for line in request.headers.getlist("x-forwarded-proto") for word in line.split(",")]
    if protocols:
        secure = protocols[-1].lower() == "https"
    return Client(address, secure)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    if not trusted or not _is_address(text):
        return False
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in trusted)
