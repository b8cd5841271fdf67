"""HTTP compression: what the client takes, and levels that cost less than they save."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

import brotli
import zstandard

SMALLEST_BYTES: Final = 1024
"""Below this a compressed body saves nothing worth a header."""


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(body)


def _brotli(body: bytes) -> bytes:
    packed: bytes = brotli.compress(body, quality=1)
    return packed


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}
"""By content coding, the one that we like best first; each releases the interpreter lock while it works."""


def choose(accept_encoding: str) -> str:
    """The content coding to use, "" for none: the client's highest q-value, ties in the order of PACKERS."""
    weights = _weights(accept_encoding)
    rest = weights.get("*", 0.0)
    best, best_weight = "", 0.0
    for name in PACKERS:
        weight = weights.get(name, rest)
        if weight > best_weight:
            best, best_weight = name, weight
    # Identity is always good enough, unless it is ranked below what we found.
    return "" if weights.get("identity", 0.0) > best_weight else best


def _weights(header: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                weight = _weight(value.strip())
        if name:
            weights[name] = weight
    return weights


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0.0 <= value <= 1.0 else 0.0


def pack(body: bytes, encoding: str) -> bytes:
    """The body under a content coding that `choose` gave; "" leaves it as it is."""
    return PACKERS[encoding](body) if encoding else body
