"""A real grpcurl against a node and against the cluster's own service, without any proto file at hand."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.e2e.conftest import Processes

pytestmark = pytest.mark.e2e

METHOD = "keyviz.v1.KeyViz/GetKeyVizMatrix"


def call(
    grpcurl: str, address: str, *words: str, data: dict[str, Any] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs grpcurl in plain text; `words` come after the address."""
    asked = ["-d", json.dumps(data)] if data is not None else []
    return subprocess.run(
        [grpcurl, "-plaintext", "-max-time", "20", *asked, address, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def addresses(processes: Processes) -> dict[str, str]:
    """A node with some past, and the service of a gateway above it."""
    node = await processes.node("--workload", "demo", "--step", "1s", "--history", "20s")
    gateway = await processes.gateway([node.ready["grpc"]])
    return {"node": node.ready["grpc"], "cluster": gateway.ready["grpc"]}


async def test_list_and_describe_work_by_reflection(processes: Processes, grpcurl: str) -> None:
    """Both services, health and reflection are listed, and messages can be described."""
    for address in (await addresses(processes)).values():
        listed = call(grpcurl, address, "list").stdout.split()
        assert {"keyviz.v1.KeyViz", "Admin", "grpc.health.v1.Health"} <= set(listed)
        described = call(grpcurl, address, "describe", "keyviz.v1.KeyVizRow").stdout
        assert "repeated uint64 leader_terms = 14;" in described
        health = call(grpcurl, address, "grpc.health.v1.Health/Check", data={"service": "keyviz.v1.KeyViz"})
        assert json.loads(health.stdout) == {"status": "SERVING"}


@pytest.mark.parametrize(
    ("symbol", "told"),
    [
        ("keyviz.v1.KeyViz.GetKeyVizMatrix", "rpc GetKeyVizMatrix ( .keyviz.v1.GetKeyVizMatrixRequest )"),
        ("Admin.GetClusterOverview", "rpc GetClusterOverview ( .keyviz.v1.GetClusterOverviewRequest )"),
        ("keyviz.v1.KeyVizRow.leader_terms", "repeated uint64 leader_terms = 14;"),
        ("keyviz.v1.KEYVIZ_SERIES_READS", "KEYVIZ_SERIES_READS = 1;"),
        ("grpc.health.v1.HealthCheckResponse.SERVING", "SERVING = 1;"),
    ],
)
async def test_a_single_part_can_be_described(processes: Processes, grpcurl: str, symbol: str, told: str) -> None:
    """A method, a field, a value of an enum, as grpcurl itself prints their names."""
    for address in (await addresses(processes)).values():
        described = call(grpcurl, address, "describe", symbol)
        assert told in described.stdout, described.stderr


async def test_the_bare_path_gives_the_same_answer(processes: Processes, grpcurl: str) -> None:
    """/Admin/GetKeyVizMatrix is the same service under its old name; nobody gets the packed form without asking."""
    for address in (await addresses(processes)).values():
        newest = json.loads(call(grpcurl, address, METHOD, data={}).stdout)["column_unix_ms"][-1]
        data = {"series": "KEYVIZ_SERIES_READS", "to_unix_ms": newest, "rows": 20}
        answers = [
            json.loads(call(grpcurl, address, path, data=data).stdout) for path in (METHOD, "Admin/GetKeyVizMatrix")
        ]
        assert answers[0]["rows"] == answers[1]["rows"]
        assert 0 < len(answers[0]["rows"]) <= 20
        assert all(len(row["values"]) == len(answers[0]["column_unix_ms"]) for row in answers[0]["rows"])
        assert "columnar" not in answers[0]


async def test_a_bad_request_names_field_and_value(processes: Processes, grpcurl: str) -> None:
    """INVALID_ARGUMENT says what to mend."""
    bad: list[tuple[dict[str, Any], list[str]]] = [
        ({"series": 9}, ["series", "9"]),
        ({"from_unix_ms": "5", "to_unix_ms": "4"}, ["from_unix_ms", "5", "to_unix_ms", "4"]),
        ({"to_unix_ms": "-1"}, ["to_unix_ms", "-1"]),
    ]
    for address in (await addresses(processes)).values():
        for data, words in bad:
            refused = call(grpcurl, address, METHOD, data=data)
            assert refused.returncode != 0
            assert "InvalidArgument" in refused.stderr
            assert all(word in refused.stderr for word in words), refused.stderr


async def test_a_merged_answer_says_who_contributed(processes: Processes, grpcurl: str) -> None:
    """A user of grpcurl sees a degraded answer for what it is."""
    node = await processes.node("--workload", "demo", "--step", "1s", "--history", "20s")
    gateway = await processes.gateway([node.ready["grpc"], "127.0.0.1:1"])
    answer = json.loads(call(grpcurl, gateway.ready["grpc"], METHOD, data={"rows": 5}).stdout)
    assert [outcome["kind"] for outcome in answer["outcomes"]] == ["OUTCOME_KIND_OK", "OUTCOME_KIND_UNREACHABLE"]
