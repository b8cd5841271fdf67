"""The HTTP face as one ASGI application: paths, and which room answers each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway.api import Api
from gateway.edge import Edge
from gateway.endpoints import Endpoint
from gateway.gate import Gate
from gateway.metrics import Metrics
from gateway.page import Page
from gateway.paths import Paths
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
    page = Page(settings.page)
    above: dict[str, ASGIApp] = {
        f"{API}/": _Refusing("unknown_endpoint", "the API has no such endpoint"),
        "/admin/assets/": Endpoint("asset", get=_in_thread(page.asset)),
        "/admin/": Endpoint("page", get=_in_thread(page.other)),
    }
    paths = Paths(_endpoints(api, gate, page), above, _Refusing("not_found", "there is nothing here"))
    return Edge(paths, metrics=metrics)


def _endpoints(api: Api, gate: Gate, page: Page) -> dict[str, ASGIApp]:
    """Those that have one path each."""
    return {
        "/": Endpoint("redirect", get=page.redirect),
        "/admin": Endpoint("redirect", get=page.redirect),
        "/admin/healthz": Endpoint("healthz", get=api.healthz),
        "/admin/readyz": Endpoint("readyz", get=api.readyz),
        f"{API}/keyviz/matrix": Endpoint("matrix", get=api.matrix),
        f"{API}/keyviz/cell": Endpoint("cell", get=api.cell),
        f"{API}/keyviz/hotkeys": Endpoint("hotkeys", get=api.hot_keys),
        f"{API}/cluster": Endpoint("cluster", get=api.cluster),
        f"{API}/auth/login": Endpoint("login", post=gate.login),
        f"{API}/auth/logout": Endpoint("logout", post=gate.logout),
        f"{API}/openapi.json": Endpoint("openapi", get=_openapi),
    }


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
