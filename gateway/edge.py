"""The outermost layer: a request id, the headers that every answer carries, the last catch, metrics and the log."""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.endpoints import ROUTE_KEY, header_of
from gateway.metrics import Metrics
from gateway.problems import CLIENT_GONE, answer_to, problem
from keyviz_grpc.metrics import OTHER
from keyviz_grpc.request_id import HEADER, REQUEST_ID, sane_request_id

log = logging.getLogger(__name__)

CSP_KEY: Final = "keyviz.script_hashes"
"""Where a handler leaves the hashes of scripts that its page may run besides those of its own origin."""

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_REQUEST_ID: Final = HEADER.encode()


def content_security_policy(script_hashes: tuple[str, ...] = ()) -> str:
    """Everything from our own origin, nothing inline but styles, frames refused."""
    scripts = " ".join(["'self'", *script_hashes])
    return (
        f"default-src 'none'; script-src {scripts}; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


_POLICY: Final = content_security_policy().encode()


class Edge:
    """Wraps an ASGI application; what that raises becomes an answer here, and nothing goes further."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = sane_request_id(header_of(scope, _REQUEST_ID).decode("latin-1"))
        token = REQUEST_ID.set(request_id)
        began = time.perf_counter()
        status = 0

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                hashes = scope.get(CSP_KEY)
                policy = content_security_policy(hashes).encode() if hashes else _POLICY
                own = ((b"content-security-policy", policy), (_REQUEST_ID, request_id.encode()))
                message["headers"] = [*message.get("headers", ()), *_HEADERS, *own]
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except Exception as error:
            response = answer_to(error)
            if response is None or status:
                log.exception("a request failed", extra={"path": scope["path"][:200]})
            if not status:
                sorry = response or problem(500, "internal", "internal error, see the gateway's log")
                await sorry(scope, receive, with_headers)
        finally:
            self._tell(scope, status, time.perf_counter() - began)
            REQUEST_ID.reset(token)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = scope.get(ROUTE_KEY, OTHER), scope["method"]
        self._metrics.answered(route=route, method=method, status=status, seconds=seconds)
        level = logging.DEBUG if status < 400 or status == CLIENT_GONE else logging.INFO
        if log.isEnabledFor(level):
            ms = round(seconds * 1000, 1)
            told = {"method": method[:20], "path": scope["path"][:200], "status": status, "ms": ms}
            log.log(level, "request", extra=told)
