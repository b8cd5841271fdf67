"""What stands before every handler of a server, put together once for each method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import grpc

from keyviz_grpc.interceptors import Gate
from keyviz_grpc.metrics import Meter
from keyviz_grpc.request_id import HEADER, REQUEST_ID, sane_request_id
from keyviz_grpc.rpc_types import Handler


class Layer(Protocol):
    """Something that every call of a method passes."""

    def around(self, handler: Handler, method: str) -> Handler:
        """The handler behind it. Called once for a method: what differs from call to call is not known yet."""
        ...


class Layers(grpc.GenericRpcHandler):
    """All methods of a server behind its layers, the outermost first, and its gate, which is passed before any of them.

    To services it is the server that they are added to. An interceptor could do the same, but gRPC makes two coroutines
    of it for every call.
    meter: counts calls with one answer, those too that the gate refuses.
    """

    def __init__(self, layers: Sequence[Layer], *, gate: Gate | None = None, meter: Meter | None = None) -> None:
        self._layers = tuple(layers) if meter is None else (meter, *layers)
        self._gate, self._meter = gate, meter
        self._behind: list[grpc.GenericRpcHandler] = []
        self._built: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """As a server's."""
        self._behind.extend(handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """Leaves out what services say once more: gRPC would ask nobody else for such methods, and no layer either."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """See grpc.GenericRpcHandler. Called in the task of the call, so what is set here holds for all of it."""
        method = handler_call_details.method
        refusal = None if self._gate is None else self._gate.refusal(handler_call_details)
        if refusal is not None:
            return refusal if self._meter is None else self._meter.around(refusal, method)
        REQUEST_ID.set(_request_id_of(handler_call_details))
        built = self._built.get(method)
        if built is not None:
            return built
        for service in self._behind:
            handler = service.service(handler_call_details)
            if handler is not None:
                return self._build(handler, method)
        if self._meter is not None:
            self._meter.unknown()
        return None

    def _build(self, handler: Handler, method: str) -> Handler:
        for layer in reversed(self._layers):
            handler = layer.around(handler, method)
        self._built[method] = handler
        return handler


def _request_id_of(details: grpc.HandlerCallDetails) -> str:
    for key, value in details.invocation_metadata:
        if key == HEADER:
            return sane_request_id(str(value))
    return sane_request_id("")
