"""What goes wrong on the HTTP face, and the one table from condition to status, code and body."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from gateway.render import render_fanout
from gateway.responses import json_response
from keyviz_grpc.errors import ON_THE_WIRE, KeyVizError, Overloaded
from keyviz_grpc.outcome import NoUsablePeers

STATUS_OF: Final[dict[str, int]] = {
    "invalid_query": 400,
    "invalid_body": 400,
    "missing_fields": 400,
    "unauthenticated": 401,
    "invalid_credentials": 401,
    "forbidden": 403,
    "csrf_missing": 403,
    "csrf_mismatch": 403,
    "unknown_endpoint": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "rate_limited": 429,
    "internal": 500,
    "page_not_built": 503,
    "not_ready": 503,
}
"""Conditions that only the HTTP face knows; the others come from `keyviz_grpc.errors.ON_THE_WIRE`."""


CLIENT_GONE: Final = 499
"""Nobody reads an answer with this status; metrics count it."""


class Refused(Exception):
    """A request that the HTTP face answers with an error of its own. `message` is for people and safe to send."""

    def __init__(self, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS_OF[code]
        self.headers = dict(headers or {})


def problem(
    status: int,
    code: str,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    fanout: bytes | None = None,
) -> Response:
    """The error envelope. fanout: a JSON object that says how each node fared."""
    body: dict[str, object] = {"error": code, "message": message}
    if fanout is not None:
        body["fanout"] = orjson.Fragment(fanout)
    return json_response(orjson.dumps(body), status=status, headers=headers)


def answer_to(error: Exception) -> Response | None:
    """An exception as a response; None for one that no table knows, which is a bug of ours."""
    if isinstance(error, Refused):
        return problem(error.status, error.code, error.message, headers=error.headers)
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_GONE)
    entry = next((ON_THE_WIRE[kind] for kind in type(error).__mro__ if kind in ON_THE_WIRE), None)
    if not isinstance(error, KeyVizError) or entry is None:
        return None
    headers = {}
    if entry.http_code == "overloaded":
        seconds = error.retry_after_s if isinstance(error, Overloaded) else 1.0
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    fanout = render_fanout(error.outcomes) if isinstance(error, NoUsablePeers) else None
    return problem(entry.http_status, entry.http_code, str(error), headers=headers, fanout=fanout)
