"""What a call that failed is told as: the one place where a gRPC status becomes an outcome."""

from __future__ import annotations

import logging
from typing import Final

from keyviz_grpc.connection import Status
from keyviz_grpc.deadline import NOT_IN_TIME
from keyviz_grpc.errors import FAILURE_OF_STATUS, FailureKind
from keyviz_grpc.outcome import Outcome

log = logging.getLogger(__name__)

MAX_DETAIL_CHARS: Final = 300
DISABLED_WORDS: Final = ("keyviz sampler not configured", "hotkeys_disabled")


def outcome_of(status: Status, address: str, *, cap_bytes: int) -> Outcome:
    """Of a peer that was asked there. cap_bytes: the largest message that is taken from it."""
    if status.kind is not None:
        return failed(address, status.kind, status.details)
    kind = FAILURE_OF_STATUS[status.code]
    details = status.details
    if status.code == "RESOURCE_EXHAUSTED" and "larger than max" in details:
        kind = FailureKind.MESSAGE_TOO_LARGE
        if "larger than max_" not in details:  # a node's own bound is told in its own words
            details = f"its answer is over the cap of {cap_bytes} bytes"
        log.warning("answer over the cap", extra={"peer": address, "cap_bytes": cap_bytes})
    elif status.code == "UNAVAILABLE" and any(words in details for words in DISABLED_WORDS):
        kind = FailureKind.DISABLED
    elif status.code == "DEADLINE_EXCEEDED":
        details = NOT_IN_TIME
    elif status.code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        details = "the peer refused the credentials: compare the key or token files on both sides"
    return failed(address, kind, details or status.code)


def failed(address: str, kind: FailureKind, detail: str, latency_ms: float = 0.0) -> Outcome:
    """The detail as one line of printable text, cut where it is long: it may be a peer's words."""
    plain = "".join(character if character.isprintable() else " " for character in detail)
    short = plain if len(plain) <= MAX_DETAIL_CHARS else plain[:MAX_DETAIL_CHARS] + "…"
    return Outcome(address, kind=kind, detail=short, latency_ms=latency_ms)
