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


@schema.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: schemathesis.Case[Any]) -> None:
    """Status, content type, headers and body of each operation; never a 500; other methods refused with Allow."""
    case.call_and_validate(excluded_checks=UNSAYABLE)


def test_every_operation_is_generated_for() -> None:
    """No operation was left out for a fault of the description."""
    assert [type(result).__name__ for result in schema.get_all_operations()] == ["Ok"] * 8
