"""What the HTTP face is told about itself, validated once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from keyviz_grpc.errors import SettingError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

BUILT_IN_PAGE: Final = Path(__file__).parent / "static"
"""Where `make ui` puts the page."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8,192.0.2.7` as networks; ValueError naming the one that is none."""
    networks = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(part))
        except ValueError as error:
            raise ValueError(f"{part!r} is not an address or a network such as 10.0.0.0/8: {error}") from error
    return tuple(networks)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """How the HTTP face serves. Raises SettingError for values that make no sense, naming them.

    page: the folder of a built page. timeout_s: seconds that one request may take in all, fan-out and rendering.
    max_requests: requests to the API in flight, one more is refused with 503. max_unsent_bytes: of matrices that
    their readers have not taken; while more wait, further ones are refused with 503. secure_cookies: whether cookies
    are for https alone. trusted_proxies: whose X-Forwarded-For and X-Forwarded-Proto are believed. login_attempts: a
    minute and client address.
    """

    page: Path = BUILT_IN_PAGE
    timeout_s: float = 10.0
    max_requests: int = 256
    max_unsent_bytes: int = 256 << 20
    secure_cookies: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    login_attempts: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.timeout_s <= 3600:
            raise SettingError(f"timeout_s={self.timeout_s} must be above 0 and at most 3600")
        for name in ("max_requests", "max_unsent_bytes", "login_attempts"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} must be at least 1")
