"""What can be wrong with a peer, each as a real server (or none) on a real port, and how it becomes well again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from keyviz_grpc.auth import TokenVerifier
from keyviz_grpc.cli.children import Child, end_all
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.server import ServerSettings, serve_node
from tests.integration.guarded import ANSWERS, Guarded, Prepared, new_key
from tests.integration.wire import Manner, wire
from tests.reference.without_hot_keys import WithoutHotKeys

Act = Callable[[Any], Awaitable[Any]]
Recover = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Faulty:
    """Where it is, and what makes it well."""

    address: str
    recover: Recover


class Break(Protocol):
    """Puts a faulty peer into a cluster."""

    async def __call__(self, house: Guarded) -> Faulty:
        """Faulty from now on."""
        ...


class Scripted(WithoutHotKeys, rpc.KeyVizServicer, admin_pb2_grpc.AdminServicer):
    """Does what a test tells it to."""

    def __init__(self, act: Act) -> None:
        self._act = act

    async def GetKeyVizMatrix(self, request: pb.GetKeyVizMatrixRequest, context: Any) -> Any:  # noqa: N802 - wire name
        """Acts."""
        return await self._act(context)

    async def GetClusterOverview(  # noqa: N802 - wire name
        self, request: pb.GetClusterOverviewRequest, context: Any
    ) -> pb.GetClusterOverviewResponse:
        """Says nothing."""
        return pb.GetClusterOverviewResponse()


async def serve_scripted(house: Guarded, act: Act, *, older: bool = False) -> tuple[grpc.aio.Server, str]:
    """A server that acts so under both names, or under the older one alone."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    servicer = Scripted(act)
    if not older:
        rpc.add_KeyVizServicer_to_server(servicer, server)
    admin_pb2_grpc.add_AdminServicer_to_server(servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    house.stack.push_async_callback(server.stop, 0)
    return server, address


def scripted(act: Act) -> Break:
    """A peer whose handler acts so."""

    async def make(house: Guarded) -> Faulty:
        server, address = await serve_scripted(house, act)
        return Faulty(address, _replaced_by_a_node(house, address, lambda: server.stop(0)))

    return make


def _replaced_by_a_node(house: Guarded, address: str, end: Callable[[], Awaitable[object]]) -> Recover:
    async def recover() -> None:
        await end()
        await house.node(2, address)

    return recover


def aborting(code: grpc.StatusCode, details: str = "scripted") -> Break:
    """A handler that refuses."""
    return scripted(lambda context: context.abort(code, details))


async def _crash(_: Any) -> None:
    raise RuntimeError("boom: secret=hunter2")


async def _never(_: Any) -> None:
    await asyncio.sleep(60)


crashing, sleeping = scripted(_crash), scripted(_never)


def replying(**changes: Any) -> Break:
    """A reply that breaks a law of the contract."""
    row = pb.KeyVizRow(bucket_id="route:1", end=b"m", values=[1, 2])
    fields = {"column_unix_ms": [1000, 2000], "rows": [row], "step_ms": 1000, **changes}

    async def act(_: Any) -> pb.GetKeyVizMatrixResponse:
        return pb.GetKeyVizMatrixResponse(**fields)

    return scripted(act)


def sized(size_bytes: int) -> Break:
    """A reply of exactly so many bytes, whatever window is asked for."""
    row = pb.KeyVizRow(bucket_id="route:1", end=b"m", values=[0])
    message = pb.GetKeyVizMatrixResponse(column_unix_ms=[60_000], step_ms=60_000, rows=[row])
    while message.ByteSize() != size_bytes:
        message.rows[0].label += "x" * max(1, (size_bytes - message.ByteSize()) * 9 // 10)
        assert message.ByteSize() <= size_bytes

    async def act(_: Any) -> pb.GetKeyVizMatrixResponse:
        return message

    return scripted(act)


async def speaking_nonsense(house: Guarded) -> Faulty:
    """A gRPC server whose bytes are no answer."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])

    async def garbage(_: bytes, __: Any) -> bytes:
        return b"\xff" * 99

    handlers: dict[str, Any] = {"GetKeyVizMatrix": grpc.unary_unary_rpc_method_handler(garbage)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("keyviz.v1.KeyViz", handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    house.stack.push_async_callback(server.stop, 0)
    return Faulty(address, _replaced_by_a_node(house, address, lambda: server.stop(0)))


async def another_service(house: Guarded) -> Faulty:
    """A gRPC server that is something else."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    return Faulty(address, _replaced_by_a_node(house, address, lambda: server.stop(0)))


async def refusing(house: Guarded) -> Faulty:
    """A port on which nobody listens, kept from others meanwhile."""
    kept = house.stack.enter_context(socket.socket())
    kept.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{kept.getsockname()[1]}"

    async def let_go() -> None:
        kept.close()

    return Faulty(address, _replaced_by_a_node(house, address, let_go))


async def dropping_syn(house: Guarded) -> Faulty:
    """A listener whose queue is full: the kernel drops every further attempt to connect."""
    listener = house.stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    where = listener.getsockname()
    filling = []
    for _ in range(4):
        one = house.stack.enter_context(socket.socket())
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            one.connect(where)
        filling.append(one)
    address = f"127.0.0.1:{where[1]}"

    async def let_go() -> None:
        for each in (*filling, listener):
            each.close()

    return Faulty(address, _replaced_by_a_node(house, address, let_go))


def through(manner: Manner) -> Break:
    """A healthy node behind a network like that."""

    async def make(house: Guarded) -> Faulty:
        node = await house.node(2)
        proxy = await house.stack.enter_async_context(wire(node.address, manner))

        async def recover() -> None:
            proxy.manner = "pass"

        return Faulty(proxy.address, recover)

    return make


async def frozen(house: Guarded) -> Faulty:
    """A node's process that is stopped."""
    child = await Child.start(
        "node",
        "keyviz_grpc.cli.node",
        ["--listen", "127.0.0.1:0", "--key-file", str(house.key.path)],
        forward=lambda *_: None,
    )

    async def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.process.pid, signal.SIGCONT)
        await end_all([child], grace_s=10)

    house.stack.push_async_callback(end)
    await child.wait_ready()
    os.kill(child.process.pid, signal.SIGSTOP)

    async def recover() -> None:
        os.kill(child.process.pid, signal.SIGCONT)

    return Faulty(child.ready["grpc"], recover)


async def speaking_http1(house: Guarded) -> Faulty:
    """A web server on the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = "{}:{}".format(*server.sockets[0].getsockname())

    async def end() -> None:
        server.close()
        await server.wait_closed()

    house.stack.push_async_callback(end)
    return Faulty(address, _replaced_by_a_node(house, address, end))


def served(settings: Callable[[Guarded], ServerSettings]) -> Break:
    """A healthy node that serves otherwise than the gateway expects."""

    async def make(house: Guarded) -> Faulty:
        node = await house.node(2, settings=settings(house))
        return Faulty(node.address, _replaced_by_a_node(house, node.address, lambda: node.drain(0)))

    return make


async def with_another_key(house: Guarded) -> Faulty:
    """A node that was given another key."""
    node = await house.node(2, key=new_key(house.folder / "other.key"))
    return Faulty(node.address, _replaced_by_a_node(house, node.address, lambda: node.drain(0)))


async def without_a_sampler(house: Guarded) -> Faulty:
    """A node whose sampler is off."""
    node = await serve_node(None, listen="127.0.0.1:0", verifier=TokenVerifier([house.key]))
    house.stack.push_async_callback(node.drain, 0)
    return Faulty(node.address, _replaced_by_a_node(house, node.address, lambda: node.drain(0)))


class _Held(Prepared):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__(ANSWERS[2])
        self.entered, self.go = threading.Event(), threading.Event()

    def matrix(self, query: Any) -> Any:
        """Waits."""
        self.entered.set()
        self.go.wait(30)
        return super().matrix(query)


async def full(house: Guarded) -> Faulty:
    """A node that has as many calls under way as it takes."""
    held = _Held()
    node = await house.node(2, source=held, settings=ServerSettings(max_concurrent=1))
    house.stack.callback(held.go.set)
    channel = await house.stack.enter_async_context(grpc.aio.insecure_channel(node.address))
    metadata = house.shared().credentials.metadata()  # type: ignore[union-attr]
    call = asyncio.ensure_future(
        rpc.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=metadata)
    )
    await asyncio.to_thread(held.entered.wait, 10)

    async def recover() -> None:
        held.go.set()
        await call

    return Faulty(node.address, recover)


async def going_away(house: Guarded) -> Faulty:
    """A server that is stopped in the middle of the call: GOAWAY, and the call is cancelled."""
    server: grpc.aio.Server

    async def stop_meanwhile(_: Any) -> None:
        asyncio.get_running_loop().call_soon(lambda: stopping.append(asyncio.ensure_future(server.stop(0))))
        await asyncio.sleep(30)

    stopping: list[asyncio.Future[None]] = []
    server, address = await serve_scripted(house, stop_meanwhile)
    return Faulty(address, _replaced_by_a_node(house, address, lambda: asyncio.gather(*stopping)))
