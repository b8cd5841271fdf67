"""Server reflection, which grpcurl and its like ask in place of proto files, under both names that it has."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2

from keyviz_grpc.layers import Layers

REFLECTION: Final[tuple[str, ...]] = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
"""One service, the same messages: the older name is the one that has a descriptor, so it alone is listed."""


def add_reflection(layers: Layers, services: Iterable[str]) -> None:
    """Serves it; services: the full names of the others, which it lists besides itself."""
    servicer = reflection.aio.ReflectionServicer([*services, reflection.SERVICE_NAME], pool=_Symbols())
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {"ServerReflectionInfo": handler}
    layers.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, methods) for name in REFLECTION])


class _Symbols:
    """The pool of all descriptors, as a servicer asks it; everything raises KeyError for what is not there.

    Its own search for a symbol passes over methods.
    """

    def __init__(self) -> None:
        self._pool = pool = descriptor_pool.Default()
        self.FindFileByName = pool.FindFileByName
        self.FindMessageTypeByName = pool.FindMessageTypeByName
        self.FindExtensionByNumber = pool.FindExtensionByNumber
        self.FindAllExtensions = pool.FindAllExtensions

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - as the pool's
        """The file of anything that has a full name."""
        with suppress(KeyError):
            return self._pool.FindFileContainingSymbol(symbol)
        return self._pool.FindMethodByName(symbol).containing_service.file
