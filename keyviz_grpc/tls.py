"""TLS towards peers: files in, channel credentials out."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from keyviz_grpc.errors import SettingError
from keyviz_grpc.files import FileMark, mark_of


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for calls: authorities to trust (None = the system's), and a certificate of one's own for mTLS.

    name: whom peers' certificates name, where they do not name the addresses that are called ("" = they do).
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""

    def options(self) -> list[tuple[str, str]]:
        """What a channel has to know besides."""
        return [("grpc.ssl_target_name_override", self.name)] if self.name else []

    def read(self) -> grpc.ChannelCredentials:
        """Raises SettingError naming a file that cannot be read, or a pair that does not go together."""
        self._check()
        try:
            ca, key, certificate = (
                None if path is None else path.read_bytes() for path in (self.ca, self.key, self.certificate)
            )
        except OSError as error:
            raise SettingError(f"file {error.filename!r} cannot be read: {error.strerror}") from error
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def _check(self) -> None:
        # gRPC takes anything and then fails every call; files that are being replaced do not go together for a moment.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            names = [str(path) for path in (self.ca, self.certificate, self.key) if path is not None]
            raise SettingError(f"TLS files {names} cannot be used: {error.strerror or error}") from error

    def marks(self) -> tuple[FileMark | None, ...]:
        """Changes when a file does."""
        return mark_of(self.ca), mark_of(self.certificate), mark_of(self.key)
