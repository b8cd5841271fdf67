"""Listening sockets of HTTP listeners, by HOST:PORT."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

from keyviz_grpc.errors import SettingError


def bind(address: str) -> socket.socket:
    """A listening socket on HOST:PORT; port 0 = any free one. Raises SettingError naming the address."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    with contextlib.suppress(ValueError):
        host = str(ipaddress.ip_address(host))
    try:
        family, *_, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(where[0]), int(port)), family=family, backlog=1024)
    except OSError as error:
        raise SettingError(f"cannot listen on {address}: {error.strerror or error}") from error


def address_of(listener: socket.socket) -> str:
    """HOST:PORT as really bound."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
