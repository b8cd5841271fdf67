"""The HTTP face: routes, one table from exception to answer, security headers, compression."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zstandard
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.page import BUILT_IN, Page
from gateway.params import cell_params, first_of_each, matrix_params
from gateway.render import JSON, cell_json, cluster_json, error_json, fanout_of, matrix_json
from keyviz_grpc.cluster import Cluster
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import ON_THE_WIRE, KeyVizError, Overloaded
from keyviz_grpc.outcome import NoUsablePeers

log = logging.getLogger(__name__)

SMALLEST_COMPRESSED_BYTES: Final = 2048
REQUEST_TIMEOUT_S: Final = 10.0

SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        (
            b"default-src 'self'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; "
            b"img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
            b"frame-ancestors 'none'"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """page: the folder of a built page. timeout_s: what one request may take in all."""

    page: Path = BUILT_IN
    timeout_s: float = REQUEST_TIMEOUT_S


class _Gateway:
    def __init__(self, cluster: Cluster, settings: GatewaySettings) -> None:
        self._cluster = cluster
        self._settings = settings
        self.page = Page(settings.page)

    async def matrix(self, request: Request) -> Response:
        asked = matrix_params(first_of_each(request.query_params.multi_items()))
        answer = await _unless_gone(request, self._cluster.matrix(asked.query, self._deadline()))
        body = await asyncio.to_thread(matrix_json, answer, identity=asked.identity)
        return await _json(request, body)

    async def cell(self, request: Request) -> Response:
        asked = cell_params(first_of_each(request.query_params.multi_items()))
        work = self._cluster.cell(
            bucket_id=asked.bucket_id,
            column_unix_ms=asked.column_unix_ms,
            series=asked.series,
            deadline=self._deadline(),
        )
        return await _json(request, cell_json(await _unless_gone(request, work)))

    async def cluster(self, request: Request) -> Response:
        overview = await _unless_gone(request, self._cluster.overview(self._deadline()))
        return await _json(request, cluster_json(overview, now_unix_ms=int(time.time() * 1000)))

    async def healthz(self, request: Request) -> Response:
        return await _json(request, b'{"status":"ok"}')

    async def unknown(self, request: Request) -> Response:
        del request
        return _error(404, "unknown_endpoint", "there is no such endpoint")

    async def asset(self, request: Request) -> Response:
        return await asyncio.to_thread(self.page.asset, request.path_params["path"])

    async def anything(self, request: Request) -> Response:
        return await asyncio.to_thread(self.page.other, request.path_params.get("path", ""))

    async def root(self, request: Request) -> Response:
        del request
        return RedirectResponse("/admin/", 307)

    def _deadline(self) -> Deadline:
        return Deadline.after(self._settings.timeout_s)


def create_app(cluster: Cluster, *, settings: GatewaySettings | None = None) -> ASGIApp:
    """The ASGI application that shows `cluster`; it owns nothing that must be closed."""
    gateway = _Gateway(cluster, settings or GatewaySettings())
    looks = ["GET"]  # starlette adds HEAD
    app = Starlette(
        routes=[
            Route("/", gateway.root, methods=looks),
            Route("/admin", gateway.root, methods=looks),
            Route("/admin/healthz", gateway.healthz, methods=looks),
            Route("/admin/api/v1/keyviz/matrix", gateway.matrix, methods=looks),
            Route("/admin/api/v1/keyviz/cell", gateway.cell, methods=looks),
            Route("/admin/api/v1/cluster", gateway.cluster, methods=looks),
            Route("/admin/api/v1/{path:path}", gateway.unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            Route("/admin/assets/{path:path}", gateway.asset, methods=looks),
            Route("/admin/", gateway.anything, methods=looks),
            Route("/admin/{path:path}", gateway.anything, methods=looks),
        ],
        exception_handlers={KeyVizError: _expected, HTTPException: _http, ClientDisconnect: _gone, Exception: _bug},
    )
    return _SecurityHeaders(app)


async def _unless_gone(request: Request, work: Awaitable[Any]) -> Any:
    """Runs the work, and cancels it when the client goes away."""
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for one in (task, watcher):
            if not one.done():
                one.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await one


async def _disconnected(request: Request) -> None:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return


async def _json(request: Request, body: bytes) -> Response:
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if len(body) >= SMALLEST_COMPRESSED_BYTES and _accepts_zstd(request.headers.get("accept-encoding", "")):
        body = await asyncio.to_thread(zstandard.compress, body, 1)
        headers["Content-Encoding"] = "zstd"
    return Response(body, media_type=JSON, headers=headers)


def _accepts_zstd(header: str) -> bool:
    for item in header.split(","):
        name, _, quality = item.strip().partition(";")
        if name.strip().lower() == "zstd":
            return quality.strip().replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _error(status: int, code: str, message: str, **more: object) -> Response:
    return Response(error_json(code, message, **more), status, media_type=JSON, headers={"Cache-Control": "no-store"})


async def _expected(request: Request, error: Exception) -> Response:
    entry = next((ON_THE_WIRE[kind] for kind in type(error).__mro__ if kind in ON_THE_WIRE), None)
    if entry is None:
        return await _bug(request, error)
    more = {"fanout": fanout_of(error.outcomes)} if isinstance(error, NoUsablePeers) else {}
    response = _error(entry.http_status, entry.http_code, str(error), **more)
    if entry.http_code == "overloaded":
        after = error.retry_after_s if isinstance(error, Overloaded) else 1.0
        response.headers["Retry-After"] = str(max(1, round(after)))
    return response


async def _http(request: Request, error: Exception) -> Response:
    del request
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        response = _error(405, "method_not_allowed", "this endpoint does not know that method")
        allow = (error.headers or {}).get("Allow") if isinstance(error, HTTPException) else None
        response.headers["Allow"] = allow or "GET, HEAD"
        return response
    return _error(404, "not_found", "there is nothing here") if status == 404 else _error(status, "error", str(error))


async def _gone(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=499)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error, extra={"path": request.url.path})
    return _error(500, "internal", "internal error, see the gateway's log")


class _SecurityHeaders:
    """Adds the headers that every answer carries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers)
