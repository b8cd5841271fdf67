"""Responses that must never be kept by anybody: JSON, and nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

JSON: Final = "application/json; charset=utf-8"
NO_STORE: Final = {"Cache-Control": "no-store"}


def json_response(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON document that is ready; `headers` come on top."""
    return Response(body, status_code=status, headers={**NO_STORE, **(headers or {})}, media_type=JSON)
