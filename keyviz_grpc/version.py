"""Which version of the distribution this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("keyviz-grpc")
    except PackageNotFoundError:  # imported from a bare source tree
        return "0+unknown"


VERSION = _installed()
