"""TLS towards peers and towards callers: files in, gRPC's credentials out."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from keyviz_grpc.errors import SettingError
from keyviz_grpc.files import FileMark, mark_of

log = logging.getLogger(__name__)


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
        ca, key, certificate = _contents(self.ca, self.key, self.certificate)
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


def server_credentials(certificate: Path | None, key: Path | None, client_ca: Path | None) -> grpc.ServerCredentials:
    """What a server shows, read again when one of the files changes; client_ca: callers must show one of it (mTLS).

    New files that cannot be read leave the old ones in use. Raises SettingError naming a file that cannot be read now.
    """
    paths = (key, certificate, client_ca)

    def load() -> grpc.ServerCertificateConfiguration:
        shown_key, shown, trusted = _contents(*paths)
        return grpc.ssl_server_certificate_configuration([(shown_key or b"", shown or b"")], root_certificates=trusted)

    def marks() -> tuple[FileMark | None, ...]:
        return tuple(mark_of(path) for path in paths)

    held, held_marks = load(), marks()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal held, held_marks
        now = marks()
        if now == held_marks:
            return None
        try:
            held, held_marks = load(), now
        except SettingError:
            log.exception("new certificate files cannot be read, the old ones stay")
            return None
        return held

    return grpc.dynamic_ssl_server_credentials(
        held,
        fetch,  # type: ignore[arg-type]
        require_client_authentication=client_ca is not None,
    )


def _contents(*paths: Path | None) -> list[bytes | None]:
    try:
        return [None if path is None else path.read_bytes() for path in paths]
    except OSError as error:
        raise SettingError(f"file {error.filename!r} cannot be read: {error.strerror}") from error
