"""The HTTP face as one ASGI application: paths, and which room answers each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api import Api
from gateway.edge import CLIENT_GONE, Edge
from gateway.endpoints import Endpoint
from gateway.gate import Gate
from gateway.metrics import Metrics
from gateway.page import Page
from gateway.problems import Refused, answer_keyviz_error, answer_refused
from gateway.responses import json_response
from gateway.session import Sessions
from gateway.settings import GatewaySettings
from gateway.users import Users
from keyviz_grpc.cluster import Cluster
from keyviz_grpc.errors import KeyVizError
from keyviz_grpc.remembered import Shelf

API: Final = "/admin/api/v1"
OPENAPI: Final = Path(__file__).parent / "openapi" / "openapi.json"


def create_app(
    cluster: Cluster,
    *,
    settings: GatewaySettings | None = None,
    sessions: Sessions | None = None,
    users: Users | None = None,
    metrics: Metrics | None = None,
    remembered: Shelf | None = None,
) -> Starlette:
    """The application that shows `cluster` as docs/http.md says; whoever made the cluster closes it.

    sessions None: everybody may look. users: who can sign in; None where only cookies minted elsewhere count.
    metrics None: kept, but shown to nobody. remembered: where written rows are kept that need not be written again.
    """
    settings = settings or GatewaySettings()
    metrics = metrics or Metrics()
    # No lifespan shuts them down, for one application may be started several times; they end with the application.
    threads = ThreadPoolExecutor(2, thread_name_prefix="keyviz-render")
    gate = Gate(sessions or Sessions.not_required(), users, settings)
    api = Api(cluster, gate, settings=settings, metrics=metrics, threads=threads, remembered=remembered)

    app = Starlette(
        routes=[*_api_routes(api, gate), *_page_routes(Page(settings.page))],
        middleware=[Middleware(Edge, metrics=metrics)],
        exception_handlers={
            Refused: answer_refused,
            KeyVizError: answer_keyviz_error,
            HTTPException: _not_found,
            ClientDisconnect: _client_gone,
        },
    )
    app.router.redirect_slashes = False
    return app


def _api_routes(api: Api, gate: Gate) -> list[Route]:
    return [
        Route("/admin/healthz", Endpoint("healthz", get=api.healthz)),
        Route("/admin/readyz", Endpoint("readyz", get=api.readyz)),
        Route(f"{API}/keyviz/matrix", Endpoint("matrix", get=api.matrix)),
        Route(f"{API}/keyviz/cell", Endpoint("cell", get=api.cell)),
        Route(f"{API}/keyviz/hotkeys", Endpoint("hotkeys", get=api.hot_keys)),
        Route(f"{API}/cluster", Endpoint("cluster", get=api.cluster)),
        Route(f"{API}/auth/login", Endpoint("login", post=gate.login)),
        Route(f"{API}/auth/logout", Endpoint("logout", post=gate.logout)),
        Route(f"{API}/openapi.json", Endpoint("openapi", get=_openapi)),
        Route(f"{API}/{{path:path}}", _Unknown()),
    ]


def _page_routes(page: Page) -> list[Route]:
    return [
        Route("/", Endpoint("redirect", get=page.redirect)),
        Route("/admin", Endpoint("redirect", get=page.redirect)),
        Route("/admin/assets/{path:path}", Endpoint("asset", get=_in_thread(page.asset))),
        Route("/admin/{path:path}", Endpoint("page", get=_in_thread(page.other))),
    ]


class _Unknown:
    """Whatever is below the API's path and has no endpoint, by any method."""

    async def __call__(self, *_: object) -> None:
        """See ASGI."""
        raise Refused("unknown_endpoint", "the API has no such endpoint")


def _in_thread(handler: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def run(request: Request) -> Response:
        return await run_in_threadpool(handler, request)

    return run


async def _openapi(request: Request) -> Response:
    del request
    return json_response(await run_in_threadpool(OPENAPI.read_bytes))


async def _not_found(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException) or error.status_code != 404:
        raise error
    return await answer_refused(request, Refused("not_found", "there is nothing here"))


async def _client_gone(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=CLIENT_GONE)
