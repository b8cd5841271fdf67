"""The HTTP face against its own published description, with generated requests, good and bad."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings

from gateway.app import create_app
from gateway.settings import GatewaySettings
from tests.unit.gateway.scripted import API, ScriptedCluster

app = create_app(ScriptedCluster(), settings=GatewaySettings(login_attempts=1_000_000))
schema = schemathesis.openapi.from_asgi(f"{API}/openapi.json", app)

# What a schema cannot say: an empty parameter is an absent one, a larger budget is the cap, a window must not end
# before it starts, and a node must exist.
UNSAYABLE = [schemathesis.checks.negative_data_rejection, schemathesis.checks.positive_data_acceptance]


def _as_described(path: str) -> Any:
    """Status, content type, headers and body of one operation; never a 500; other methods refused with Allow."""

    # A test of its own for each: under one name they could not be told apart, and runners keep one a name.
    @schema.include(path=path).parametrize()
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(excluded_checks=UNSAYABLE)

    return check


test_matrix_answers_as_described = _as_described(f"{API}/keyviz/matrix")
test_cell_answers_as_described = _as_described(f"{API}/keyviz/cell")
test_hot_keys_answer_as_described = _as_described(f"{API}/keyviz/hotkeys")
test_cluster_answers_as_described = _as_described(f"{API}/cluster")
test_login_answers_as_described = _as_described(f"{API}/auth/login")
test_logout_answers_as_described = _as_described(f"{API}/auth/logout")
test_healthz_answers_as_described = _as_described("/admin/healthz")
test_readyz_answers_as_described = _as_described("/admin/readyz")


def test_every_operation_has_a_test() -> None:
    """And none was left out for a fault of the description."""
    assert [type(result).__name__ for result in schema.get_all_operations()] == ["Ok"] * 8
