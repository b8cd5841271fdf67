"""The published description says what the HTTP face does."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from gateway.app import OPENAPI, create_app
from gateway.paths import Paths
from gateway.problems import STATUS_OF
from keyviz_grpc.errors import ON_THE_WIRE, FailureKind
from keyviz_grpc.model import Catalogue, Row
from keyviz_grpc.outcome import NoUsablePeers, WarningCode
from tests.unit.gateway.scripted import API, DEAD, MATRIX, OK, ScriptedCluster, answer_of, asking

DESCRIBED: dict[str, Any] = json.loads(OPENAPI.read_bytes())


def check(body: object, schema: str) -> None:
    """The body is what the named schema says, and has no key that the schema does not know."""

    def strict(part: Any) -> Any:
        if isinstance(part, list):
            return [strict(one) for one in part]
        if not isinstance(part, dict):
            return part
        extra = {"additionalProperties": False} if part.get("type") == "object" else {}
        return {name: strict(one) for name, one in part.items()} | extra

    whole = {"$ref": f"#/components/schemas/{schema}", "components": strict(DESCRIBED["components"])}
    jsonschema.Draft202012Validator(whole).validate(body)


async def test_every_path_is_described_and_no_other() -> None:
    """It is published beside what it describes."""
    async with asking() as client:
        assert (await client.get(f"{API}/openapi.json")).json() == DESCRIBED
    paths = create_app(ScriptedCluster()).app
    assert isinstance(paths, Paths)
    assert set(DESCRIBED["paths"]) == set(paths.alone) - {"/", "/admin", f"{API}/openapi.json"}


def test_the_words_of_the_code_are_the_words_of_the_description() -> None:
    """Failure kinds, warnings and error codes."""
    schemas = DESCRIBED["components"]["schemas"]
    assert schemas["Node"]["properties"]["kind"]["enum"] == ["", *FailureKind]
    assert schemas["Warning"]["properties"]["code"]["enum"] == list(WarningCode)
    known = {*STATUS_OF, *(entry.http_code for entry in ON_THE_WIRE.values())}
    elsewhere = {"unknown_endpoint", "not_found", "method_not_allowed", "page_not_built"}
    text = OPENAPI.read_text(encoding="utf-8")
    assert {code for code in known if f'"{code}"' in text} == known - elsewhere


async def test_a_full_matrix_is_as_described() -> None:
    """Every optional key."""
    row = Row("virtual:7", b"", b"", "hot", aggregate=True, route_ids=(1,), route_ids_truncated=True, route_count=300)
    answer = answer_of(
        [[2**64 - 1, 0]],
        outcomes=(OK, DEAD),
        catalogue=Catalogue((row,)),
        identities=np.array([[0, 0], [7, 3]], np.uint64),
        codes=np.array([[1, 0]], np.uint32),
        soft=np.array([[True, False]]),
        conflicts=np.array([[True, False]]),
    )
    async with asking(ScriptedCluster(answer)) as client:
        body = (await client.get(MATRIX)).json()
    check(body, "Matrix")
    [shown] = body["rows"]
    optional = {"label", "route_ids", "route_ids_truncated", "conflicts", "soft", "raft_group_ids", "leader_terms"}
    assert optional < set(shown)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (MATRIX, "Matrix"),
        (f"{API}/keyviz/cell?bucket_id=route:1&column_unix_ms=60000", "Cell"),
        (f"{API}/cluster", "Cluster"),
    ],
)
async def test_answers_are_as_described(path: str, schema: str) -> None:
    """No key more, no key less."""
    async with asking() as client:
        check((await client.get(path)).json(), schema)


async def test_errors_are_as_described() -> None:
    """Also the one with the outcomes."""
    async with asking(ScriptedCluster(NoUsablePeers((DEAD,)))) as client:
        check((await client.get(MATRIX)).json(), "Error")
        check((await client.get("/x")).json(), "Error")
        login = await client.post(f"{API}/auth/login", json={"access_key": "a", "secret_key": "b"})
    check(login.json(), "Login")
