"""A gateway inside a store's own process: its sampler is the first node, asked without a network hop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from gateway.app import create_app
from gateway.serving import CertificateFiles, http_server
from gateway.session import Sessions
from gateway.settings import GatewaySettings
from gateway.users import Users
from keyviz_grpc.aggregator import Aggregator, FailureLog, Observers
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.exposure import check_exposure
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.peers import Membership, Peer
from keyviz_grpc.source import Source
from keyviz_grpc.version import VERSION


class _Nobody:
    """A `Membership` without peers."""

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """See `Membership`."""
        del deadline
        return ()

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """See `Membership`."""

    async def close(self) -> None:
        """See `Membership`."""


@contextlib.asynccontextmanager
async def serve_gateway(
    local: Source,
    *,
    node_id: str,
    http: str = "127.0.0.1:8080",
    peers: Membership | None = None,
    fanout: FanoutSettings | None = None,
    settings: GatewaySettings | None = None,
    sessions: Sessions | None = None,
    users: Users | None = None,
    tls: CertificateFiles | None = None,
    insecure: bool = False,
    drain_s: float = 5.0,
) -> AsyncIterator[str]:
    """Serves the page and its API inside the block, in the running loop; gives HOST:PORT as really bound.

    local: this process's own sampler, listed first as `self`. peers: the other nodes, None where there are none, and
    then answers have no `fanout`. node_id: what this gateway is called in `via`; not the sampler's own id. sessions
    None: everybody may look. Raises SettingError as the command does, for an address that others can reach without
    TLS and sessions too, unless `insecure`.
    """
    guarded = sessions is not None and sessions.required
    check_exposure(http, tls=tls is not None, guarded=guarded, insecure=insecure)
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(bind(http)))
        aggregator = Aggregator(
            peers or _Nobody(),
            settings=fanout or FanoutSettings(),
            node_id=node_id,
            local=local,
            version=VERSION,
            observer=Observers([FailureLog()]),
        )
        stack.push_async_callback(aggregator.close)
        app = create_app(aggregator, settings=settings, sessions=sessions, users=users)
        await stack.enter_async_context(http_server(app, listener, tls=tls, grace_s=drain_s))
        yield address_of(listener)
