"""Who is at the other end."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.clients import Client, client_of
from gateway.settings import parse_networks


def request_from(address: str | None, *headers: tuple[str, str], scheme: str = "http") -> Request:
    """A request as the server hands it on."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    client = None if address is None else (address, 1)
    scope = {"type": "http", "scheme": scheme, "client": client, "server": ("h", 80), "path": "/", "headers": raw}
    return Request(scope)


PROXIES = parse_networks("10.0.0.0/8, 192.0.2.1,fd00::/8")


@pytest.mark.parametrize(
    ("address", "forwarded", "seen"),
    [
        ("203.0.113.5", "1.1.1.1", "203.0.113.5"),
        ("10.1.1.1", "203.0.113.5", "203.0.113.5"),
        ("10.1.1.1", "6.6.6.6, 203.0.113.5", "203.0.113.5"),
        ("10.1.1.1", "203.0.113.5, 192.0.2.1", "203.0.113.5"),
        ("10.1.1.1", "203.0.113.5, evil, 192.0.2.1", "192.0.2.1"),
        ("10.1.1.1", "", "10.1.1.1"),
        ("10.1.1.1", "192.0.2.1, 10.9.9.9", "192.0.2.1"),
        ("::ffff:10.1.1.1", "2001:db8::7", "2001:db8::7"),
        ("fd00::1", "203.0.113.5", "203.0.113.5"),
    ],
)
def test_only_trusted_proxies_are_believed(address: str, forwarded: str, seen: str) -> None:
    """From the nearest hop outwards, up to the first that nobody vouches for."""
    assert client_of(request_from(address, ("X-Forwarded-For", forwarded)), PROXIES).address == seen


def test_the_scheme_of_the_browser_counts() -> None:
    """X-Forwarded-Proto of a trusted proxy, else our own listener's."""
    https = ("X-Forwarded-Proto", "https")
    assert client_of(request_from("10.1.1.1", https), PROXIES).secure
    assert not client_of(request_from("203.0.113.5", https), PROXIES).secure
    assert client_of(request_from("203.0.113.5", scheme="https"), ()).secure
    assert not client_of(request_from("10.1.1.1", ("X-Forwarded-Proto", "http"), scheme="https"), PROXIES).secure


def test_no_client_is_nobody() -> None:
    """A server that does not know whom it serves."""
    assert client_of(request_from(None), PROXIES) == Client("", secure=False)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("", ""),
    ],
)
def test_an_ipv6_client_owns_its_64(address: str, key: str) -> None:
    """Or one client had more attempts than there are secrets."""
    assert Client(address, secure=False).rate_key == key


@pytest.mark.parametrize("text", ["10.0.0.0/33", "host", "10.0.0.1/8"])
def test_what_is_no_network_is_named(text: str) -> None:
    """With its value."""
    with pytest.raises(ValueError, match=text):
        parse_networks(f"127.0.0.1,{text}")
