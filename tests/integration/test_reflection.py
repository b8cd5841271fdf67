"""Server reflection under both names of the service, asked as its clients ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from keyviz_grpc.reflection import REFLECTION
from keyviz_grpc.server import serve_node

KEYVIZ, ADMIN, HEALTH = "keyviz_grpc/proto/keyviz.proto", "keyviz_grpc/proto/admin.proto", "grpc_health/v1/health.proto"


@pytest_asyncio.fixture(params=["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"])
async def asked(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A client of one of the two, at a node without a sampler: called with a request, it gives the reply."""
    async with (
        await serve_node(None, listen="127.0.0.1:0") as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        call: Any = channel.stream_stream(
            f"/{request.param}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )

        async def ask(**words: str) -> reflection_pb2.ServerReflectionResponse:
            return await anext(aiter(call(iter([reflection_pb2.ServerReflectionRequest(**words)]), timeout=30)))

        yield ask


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("keyviz.v1.KeyViz", KEYVIZ),
        ("keyviz.v1.KeyViz.GetKeyVizMatrix", KEYVIZ),
        ("Admin.GetKeyVizMatrix", ADMIN),
        ("grpc.health.v1.Health.Watch", HEALTH),
        ("keyviz.v1.KeyVizRow", KEYVIZ),
        ("keyviz.v1.KeyVizRow.values", KEYVIZ),
        ("keyviz.v1.SampleRole", KEYVIZ),
        ("keyviz.v1.SAMPLE_ROLE_LEADER_WRITE", KEYVIZ),
        ("grpc.health.v1.HealthCheckResponse.SERVING", HEALTH),
    ],
)
async def test_whatever_has_a_full_name_is_found(asked: Any, symbol: str, file: str) -> None:
    """The file that says it comes first, then those that it imports."""
    reply = await asked(file_containing_symbol=symbol)
    found = [FileDescriptorProto.FromString(raw).name for raw in reply.file_descriptor_response.file_descriptor_proto]
    assert found == [file, *([KEYVIZ] if file == ADMIN else [])]


@pytest.mark.parametrize(
    "symbol", ["", ".", "keyviz.v1", "keyviz.v1.KeyViz.", "keyviz.v1.KeyViz.Nothing", "keyviz.v1.KeyVizRow.nothing"]
)
async def test_what_is_no_name_is_not_found(asked: Any, symbol: str) -> None:
    """Told in the reply; the stream goes well."""
    reply = await asked(file_containing_symbol=symbol)
    assert reply.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_the_rest_that_is_asked_is_answered(asked: Any) -> None:
    """Services by name, files by name, and extensions, of which there are none."""
    listed = [service.name for service in (await asked(list_services="")).list_services_response.service]
    assert listed == ["Admin", "grpc.health.v1.Health", REFLECTION[1], "keyviz.v1.KeyViz"]
    assert (await asked(file_by_filename=ADMIN)).file_descriptor_response.file_descriptor_proto
    extensions = await asked(all_extension_numbers_of_type="keyviz.v1.KeyVizRow")
    assert not extensions.all_extension_numbers_response.extension_number
    assert extensions.all_extension_numbers_response.base_type_name == "keyviz.v1.KeyVizRow"
