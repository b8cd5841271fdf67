"""Signing in and out, and who may look."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.session import EphemeralKey, Role, Sessions
from gateway.settings import GatewaySettings, parse_networks
from gateway.users import Users
from tests.unit.gateway.scripted import API, MATRIX, asking

LOGIN, LOGOUT = f"{API}/auth/login", f"{API}/auth/logout"
RIGHT = {"access_key": "looker", "secret_key": "planted-secret"}


@pytest.fixture
def users(tmp_path: Path) -> Users:
    """A user who may look and one who may nothing."""
    path = tmp_path / "users.json"
    path.write_text(
        json.dumps({"users": [{**RIGHT, "role": "read_only"}, {"access_key": "nobody", "secret_key": "known"}]})
    )
    return Users(path)


@pytest.fixture
def sessions() -> Sessions:
    """Looking needs a session."""
    return Sessions([EphemeralKey()])


@pytest_asyncio.fixture
async def client(users: Users, sessions: Sessions) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway with credentials."""
    async with asking(users=users, sessions=sessions, settings=GatewaySettings(login_attempts=1000)) as client:
        yield client


@pytest.fixture
def audited(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """(what, who, outcome) of every audit line so far."""
    with caplog.at_level(logging.INFO, "keyviz.audit"):
        yield lambda: [
            (r.getMessage(), r.__dict__["who"], r.__dict__["outcome"])
            for r in caplog.records
            if r.name == "keyviz.audit"
        ]


def cookies_of(response: httpx.Response) -> dict[str, Any]:
    """Set-Cookie headers by name."""
    found: dict[str, Any] = {}
    for line in response.headers.get_list("set-cookie"):
        found |= SimpleCookie(line)
    return found


async def test_the_right_pair_gets_a_session(client: httpx.AsyncClient, audited: Any) -> None:
    """Role and expiry in the body; afterwards the cluster can be looked at."""
    refused = await client.get(MATRIX)
    assert (refused.status_code, refused.json()["error"]) == (401, "unauthenticated")
    response = await client.post(LOGIN, json=RIGHT)
    assert response.status_code == 200
    body = response.json()
    assert body["role"] == "read_only"
    assert body["expires_at"].endswith("Z")
    assert response.headers["cache-control"] == "no-store"
    assert (await client.get(MATRIX)).status_code == 200
    assert audited() == [("look", "", "unauthenticated"), ("login", "looker", "ok")]


async def test_the_cookies_are_as_existing_nodes_set_them(client: httpx.AsyncClient) -> None:
    """admin_session out of reach of scripts, admin_csrf within; Path=/admin, SameSite=Strict, an hour."""
    cookies = cookies_of(await client.post(LOGIN, json=RIGHT))
    assert set(cookies) == {"admin_session", "admin_csrf"}
    for name, cookie in cookies.items():
        assert cookie["path"] == "/admin"
        assert cookie["samesite"].lower() == "strict"
        assert cookie["max-age"] == "3600"
        assert bool(cookie["httponly"]) is (name == "admin_session")
        assert not cookie["secure"]


@pytest.mark.parametrize(
    ("settings", "headers", "secure"),
    [
        (GatewaySettings(secure_cookies=True), {}, True),
        (GatewaySettings(), {"X-Forwarded-Proto": "https"}, False),
        (GatewaySettings(trusted_proxies=parse_networks("192.0.2.0/24")), {"X-Forwarded-Proto": "https"}, True),
    ],
)
async def test_cookies_are_for_https_alone_where_that_is_what_the_browser_speaks(
    users: Users, sessions: Sessions, settings: GatewaySettings, headers: dict[str, str], secure: bool
) -> None:
    """By the listener, or by the word of a trusted proxy."""
    async with asking(users=users, sessions=sessions, settings=settings) as client:
        cookies = cookies_of(await client.post(LOGIN, json=RIGHT, headers=headers))
    assert {bool(cookie["secure"]) for cookie in cookies.values()} == {secure}


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
        (b"access_key=a&secret_key=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"", "application/json", 400, "invalid_body"),
        (b"{", "application/json", 400, "invalid_body"),
        (b"\xff\xfe", "application/json", 400, "invalid_body"),
        (b"[]", "application/json", 400, "invalid_body"),
        (b'"a"', "application/json", 400, "invalid_body"),
        (b'{"access_key": 1, "secret_key": "b"}', "application/json", 400, "invalid_body"),
        (b'{"access_key": "a", "secret_key": {}}', "application/json", 400, "invalid_body"),
        (b"{}", "application/json; charset=utf-8", 400, "missing_fields"),
        (b'{"access_key": "a"}', "Application/JSON", 400, "missing_fields"),
        (b'{"access_key": "", "secret_key": "b"}', "application/json", 400, "missing_fields"),
        (b'{"access_key": "a", "secret_key": null}', "application/json", 400, "missing_fields"),
        (b" " * 4097, "application/json", 413, "payload_too_large"),
        (b"[" * 4000, "application/json", 400, "invalid_body"),
        (b'{"access_key": "looker", "secret_key": "wrong"}', "application/json", 401, "invalid_credentials"),
        (b'{"access_key": "stranger", "secret_key": "known"}', "application/json", 401, "invalid_credentials"),
        (b'{"access_key": "nobody", "secret_key": "wrong"}', "application/json", 401, "invalid_credentials"),
        (b'{"access_key": "nobody", "secret_key": "known"}', "application/json", 403, "forbidden"),
    ],
)
async def test_anything_else_is_refused(
    client: httpx.AsyncClient, audited: Any, *, content: bytes, kind: str, status: int, code: str
) -> None:
    """With the code of its kind, without a cookie, and with one audit line."""
    response = await client.post(LOGIN, content=content, headers={"content-type": kind})
    assert (response.status_code, response.json()["error"]) == (status, code)
    assert "set-cookie" not in response.headers
    assert [(what, outcome) for what, _, outcome in audited()] == [("login", code)]


