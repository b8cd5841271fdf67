"""Credentials between nodes: short-lived tokens from a shared key, or a static bearer token from a file."""

from keyviz_grpc.auth.keys import KeyFile, TextFile, read_key_file
from keyviz_grpc.auth.tokens import (
    MAX_SHOWN_CHARS,
    BearerCredentials,
    BearerVerifier,
    Credentials,
    Refused,
    TokenCredentials,
    TokenVerifier,
    Verifier,
    claimed_subject,
    mint_token,
)

__all__ = [
    "MAX_SHOWN_CHARS",
    "BearerCredentials",
    "BearerVerifier",
    "Credentials",
    "KeyFile",
    "Refused",
    "TextFile",
    "TokenCredentials",
    "TokenVerifier",
    "Verifier",
    "claimed_subject",
    "mint_token",
    "read_key_file",
]
