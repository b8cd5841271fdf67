"""A cluster with mutual TLS besides tokens, and nodes that do not fit into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keyviz_grpc.server import ServerSettings
from keyviz_grpc.tls import TlsFiles
from tests.integration.certificates import Authority
from tests.integration.guarded import Guarded


def authority(house: Guarded, name: str = "ours") -> Authority:
    """One that certificates of this cluster come from, or another."""
    return Authority(house.folder / name, name)


def tls_of(house: Guarded, **pair: Any) -> ServerSettings:
    """A server with a certificate of an authority of its own."""
    files = authority(house, "theirs").pair("node", **pair)
    return ServerSettings(certificate=files.certificate, key=files.key)


@dataclass
class Secured(Guarded):
    """mTLS between gateway and nodes, tokens inside it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.authority = authority(self)
        self.node_settings = self.showing(self.authority.pair("node"))
        mine = self.authority.pair("gateway")
        self.tls = TlsFiles(self.authority.ca, mine.certificate, mine.key)

    def showing(self, pair: Any) -> ServerSettings:
        """A node with this certificate that takes ours."""
        return ServerSettings(certificate=pair.certificate, key=pair.key, client_ca=self.authority.ca)


def secured(house: Guarded) -> Secured:
    assert isinstance(house, Secured)
    return house


def taking_others_only(house: Guarded) -> ServerSettings:
    pair = secured(house).authority.pair("strict")
    return ServerSettings(certificate=pair.certificate, key=pair.key, client_ca=authority(house, "theirs").ca)