async def test_an_unknown_key_looks_like_a_wrong_secret(client: httpx.AsyncClient) -> None:
    """Byte for byte."""
    bodies = {
        (await client.post(LOGIN, json={"access_key": key, "secret_key": "wrong"})).content
        for key in ("looker", "stranger", "nobody")
    }
    assert len(bodies) == 1


async def test_a_body_without_an_end_is_cut(client: httpx.AsyncClient) -> None:
    """413 as soon as it is too large, whatever it says of its length."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    response = await client.post(LOGIN, content=endless(), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]) == (413, "payload_too_large")


async def test_five_attempts_a_minute_and_client(users: Users, sessions: Sessions, audited: Any) -> None:
    """The sixth is 429 with Retry-After, also with the right pair."""
    async with asking(users=users, sessions=sessions) as client:
        for _ in range(5):
            assert (await client.post(LOGIN, json={"access_key": "x", "secret_key": "y"})).status_code == 401
        response = await client.post(LOGIN, json=RIGHT)
    assert (response.status_code, response.json()["error"]) == (429, "rate_limited")
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert audited()[-1] == ("login", "", "rate_limited")


async def test_clients_behind_a_trusted_proxy_are_told_apart(users: Users, sessions: Sessions) -> None:
    """And nobody escapes the limit by making up X-Forwarded-For."""
    trusting = GatewaySettings(trusted_proxies=parse_networks("192.0.2.9"))
    for settings, after in ((trusting, 401), (GatewaySettings(), 429)):
        async with asking(users=users, sessions=sessions, settings=settings) as client:
            for number in range(6):
                headers = {"X-Forwarded-For": f"203.0.113.{number}"}
                response = await client.post(LOGIN, json={"access_key": "x", "secret_key": "y"}, headers=headers)
        assert response.status_code == after


async def test_signing_out_needs_the_session_and_its_csrf_cookie(client: httpx.AsyncClient, audited: Any) -> None:
    """401 without the session, 403 without or with another header; then 204 and no session."""
    assert (await client.post(LOGOUT)).json()["error"] == "unauthenticated"
    await client.post(LOGIN, json=RIGHT)
    csrf = client.cookies["admin_csrf"]
    wrong = [(b"X-Admin-CSRF", "é".encode("latin-1"))]
    for headers, code in (([], "csrf_missing"), (wrong, "csrf_mismatch")):
        refused = await client.post(LOGOUT, headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (403, code)
    response = await client.post(LOGOUT, headers={"X-Admin-CSRF": csrf})
    assert response.status_code == 204
    assert response.content == b""
    cleared = cookies_of(response)
    assert {(name, cookie.value, cookie["max-age"]) for name, cookie in cleared.items()} == {
        ("admin_session", "", "0"),
        ("admin_csrf", "", "0"),
    }
    assert (await client.get(MATRIX)).status_code == 401
    outcomes = [outcome for what, _, outcome in audited() if what == "logout"]
    assert outcomes == ["unauthenticated", "csrf_missing", "csrf_mismatch", "ok"]


async def test_a_refused_look_says_whom_the_session_names(client: httpx.AsyncClient, audited: Any) -> None:
    """Which proves nothing: it may be over, or be made up."""
    over, _ = Sessions([EphemeralKey()]).mint("ann" * 100, Role.FULL)
    client.cookies.set("admin_session", over)
    assert (await client.get(MATRIX)).status_code == 401
    assert (await client.post(LOGOUT)).status_code == 401
    client.cookies.set("admin_session", "a.b.c")
    assert (await client.get(MATRIX)).status_code == 401
    named = ("ann" * 100)[:64]
    assert audited() == [
        ("look", named, "unauthenticated"),
        ("logout", named, "unauthenticated"),
        ("look", "", "unauthenticated"),
    ]


async def test_a_csrf_header_alone_is_not_enough(client: httpx.AsyncClient) -> None:
    """It must be the cookie again."""
    await client.post(LOGIN, json=RIGHT)
    client.cookies.delete("admin_csrf", path="/admin", domain="gateway.test")
    assert (await client.post(LOGOUT, headers={"X-Admin-CSRF": "x"})).json()["error"] == "csrf_missing"


@pytest.mark.parametrize("role", list(Role))
async def test_both_roles_may_look(client: httpx.AsyncClient, sessions: Sessions, role: Role) -> None:
    """Everywhere where a session is needed; elsewhere none is."""
    looks = [MATRIX, f"{API}/cluster", f"{API}/keyviz/cell?bucket_id=route:1&column_unix_ms=1"]
    for path in looks:
        assert (await client.get(path)).status_code == 401
    token, _ = sessions.mint("ops", role)
    for path in looks:
        assert (await client.get(path, headers={"cookie": f"admin_session={token}"})).status_code == 200
    for path in ("/admin/healthz", "/admin/readyz", f"{API}/openapi.json"):
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "header", ["admin_session=x", "admin_session", "=", ";;;", 'admin_session="\\', "a=b; " * 1000]
)
async def test_a_cookie_header_that_is_no_session(client: httpx.AsyncClient, header: str) -> None:
    """401, whatever it is."""
    assert (await client.get(MATRIX, headers={"cookie": header})).status_code == 401


async def test_without_a_users_file_only_sessions_from_elsewhere_count(sessions: Sessions) -> None:
    """Nobody can sign in here."""
    async with asking(sessions=sessions) as client:
        assert (await client.post(LOGIN, json=RIGHT)).status_code == 401
        token, _ = sessions.mint("ops", Role.READ_ONLY)
        assert (await client.get(MATRIX, headers={"cookie": f"admin_session={token}"})).status_code == 200


async def test_without_credentials_a_page_that_insists_on_signing_in_may() -> None:
    """Looking is open to all; login and logout work all the same."""
    async with asking() as client:
        assert (await client.get(MATRIX)).status_code == 200
        assert (await client.post(LOGIN, json=RIGHT)).json()["role"] == "full"
        response = await client.post(LOGOUT, headers={"X-Admin-CSRF": client.cookies["admin_csrf"]})
        assert response.status_code == 204


async def test_no_secret_reaches_the_log(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """Not the secret, not the session, not the CSRF value, on any path."""
    with caplog.at_level(logging.DEBUG):
        await client.post(LOGIN, json=RIGHT)
        secrets = [RIGHT["secret_key"], client.cookies["admin_session"], client.cookies["admin_csrf"]]
        await client.get(MATRIX)
        await client.post(LOGIN, json={"access_key": "nobody", "secret_key": RIGHT["secret_key"]})
        await client.post(LOGIN, content=json.dumps(RIGHT)[:-1], headers={"content-type": "application/json"})
        await client.post(LOGOUT, headers={"X-Admin-CSRF": secrets[2]})
    ours = [record for record in caplog.records if record.name.startswith(("gateway", "keyviz"))]
    assert ours
    text = str([record.__dict__ for record in ours])
    assert not [secret for secret in secrets if secret in text]
