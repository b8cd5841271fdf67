"""Addresses as people write them and nodes tell them: HOST:PORT."""

from __future__ import annotations

import ipaddress
import re

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


def parse_address(text: str) -> str:
    """`HOST:PORT` in its plain form, an IPv6 host in brackets; ValueError, whose text says what is wrong, otherwise."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not host:
        raise ValueError("expected HOST:PORT, an IPv6 host in brackets ([::1]:50051)")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"port {port!r} is not a number from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError as error:
            raise ValueError(f"{host} is not an IPv6 address in brackets") from error
    elif not _HOST.fullmatch(host):
        raise ValueError(f"{host!r} is not a host name or an address (IPv6 goes in brackets: [::1]:50051)")
    return f"{host}:{int(port)}"


def is_wildcard(address: str) -> bool:
    """Whether HOST:PORT, in its plain form, is every address of a machine rather than one."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
