"""What stands before handlers is put together once for each method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from prometheus_client import CollectorRegistry

from keyviz_grpc.auth import Refused
from keyviz_grpc.health import Health
from keyviz_grpc.interceptors import Gate
from keyviz_grpc.layers import Layers
from keyviz_grpc.metrics import Meter, ServerMetrics
from keyviz_grpc.request_id import REQUEST_ID
from keyviz_grpc.rpc_types import Handler


@dataclass
class Details:
    """Of a call, as gRPC tells whoever finds its handler."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()


@dataclass
class Written:
    """A layer that takes down what it was put around, and makes it known."""

    name: str
    seen: list[tuple[str, str]] = field(default_factory=list)

    def around(self, handler: Handler, method: str) -> Handler:
        """See Layer."""
        self.seen.append((self.name, method))
        return cast("Handler", (self.name, handler))


class Strict:
    """Lets in whoever says please."""

    def verify(self, authorization: str | None) -> str:
        """See Verifier."""
        if authorization != "please":
            raise Refused
        return "somebody"


HANDLER: Any = grpc.unary_unary_rpc_method_handler(lambda *_: None)


class There(grpc.GenericRpcHandler):
    """Has every method but one."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """See grpc.GenericRpcHandler."""
        return HANDLER if handler_call_details.method != "/none" else None


def ask(layers: Layers, method: str, *metadata: tuple[str, str]) -> Any:
    """The handler of a call."""
    return layers.service(cast("Any", Details(method, metadata)))


def behind(layers: Layers) -> Layers:
    """The same, before all of those methods."""
    layers.add_generic_rpc_handlers([There()])
    return layers


def test_layers_are_put_around_a_method_once_the_first_one_outermost() -> None:
    """Every later call of it gets the same handler; a method that is not there is not kept."""
    seen: list[tuple[str, str]] = []
    layers = behind(Layers([Written("outer", seen), Written("inner", seen)]))
    first = ask(layers, "/a")
    assert first == ("outer", ("inner", HANDLER))
    assert ask(layers, "/a") is first
    assert ask(layers, "/b") == first
    assert seen == [("inner", "/a"), ("outer", "/a"), ("inner", "/b"), ("outer", "/b")]
    assert ask(layers, "/none") is None
    assert seen[4:] == []


async def test_every_call_passes_the_gate_and_has_its_own_request_id() -> None:
    """Also of a method that somebody else was let in for, and however many came before."""
    layers = behind(Layers([Written("layer")], gate=Gate(Strict())))
    let_in = ask(layers, "/a", ("authorization", "please"), ("x-request-id", "one"))
    assert REQUEST_ID.get() == "one"
    refused = ask(layers, "/a", ("authorization", "now"), ("x-request-id", "two"))
    assert refused is not let_in
    assert refused.request_streaming, "a refusal waits for no message"
    assert REQUEST_ID.get() == "one", "a refused call is nobody's request"
    assert ask(layers, "/a", ("authorization", "please")) is let_in
    assert REQUEST_ID.get() not in ("", "one", "two")


@pytest.mark.parametrize("method", ["/a", "/none"])
def test_a_meter_stands_before_refusals_and_before_what_is_not_there(method: str) -> None:
    """It is told of a method that nobody has, but not of one that somebody is not let in for."""
    registry = CollectorRegistry()
    layers = behind(Layers([], gate=Gate(Strict()), meter=Meter(ServerMetrics(registry, frozenset()))))

    def unknown() -> float:
        told = {"method": "other", "code": "UNIMPLEMENTED"}
        return registry.get_sample_value("keyviz_grpc_requests_total", told) or 0.0

    refused = ask(layers, method)
    assert refused.request_streaming
    assert refused.response_serializer is not None, "that is the meter's"
    assert unknown() == 0
    there = ask(layers, method, ("authorization", "please"))
    assert (there is None, unknown()) == (method == "/none", float(method == "/none"))


def test_what_a_service_registers_is_behind_the_layers_too() -> None:
    """Generated code hands its methods over twice, and gRPC looks for registered ones before anything else."""
    layers = Layers([Written("layer")])
    health_pb2_grpc.add_HealthServicer_to_server(Health(()).servicer, layers)
    method = "/grpc.health.v1.Health/Check"
    name, handler = ask(layers, method)
    assert (name, handler.unary_unary is not None) == ("layer", True)
