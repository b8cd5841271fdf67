"""What `keyviz-health` says of every answer that a health service can give, and of every way that it can fail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import grpc
import grpc_testing
import pytest
from grpc_health.v1 import health_pb2

from keyviz_grpc.cli.health import _asked

CHECK = health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name["Check"]
FAILURES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def answered(status: int, code: grpc.StatusCode, details: str = "") -> tuple[str, Any, Any]:
    """(what is said, the request, its metadata) where the service answers so."""
    channel = grpc_testing.channel(
        list(health_pb2.DESCRIPTOR.services_by_name.values()), grpc_testing.strict_real_time()
    )
    with ThreadPoolExecutor(1) as thread:
        said = thread.submit(_asked, channel, "10.0.0.1:1", "keyviz.v1.KeyViz", 30)
        metadata, request, call = channel.take_unary_unary(CHECK)
        call.send_initial_metadata(())
        reply = health_pb2.HealthCheckResponse(status=status)
        call.terminate(reply if code is grpc.StatusCode.OK else None, (), code, details)
        return said.result(30), request, metadata


@pytest.mark.parametrize("name", health_pb2.HealthCheckResponse.ServingStatus.keys())
def test_a_status_is_said_by_its_name(name: str) -> None:
    """One service is asked for, by name and without credentials."""
    number = health_pb2.HealthCheckResponse.ServingStatus.Value(name)
    said, request, metadata = answered(number, grpc.StatusCode.OK)
    assert (said, request.service) == (name, "keyviz.v1.KeyViz")
    assert "authorization" not in dict(metadata or ())


@pytest.mark.parametrize("code", FAILURES, ids=[code.name for code in FAILURES])
def test_a_failure_is_one_line_with_target_code_and_words(code: grpc.StatusCode) -> None:
    """Whatever the code."""
    with pytest.raises(click.ClickException) as told:
        answered(0, code, "words")
    assert told.value.message == f"10.0.0.1:1: {code.name}: words"


def test_a_service_that_the_server_does_not_know() -> None:
    """The health service itself answers with a code and no words."""
    with pytest.raises(click.ClickException, match=r"NOT_FOUND: the server knows no service 'keyviz\.v1\.KeyViz'"):
        answered(0, grpc.StatusCode.NOT_FOUND)
