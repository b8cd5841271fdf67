"""The cookie `admin_session`: a token that existing nodes mint and accept as well."""

from __future__ import annotations

import enum
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import jwt

LIFE_S: Final = 3600
IAT_LEEWAY_S: Final = 30
MAX_TOKEN_CHARS: Final = 4096
_ALGORITHM: Final = "HS256"
_HEADER: Final = {"alg": _ALGORITHM, "typ": "JWT"}
_CLAIMS: Final = ("sub", "role", "iat", "exp", "jti")


class Role(enum.StrEnum):
    """What a signed-in person may do: both look; `full` also sees what holds user keys."""

    READ_ONLY = "read_only"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Session:
    """A person who proved who they are. Times are unix seconds; `expires` is the first second without a session."""

    subject: str
    role: Role
    expires: int


class Key(Protocol):
    """A signing key that may change while we run."""

    def current(self) -> bytes:
        """The key of this moment, 64 bytes."""
        ...


class EphemeralKey:
    """A key that nobody else has and that ends with the process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(64)

    def current(self) -> bytes:
        """See `Key`."""
        return self._key


class Sessions:
    """Mints session tokens with the first key and accepts those of any: the present one and the previous one.

    required: whether looking at the cluster needs a session at all. clock: unix seconds.
    """

    def __init__(self, keys: Sequence[Key], *, required: bool = True, clock: Callable[[], float] = time.time) -> None:
        self.required = required
        self._keys, self._clock = tuple(keys), clock

    @classmethod
    def not_required(cls) -> Sessions:
        """Everybody may look. Signing in still works, for pages that insist on it."""
        return cls([EphemeralKey()], required=False)

    def mint(self, subject: str, role: Role) -> tuple[str, Session]:
        """A token and the session that it stands for, an hour long."""
        now = int(self._clock())
        session = Session(subject, role, now + LIFE_S)
        claims = {
            "sub": subject,
            "role": role.value,
            "iat": now,
            "exp": session.expires,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode(claims, self._keys[0].current(), algorithm=_ALGORITHM, headers=_HEADER), session

    def verify(self, token: str) -> Session | None:
        """The session that a token stands for; None, without a reason, for any other text."""
        if not token or len(token) > MAX_TOKEN_CHARS or not token.isascii():
            return None
        for key in self._keys:
            session = self._verify(token, key.current())
            if session is not None:
                return session
        return None

    def _verify(self, token: str, key: bytes) -> Session | None:
        try:
            if jwt.get_unverified_header(token) != _HEADER:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        return _session(claims, self._clock())


def _session(claims: dict[str, object], now: float) -> Session | None:
    subject, role, identifier = claims["sub"], claims["role"], claims["jti"]
    issued, expires = claims["iat"], claims["exp"]
    if type(issued) is not int or type(expires) is not int:
        return None
    if not isinstance(subject, str) or not subject or not isinstance(identifier, str) or not identifier:
        return None
    if not isinstance(role, str) or role not in tuple(Role):
        return None
    if not issued - IAT_LEEWAY_S <= now < expires or not 0 < expires - issued <= LIFE_S:
        return None
    return Session(subject, Role(role), expires)
