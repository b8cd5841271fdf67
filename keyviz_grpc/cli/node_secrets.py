"""What nodes and those who ask them know in common, as given on a command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from keyviz_grpc.auth import (
    BearerCredentials,
    BearerVerifier,
    Credentials,
    KeyFile,
    TextFile,
    TokenCredentials,
    TokenVerifier,
    Verifier,
)


@dataclass(frozen=True, slots=True)
class NodeSecrets:
    """The files of a shared key and of the one before it, or of a static token; all None: no credentials.

    Raises UsageError for secrets of both kinds, and for a key before none.
    """

    key: Path | None
    previous_key: Path | None
    token: Path | None

    def __post_init__(self) -> None:
        if self.key is not None and self.token is not None:
            raise click.UsageError("--key-file and --token-file exclude each other")
        if self.previous_key is not None and self.key is None:
            raise click.UsageError("--previous-key-file goes with --key-file")

    def credentials(self, name: str) -> Credentials | None:
        """What calls to nodes carry. name: how the caller calls itself."""
        if self.key is not None:
            return TokenCredentials(KeyFile(self.key), subject=name)
        return None if self.token is None else BearerCredentials(TextFile(self.token))

    def verifier(self) -> Verifier | None:
        """What calls to us must carry."""
        if self.key is not None:
            return TokenVerifier([KeyFile(path) for path in (self.key, self.previous_key) if path is not None])
        return None if self.token is None else BearerVerifier(TextFile(self.token))
