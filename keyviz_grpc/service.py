"""The servicers: one face for a node's own source, one for a cluster's aggregator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeAlias

import grpc

from keyviz_grpc.cluster import Cluster
from keyviz_grpc.codec import decode_query, encode_answer, encode_overview
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import ON_THE_WIRE, InvalidRequest, KeyVizError, SamplerDisabled
from keyviz_grpc.interceptors import MAX_DETAILS_CHARS
from keyviz_grpc.proto import admin_pb2_grpc, keyviz_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.source import Source

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

DEFAULT_DEADLINE_S: Final = 10.0


class _Unreachable(Exception):
    """Stands after an abort, which has raised already; type checkers do not know that."""


@contextlib.asynccontextmanager
async def _errors_on_the_wire(context: Context) -> AsyncIterator[None]:
    try:
        yield
    except tuple(ON_THE_WIRE) as error:
        code, details = _status_of(error)
        await context.abort(code, details)


def _status_of(error: KeyVizError) -> tuple[grpc.StatusCode, str]:
    entry = next(ON_THE_WIRE[kind] for kind in type(error).__mro__ if kind in ON_THE_WIRE)
    # Existing clients compare these words, and people want to see the field first.
    plain = isinstance(error, InvalidRequest | SamplerDisabled)
    details = str(error) if plain else f"{entry.http_code}: {error}"
    return grpc.StatusCode[entry.grpc_code], details[:MAX_DETAILS_CHARS]


class NodeServicer(keyviz_pb2_grpc.KeyVizServicer, admin_pb2_grpc.AdminServicer):
    """Answers from one node's own source and never asks anybody else. `source` None: its sampler is off."""

    def __init__(self, source: Source | None, threads: ThreadPoolExecutor) -> None:
        self._source = source
        self._threads = threads

    def _sampler(self) -> Source:
        if self._source is None:
            raise SamplerDisabled
        return self._source

    async def GetKeyVizMatrix(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetKeyVizMatrixRequest, context: Context
    ) -> pb.GetKeyVizMatrixResponse:
        """See the proto file."""
        async with _errors_on_the_wire(context):
            query, source = decode_query(request), self._sampler()
            accept = tuple(request.accept)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: encode_answer(source.matrix(query), accept=accept))
        raise _Unreachable

    async def GetClusterOverview(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetClusterOverviewRequest, context: Context
    ) -> pb.GetClusterOverviewResponse:
        """See the proto file."""
        del request
        async with _errors_on_the_wire(context):
            return encode_overview(self._sampler().overview())
        raise _Unreachable


class ClusterServicer(keyviz_pb2_grpc.KeyVizServicer, admin_pb2_grpc.AdminServicer):
    """Answers for a whole cluster, so that aggregators stack into trees."""

    def __init__(self, cluster: Cluster, threads: ThreadPoolExecutor) -> None:
        self._cluster = cluster
        self._threads = threads

    async def GetKeyVizMatrix(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetKeyVizMatrixRequest, context: Context
    ) -> pb.GetKeyVizMatrixResponse:
        """See the proto file."""
        async with _errors_on_the_wire(context):
            query = replace(decode_query(request), known=None)  # a merged answer is always told in full
            answer = await self._cluster.matrix(query, _deadline(context))
            accept = tuple(request.accept)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: encode_answer(answer, accept=accept))
        raise _Unreachable

    async def GetClusterOverview(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetClusterOverviewRequest, context: Context
    ) -> pb.GetClusterOverviewResponse:
        """See the proto file."""
        del request
        async with _errors_on_the_wire(context):
            return encode_overview(await self._cluster.overview(_deadline(context)))
        raise _Unreachable


def _deadline(context: Context) -> Deadline:
    left_s = context.time_remaining()
    return Deadline.after(DEFAULT_DEADLINE_S if left_s is None else min(left_s, 600.0))
