"""The cookie's token: what is minted, what is accepted, what is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session import LIFE_S, EphemeralKey, Role, Session, Sessions
from keyviz_grpc.auth import KeyFile, mint_token

NOW = 1_777_290_300
KEY = bytes(range(64))
OLD = bytes(range(64, 128))


class Fixed:
    """A key that stays."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def current(self) -> bytes:
        """See `Key`."""
        return self.key


def sessions(*keys: bytes, now: float = NOW) -> Sessions:
    """Sessions under these keys at one moment."""
    return Sessions([Fixed(key) for key in keys or (KEY,)], clock=lambda: now)


def part(value: object) -> str:
    """One part of a token."""
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def token(key: bytes = KEY, header: object = None, **changed: Any) -> str:
    """A token as an existing node mints it, with some claims changed; None leaves a claim out."""
    claims = {"sub": "ops", "role": "full", "iat": NOW, "exp": NOW + LIFE_S, "jti": "abc"} | changed
    claims = {name: value for name, value in claims.items() if value is not None}
    signed = part({"alg": "HS256", "typ": "JWT"} if header is None else header) + "." + part(claims)
    signature = hmac.digest(key, signed.encode(), hashlib.sha256)
    return signed + "." + base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


def test_what_we_mint_is_what_existing_nodes_accept() -> None:
    """Header exactly alg and typ; sub, role, iat, exp, jti; an hour; HS256 under the raw key."""
    minted, session = sessions().mint("ops", Role.READ_ONLY)
    head, claims, _ = minted.split(".")
    assert base64.urlsafe_b64decode(head + "==") == b'{"alg":"HS256","typ":"JWT"}'
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert (decoded["sub"], decoded["role"], decoded["iat"], decoded["exp"]) == ("ops", "read_only", NOW, NOW + 3600)
    assert set(decoded) == {"sub", "role", "iat", "exp", "jti"}
    assert jwt.decode(minted, KEY, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    assert session == Session("ops", Role.READ_ONLY, NOW + 3600)
    assert sessions().verify(minted) == session


def test_what_existing_nodes_mint_is_accepted() -> None:
    """Under the present key and under the previous one."""
    assert sessions().verify(token()) == Session("ops", Role.FULL, NOW + LIFE_S)
    assert sessions(KEY, OLD).verify(token(OLD)) is not None
    assert sessions(KEY).verify(token(OLD)) is None


def test_new_sessions_are_signed_with_the_present_key() -> None:
    """The previous key only verifies."""
    minted, _ = sessions(KEY, OLD).mint("ops", Role.FULL)
    assert sessions(KEY).verify(minted) is not None
    assert sessions(OLD).verify(minted) is None


@pytest.mark.parametrize(
    ("now", "good"),
    [(NOW, True), (NOW - 30, True), (NOW - 31, False), (NOW + 3599.9, True), (NOW + 3600, False)],
)
def test_a_session_lasts_from_thirty_seconds_before_its_start_to_its_end(now: float, good: bool) -> None:
    """30 s of leeway on iat, none on exp."""
    assert (sessions(now=now).verify(token()) is not None) is good


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"role": None},
        {"role": "root"},
        {"role": ["full"]},
        {"iat": None},
        {"iat": "now"},
        {"iat": True},
        {"iat": NOW + 0.5},
        {"exp": None},
        {"exp": NOW + LIFE_S + 1},
        {"exp": 10**30},
        {"exp": NOW},
        {"jti": None},
        {"jti": ""},
        {"aud": "keyviz-node"},
        {"nbf": NOW + 10**9},
    ],
)
def test_a_claim_that_is_not_right_is_no_session(changed: dict[str, Any]) -> None:
    """Missing, of another type, for somebody else, or longer than an hour."""
    assert sessions().verify(token(**changed)) is None


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "JWT"},
        {"alg": "HS512", "typ": "JWT"},
        {"alg": "HS256"},
        {"alg": "HS256", "typ": "jwt"},
        {"alg": "HS256", "typ": "JWT", "kid": "1"},
        {"alg": "HS256", "typ": "JWT", "crit": []},
        [],
    ],
)
def test_the_header_is_exactly_what_it_must_be(header: object) -> None:
    """alg=none, other algorithms and additions are no session."""
    assert sessions().verify(token(header=header)) is None


def test_a_node_token_is_no_session() -> None:
    """The same key file on both sides does not make one pass for the other."""
    assert sessions().verify(mint_token(KEY, subject="n1", now_unix_s=NOW)) is None


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_no_session(text: str) -> None:
    """Nothing raises, also with dots in all places."""
    for candidate in (text, f"{text}.{text}.{text}", token()[: len(text)], token() + text + "x", "x" * 5000):
        assert sessions().verify(candidate) is None


def test_a_key_file_that_changes_takes_effect(tmp_path: Path) -> None:
    """Without a restart."""
    path = tmp_path / "key"
    path.write_text(base64.b64encode(KEY).decode())
    watched = Sessions([KeyFile(path)], clock=lambda: NOW)
    assert watched.verify(token()) is not None
    path.write_text(base64.b64encode(OLD).decode() + "\n")
    assert watched.verify(token()) is None
    assert watched.verify(token(OLD)) is not None


def test_without_a_key_nobody_else_can_sign() -> None:
    """Each process has a key of its own."""
    assert EphemeralKey().current() != EphemeralKey().current()
    assert not Sessions.not_required().required
