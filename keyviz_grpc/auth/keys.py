"""Secrets in files, read again when they change."""

from __future__ import annotations

import base64
import binascii
import threading
from pathlib import Path
from typing import Final

from keyviz_grpc.errors import SettingError
from keyviz_grpc.files import mark_of

KEY_BYTES: Final = 64
MAX_FILE_BYTES: Final = 64 * 1024


def read_key_file(path: Path) -> bytes:
    """The 64 bytes that a key file holds in any base64 alphabet, padded or not.

    Raises SettingError naming the file, never its content.
    """
    text = "".join(_read(path).split())
    standard = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SettingError(f"key file {str(path)!r} is not base64") from error
    if len(key) != KEY_BYTES:
        raise SettingError(f"key file {str(path)!r} holds {len(key)} bytes, exactly {KEY_BYTES} are needed")
    return key


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingError(f"file {str(path)!r} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise SettingError(f"file {str(path)!r} is larger than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        raise SettingError(f"file {str(path)!r} holds bytes that are not ASCII") from error


class _Watched:
    """Something read from a file, anew when the file's identity, size or time changes; a bad new one is not taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen = mark_of(self.path)
        self._value = self._parse()

    def _parse(self) -> bytes:
        raise TypeError(type(self).__name__)

    def current(self) -> bytes:
        """The newest good content."""
        mark = mark_of(self.path)
        with self._lock:
            if mark is not None and mark != self._seen:
                try:
                    self._value, self._seen = self._parse(), mark
                except SettingError:
                    return self._value  # half written, or wrong: the last good one stays, and it is tried again
            return self._value


class KeyFile(_Watched):
    """A file of one 64-byte key."""

    def _parse(self) -> bytes:
        return read_key_file(self.path)


class TextFile(_Watched):
    """A file of one line of text, a bearer token. Raises SettingError when it is empty."""

    def _parse(self) -> bytes:
        text = _read(self.path).strip()
        if not text or any(character.isspace() for character in text):
            raise SettingError(f"file {str(self.path)!r} must hold one token without blanks")
        return text.encode("ascii")
