"""Credentials of people, from a JSON file that is read again when it changes."""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from gateway.session import Role
from keyviz_grpc.errors import SettingError
from keyviz_grpc.files import mark_of

log = logging.getLogger(__name__)

MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pair of keys proves. known: the pair is right; role None: a known key that may do nothing."""

    known: bool
    role: Role | None = None


@dataclass(frozen=True, slots=True, repr=False)
class _User:
    secret: bytes
    role: Role | None


class Users:
    """Who may sign in. Raises SettingError, without any content, for a file that is bad from the start.

    Only digests under a key of this process are kept and compared, so that neither the length of a secret nor
    whether an access key exists shows in the time that an answer takes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest_key = secrets.token_bytes(32)
        self._nobody = _User(self._digest(secrets.token_hex(32)), None)
        self._lock = threading.Lock()
        self._mark = mark_of(self._path)
        self._users = self._read()

    def check(self, access_key: str, secret_key: str) -> Verdict:
        """The same work whether or not the access key exists."""
        user = self._current().get(self._digest(access_key))
        right = hmac.compare_digest(self._digest(secret_key), (user or self._nobody).secret)
        return Verdict(known=True, role=user.role) if right and user is not None else Verdict(known=False)

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._digest_key, text.encode("utf-8", "surrogatepass"), sha256)

    def _current(self) -> dict[bytes, _User]:
        mark = mark_of(self._path)
        with self._lock:
            if mark != self._mark:
                self._mark = mark
                try:
                    self._users = self._read()
                except SettingError as error:
                    log.warning("the new users file is not used", extra={"reason": str(error)})
            return self._users

    def _read(self) -> dict[bytes, _User]:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise SettingError(f"users file {str(self._path)!r} cannot be read: {error.strerror}") from error
        if len(content) > MAX_FILE_BYTES:
            raise SettingError(f"users file {str(self._path)!r} is larger than {MAX_FILE_BYTES} bytes")
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            # The decoder's own message may quote the content.
            raise SettingError(f"users file {str(self._path)!r} is not JSON: line {error.lineno}") from None
        listed = document.get("users") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise SettingError(f'users file {str(self._path)!r} must be {{"users": [...]}}')
        users: dict[bytes, _User] = {}
        for number, entry in enumerate(listed):
            access_key, user = self._user(entry, f"users file {str(self._path)!r}, users[{number}]")
            if access_key in users:
                raise SettingError(f"users file {str(self._path)!r}, users[{number}]: its access_key is listed twice")
            users[access_key] = user
        return users

    def _user(self, entry: object, where: str) -> tuple[bytes, _User]:
        if not isinstance(entry, dict):
            raise SettingError(f"{where} is not an object")
        for name in ("access_key", "secret_key"):
            if not isinstance(entry.get(name), str) or not entry[name]:
                raise SettingError(f"{where}: {name} must be a text that is not empty")
        role = entry.get("role") or None
        if role is not None and role not in tuple(Role):
            raise SettingError(f"{where}: role must be one of {', '.join(Role)}, or absent for nobody's")
        return self._digest(entry["access_key"]), _User(
            self._digest(entry["secret_key"]), None if role is None else Role(role)
        )
