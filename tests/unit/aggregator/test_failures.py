"""One log line for a peer that fails, and one when it is back."""

from __future__ import annotations

import logging

import pytest

from keyviz_grpc.aggregator import FailureLog
from keyviz_grpc.aggregator.failures import MAX_PEERS
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.request_id import REQUEST_ID
from tests.unit.gateway.scripted import answer_of

DEAD = Outcome("n:1", kind=FailureKind.UNREACHABLE, detail="connection refused")
FINE = answer_of([[1]])


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    """(message, own fields) of what was logged."""
    names = ("peer", "kind", "detail", "failures_before", "more_failures")
    return [(r.message, {n: r.__dict__[n] for n in names if n in r.__dict__}) for r in caplog.records]


def test_a_dead_peer_is_one_line_a_period_however_often_it_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Each line says how many failures it stands for; being back is said once."""
    caplog.set_level(logging.INFO)
    clock = SteppedClock(0)
    told = FailureLog(every_s=30, clock=clock)
    for second in range(45):
        clock.move_to(second * 1000)
        told.asked("n:1", DEAD, 0.25)
    told.asked("n:1", FINE, 0.01)
    told.asked("n:1", FINE, 0.01)
    failure: dict[str, object] = {"peer": "n:1", "kind": "unreachable", "detail": "connection refused"}
    assert lines(caplog) == [
        ("peer failed", failure),
        ("peer failed", {**failure, "failures_before": 29}),
        ("peer answers again", {"peer": "n:1", "more_failures": 14}),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]


def test_a_peer_that_comes_and_goes_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Failing and answering in turns, a thousand times in a period: one failure, one return."""
    caplog.set_level(logging.INFO)
    told = FailureLog(every_s=30, clock=SteppedClock(0))
    for _ in range(1000):
        told.asked("n:1", DEAD, 0.25)
        told.asked("n:1", FINE, 0.01)
    assert [message for message, _ in lines(caplog)] == ["peer failed", "peer answers again"]


def test_peers_are_told_apart_and_soon_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    """Each has its own line; a cluster that changes its addresses all the time does not fill the memory."""
    told = FailureLog(every_s=30, clock=SteppedClock(0))
    for number in range(3 * MAX_PEERS):
        told.asked(f"n:{number}", DEAD, 0.25)
    assert len(lines(caplog)) == 3 * MAX_PEERS
    assert len(told._troubles) == MAX_PEERS


def test_a_peer_that_never_failed_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    """No news."""
    caplog.set_level(logging.INFO)
    FailureLog().asked("n:1", FINE, 0.01)
    assert lines(caplog) == []


def test_the_line_is_found_by_its_request(caplog: pytest.LogCaptureFixture) -> None:
    """It is written while the request's id is set, so every handler's formatter shows it."""
    seen: list[str] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(REQUEST_ID.get())

    logger = logging.getLogger("keyviz_grpc.aggregator.failures")
    handler = Noting()
    logger.addHandler(handler)
    token = REQUEST_ID.set("r1")
    try:
        FailureLog().asked("n:1", DEAD, 0.25)
    finally:
        REQUEST_ID.reset(token)
        logger.removeHandler(handler)
    assert seen == ["r1"]
