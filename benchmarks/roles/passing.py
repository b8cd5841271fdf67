"""A gateway without work of its own: asks the real nodes, looks at nothing of their answers, and sends a ready body.

What stands between it and the floor is HTTP, and what nodes do beyond sending canned bytes. Where it is to ask for the
newest columns alone, it reads of each answer which one that is. Where every body is to be another one, it encodes the
ready answer as the floor does.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.children import options, say, used
from benchmarks.http_client import PATH
from benchmarks.roles.floor import CALLER_OPTIONS, encoded, ready
from gateway.responses import InPieces
from gateway.row_texts import piece_bytes
from gateway.serving import http_server
from keyviz_grpc.allocator import keep_freed_memory
from keyviz_grpc.codec import encode_query, known_bytes
from keyviz_grpc.garbage import collect_rarely
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import Known, MatrixQuery


class Newest:
    """Asks one node for the columns that closed since its answer before, and for all of them at first."""

    def __init__(self, call: Any, asked: bytes) -> None:
        self._call, self._asked = call, asked
        self._question = asked

    async def ask(self) -> None:
        """Once."""
        told = pb.GetKeyVizMatrixResponse.FromString(await self._call(self._question))
        newest = told.history.newest_unix_ms
        known = Known(told.node_id, told.incarnation, told.history.number, newest + 1)
        self._question = self._asked + known_bytes(known)


def _pieces(body: bytes) -> list[bytes]:
    """As our gateway hands a body to the socket."""
    size = piece_bytes(len(body))
    return [body[at : at + size] for at in range(0, len(body), size)]


async def _serve(peers: list[str], body: bytes, *, older: bool, knows: bool, encodes: bool) -> None:
    accept = () if older else (pb.MATRIX_ENCODING_COLUMNAR,)
    asked = encode_query(MatrixQuery(via=("bench",), without_roles=True), accept=accept).SerializeToString()
    pieces, arrays = _pieces(body), ready(body)
    async with AsyncExitStack() as stack:
        channels = [grpc.aio.insecure_channel(address, options=CALLER_OPTIONS) for address in peers]
        for channel in channels:
            stack.push_async_callback(channel.close)
        path = "/keyviz.v1.KeyViz/GetKeyVizMatrix"
        calls: list[Any] = [channel.unary_unary(path, response_deserializer=None) for channel in channels]
        asks = [Newest(call, asked).ask if knows else partial(call, asked) for call in calls]

        async def answer(request: Request) -> Response:
            del request
            await asyncio.gather(*(ask() for ask in asks))
            sent = _pieces(encoded(arrays)) if encodes else pieces
            return InPieces(sent, status=200, headers={}, unsent=None)

        listener = bind("127.0.0.1:0")
        stack.callback(listener.close)
        app = Starlette(routes=[Route(PATH, answer)])
        await stack.enter_async_context(http_server(app, listener))
        say(address=address_of(listener))
        while (await asyncio.to_thread(sys.stdin.readline)).strip():
            say(**used())


def main() -> None:
    """Until the parent closes its end."""
    keep_freed_memory()
    collect_rarely()
    given = options()
    body = Path(given["body"]).read_bytes()
    knows, encodes = given.get("knows", False), given.get("encodes", False)
    asyncio.run(_serve(given["peers"], body, older=given["older"], knows=knows, encodes=encodes))


if __name__ == "__main__":
    main()
