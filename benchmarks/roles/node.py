"""Some nodes of a cluster in one process, each with a port of its own, and the canned bytes of each on another."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

import grpc

from benchmarks.children import options, say
from benchmarks.counted import Counted
from benchmarks.synthetic import Shape, cluster, without_extensions
from keyviz_grpc.codec import answer_bytes, encode_answer
from keyviz_grpc.outcome import Answer
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_node

OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_send_message_length", -1)]
MATRIX = "GetKeyVizMatrix"
ACCEPT = (pb.MATRIX_ENCODING_COLUMNAR,)

NEVER_S = 3600.0
"""Nothing is observed here; in a cluster no two nodes share cores."""


async def _canned(stack: AsyncExitStack, service: str, replies: dict[str, bytes]) -> str:
    """Serves the same bytes at every call, through the same gRPC stack; returns the address."""

    def handler(raw: bytes) -> Any:
        async def answer(request: Any, context: Any) -> bytes:
            del request, context
            return raw

        return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server(options=OPTIONS)
    handlers = {name: handler(raw) for name, raw in replies.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stack.push_async_callback(server.stop, None)
    return f"127.0.0.1:{port}"


async def _serve(answers: list[Answer], *, older: bool) -> None:
    addresses, canned, sizes = [], [], []
    async with AsyncExitStack() as stack:
        for answer in answers:
            if older:
                # An existing node is another program; what its answer costs it is not ours to measure.
                raw = without_extensions(encode_answer(answer)).SerializeToString()
                overview = pb.GetClusterOverviewResponse(self=pb.NodeIdentity(node_id=answer.node_id))
                replies = {MATRIX: raw, "GetClusterOverview": overview.SerializeToString()}
                addresses.append(await _canned(stack, "keyviz.v1.KeyViz", replies))
            else:
                sampler = Counted(answer, len(answer.matrix.columns), drain_interval_s=NEVER_S).sampler
                stack.callback(sampler.close)
                raw = answer_bytes(sampler.matrix(MatrixQuery(without_roles=True)), accept=ACCEPT)
                node = await stack.enter_async_context(await serve_node(sampler, listen="127.0.0.1:0"))
                addresses.append(node.address)
            canned.append(await _canned(stack, "floor", {MATRIX: raw}))
            sizes.append(len(raw))
        say(addresses=addresses, canned=canned, bytes=sizes)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Until the parent closes its end."""
    given = options()
    shape = Shape.from_plain(given["shape"])
    answers = cluster(shape, now_unix_ms=given["now_unix_ms"], only=given["numbers"])
    asyncio.run(_serve(answers, older=given["older"]))


if __name__ == "__main__":
    main()
