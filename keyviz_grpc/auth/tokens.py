"""Tokens from node to node. Refusals never say why, so that they teach nothing to whoever guesses."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyviz_grpc.auth.keys import KeyFile, TextFile
from keyviz_grpc.errors import KeyVizError

AUDIENCE: Final = "keyviz-node"
ISSUER: Final = "keyviz"
LIFE_S: Final = 60
LEEWAY_S: Final = 30
MAX_TOKEN_CHARS: Final = 4096
MAX_SHOWN_CHARS: Final = 64
"""Of whom a call names, in audit lines."""

ALGORITHM: Final = "HS256"
_HINT: Final = "send metadata authorization: Bearer <token>, see keyviz-token --help"


class Refused(KeyVizError):
    """The credentials are missing or not good; the message says what to send, not what was wrong."""

    def __init__(self) -> None:
        super().__init__(f"unauthenticated: {_HINT}")


class Verifier(Protocol):
    """Decides about incoming calls."""

    def verify(self, authorization: str | None) -> str:
        """Who calls, as proven by the value of `authorization`; raises Refused."""
        ...


class Credentials(Protocol):
    """What outgoing calls carry."""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata for one call."""
        ...


def _derived(key: bytes) -> bytes:
    # A key of its own for this purpose: a session cookie signed with the shared key can never pass for a node token.
    return HKDF(algorithm=SHA256(), length=64, salt=None, info=b"keyviz-grpc node token v1").derive(key)


def mint_token(key: bytes, *, subject: str, now_unix_s: float, life_s: int = LIFE_S) -> str:
    """A token for one node to show to another. key: the 64 bytes of the shared key file."""
    issued = int(now_unix_s)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": issued,
        "exp": issued + life_s,
        "jti": secrets.token_hex(8),
    }
    return jwt.encode(claims, _derived(key), algorithm=ALGORITHM)


class TokenCredentials:
    """Mints a token from a key file, anew when half of its life is over."""

    def __init__(self, key: KeyFile, *, subject: str, clock: Callable[[], float] = time.time) -> None:
        self._key, self._subject, self._clock = key, subject, clock
        self._token, self._until, self._of = "", 0.0, b""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """See `Credentials`."""
        now, key = self._clock(), self._key.current()
        if not self._until - LIFE_S <= now < self._until - LIFE_S / 2 or key != self._of:
            self._token, self._until, self._of = (
                mint_token(key, subject=self._subject, now_unix_s=now),
                now + LIFE_S,
                key,
            )
        return (("authorization", f"Bearer {self._token}"),)


class TokenVerifier:
    """Accepts tokens minted with any of the keys (the present one and the previous one), at most a minute long."""

    def __init__(self, keys: Sequence[KeyFile], *, clock: Callable[[], float] = time.time) -> None:
        self._keys, self._clock = tuple(keys), clock

    def verify(self, authorization: str | None) -> str:
        """The token's subject; raises Refused."""
        token = _bearer(authorization)
        for key in self._keys:
            subject = self._subject(token, _derived(key.current()))
            if subject:
                return subject
        raise Refused

    def _subject(self, token: str, key: bytes) -> str:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "aud", "iss", "sub"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            issued, expires, now = int(claims["iat"]), int(claims["exp"]), self._clock()
        except (jwt.InvalidTokenError, TypeError, ValueError):
            return ""
        fresh = issued - LEEWAY_S <= now < expires and 0 < expires - issued <= LIFE_S
        return str(claims["sub"]) if fresh else ""


def claimed_subject(token: str) -> str:
    """Whom a token names that proves nothing, for an audit line: at most 64 characters, "" for what is no token."""
    if len(token) > MAX_TOKEN_CHARS:
        return ""
    try:
        subject = jwt.decode(token, options={"verify_signature": False}).get("sub", "")
    except (jwt.InvalidTokenError, ValueError):
        return ""
    return subject[:MAX_SHOWN_CHARS] if isinstance(subject, str) else ""


class BearerCredentials:
    """A static token from a file, which is what existing nodes expect."""

    def __init__(self, token: TextFile) -> None:
        self._token = token

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """See `Credentials`."""
        return (("authorization", f"Bearer {self._token.current().decode('ascii')}"),)


class BearerVerifier:
    """Accepts one static token, compared in constant time."""

    def __init__(self, token: TextFile) -> None:
        self._token = token

    def verify(self, authorization: str | None) -> str:
        """`bearer`; raises Refused."""
        if not hmac.compare_digest(_bearer(authorization).encode(), self._token.current()):
            raise Refused
        return "bearer"


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS or not token.isascii():
        raise Refused
    return token
