"""The HTTP face as one ASGI application: paths, and which room answers each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from gateway.api import Api
from gateway.edge import Edge
from gateway.endpoints import Endpoint
from gateway.gate import Gate
from gateway.metrics import Metrics
from gateway.page import Page
from gateway.problems import Refused
from gateway.responses import json_response
from gateway.session import Sessions
from gateway.settings import GatewaySettings
from gateway.users import Users
from keyviz_grpc.cluster import Cluster
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
) -> Edge:
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
    routes = [*_api_routes(api, gate), *_page_routes(Page(settings.page))]
    nothing = _Refusing("not_found", "there is nothing here")
    return Edge(Router(routes, redirect_slashes=False, default=nothing), metrics=metrics)


def _api_routes(api: Api, gate: Gate) -> list[Route]:
    """The paths of the API; the one that is polled comes first."""
    return [
        Route(f"{API}/keyviz/matrix", Endpoint("matrix", get=api.matrix)),
        Route("/admin/healthz", Endpoint("healthz", get=api.healthz)),
        Route("/admin/readyz", Endpoint("readyz", get=api.readyz)),
        Route(f"{API}/keyviz/cell", Endpoint("cell", get=api.cell)),
        Route(f"{API}/keyviz/hotkeys", Endpoint("hotkeys", get=api.hot_keys)),
        Route(f"{API}/cluster", Endpoint("cluster", get=api.cluster)),
        Route(f"{API}/auth/login", Endpoint("login", post=gate.login)),
        Route(f"{API}/auth/logout", Endpoint("logout", post=gate.logout)),
        Route(f"{API}/openapi.json", Endpoint("openapi", get=_openapi)),
        Route(f"{API}/{{path:path}}", _Refusing("unknown_endpoint", "the API has no such endpoint")),
    ]


def _page_routes(page: Page) -> list[Route]:
    return [
        Route("/", Endpoint("redirect", get=page.redirect)),
        Route("/admin", Endpoint("redirect", get=page.redirect)),
        Route("/admin/assets/{path:path}", Endpoint("asset", get=_in_thread(page.asset))),
        Route("/admin/{path:path}", Endpoint("page", get=_in_thread(page.other))),
    ]


class _Refusing:
    """An ASGI application for what is not there, whatever the method."""

    def __init__(self, code: str, message: str) -> None:
        self._code, self._message = code, message

    async def __call__(self, *_: object) -> None:
        """See ASGI."""
        raise Refused(self._code, self._message)


def _in_thread(handler: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def run(request: Request) -> Response:
        return await run_in_threadpool(handler, request)

    return run


async def _openapi(request: Request) -> Response:
    del request
    return json_response(await run_in_threadpool(OPENAPI.read_bytes))
