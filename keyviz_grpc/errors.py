"""The exception tree, and the one table from failure kind to gRPC code and HTTP status.

Four kinds of trouble are kept apart: the caller's mistake (`InvalidRequest`, `SettingError`, `TraceError`), a peer's
failure (a `FailureKind` in an outcome, never an exception in the fan-out), no usable peer (`NoUsablePeers`,
`SamplerDisabled`), and our own bug (any other exception; only the outermost barrier catches it).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class FailureKind(enum.StrEnum):
    """Why a peer did not contribute to a request: docs/production.md says what each means."""

    UNREACHABLE = "unreachable"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    MESSAGE_TOO_LARGE = "message_too_large"
    OVERLOADED = "overloaded"
    UNAUTHENTICATED = "unauthenticated"
    MALFORMED = "malformed"
    INCOMPATIBLE = "incompatible"
    DISABLED = "disabled"
    INTERNAL = "internal"


class KeyVizError(Exception):
    """Root of everything this project raises on purpose."""


class InvalidRequest(KeyVizError):
    """The caller asked for something that makes no sense; `field` and `value` say what.

    `str(error)` is safe to send back: it is one line, at most 1 KB, and quotes the value escaped.
    """

    def __init__(self, field: str, value: object, problem: str) -> None:
        shown = repr(value)
        if len(shown) > 200:
            shown = shown[:200] + "…"
        super().__init__(f"{field}={shown}: {problem}")
        self.field = field
        self.value = value
        self.problem = problem


class SettingError(KeyVizError):
    """A setting (command line, environment, file) is wrong; the message names it and its value."""


class TraceError(KeyVizError):
    """A trace or leadership file is wrong; the message names file, line and column."""


class UnknownRoute(KeyVizError, KeyError):
    """An operation was observed for a route that was never registered."""

    def __init__(self, route_id: int) -> None:
        super().__init__(f"route_id={route_id!r} is not registered")
        self.route_id = route_id

    def __str__(self) -> str:
        return str(self.args[0])


class SamplerDisabled(KeyVizError):
    """The sampler is off (on every peer, when an aggregator raises it): there is nothing to show, not even zeros."""

    def __init__(self, message: str = "keyviz sampler not configured") -> None:
        super().__init__(message)


class HotKeysDisabled(KeyVizError):
    """Hot keys are not recorded (on any peer, when an aggregator raises it)."""

    def __init__(
        self, message: str = "hot keys are not recorded: they are off by default, for they show user keys"
    ) -> None:
        super().__init__(message)


class NoSnapshot(KeyVizError):
    """No closed window has anything of the bucket whose hot keys are asked for."""


class OutOfSnapshotWindow(KeyVizError):
    """The range of time asked for is outside of the windows of which hot keys are held."""


class NobodyWaits(KeyVizError):
    """Whoever asked has gone or is out of time, so the work was stopped; nobody is told."""


class LoopRefused(KeyVizError):
    """The request has passed this aggregator before; going on would never end."""


class Overloaded(KeyVizError):
    """A bound on work in flight is reached; `retry_after_s` is when trying again makes sense."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class MalformedAnswer(KeyVizError):
    """An answer breaks a law of its type; the message names the law and the place."""


class TooLarge(KeyVizError):
    """An answer does not fit a cap or a budget; the message names both sizes."""


@dataclass(frozen=True, slots=True)
class Translation:
    """How one condition reads on each face: gRPC status name, HTTP status and the code in the error body."""

    grpc_code: str
    http_status: int
    http_code: str


ON_THE_WIRE: Final[dict[type[KeyVizError], Translation]] = {
    InvalidRequest: Translation("INVALID_ARGUMENT", 400, "invalid_query"),
    SamplerDisabled: Translation("UNAVAILABLE", 503, "keyviz_disabled"),
    HotKeysDisabled: Translation("UNAVAILABLE", 503, "hotkeys_disabled"),
    NoSnapshot: Translation("NOT_FOUND", 404, "no_snapshot"),
    OutOfSnapshotWindow: Translation("OUT_OF_RANGE", 400, "out_of_snapshot_window"),
    LoopRefused: Translation("FAILED_PRECONDITION", 502, "no_peers"),
    Overloaded: Translation("RESOURCE_EXHAUSTED", 503, "overloaded"),
    TooLarge: Translation("RESOURCE_EXHAUSTED", 503, "overloaded"),
}
"""`NoUsablePeers` (UNAVAILABLE, 502, no_peers) joins this table in `outcome`, which defines it with its outcomes."""


FAILURE_OF_STATUS: Final[dict[str, FailureKind]] = {
    "CANCELLED": FailureKind.UNREACHABLE,
    "UNKNOWN": FailureKind.INTERNAL,
    "INVALID_ARGUMENT": FailureKind.INTERNAL,
    "DEADLINE_EXCEEDED": FailureKind.DEADLINE_EXCEEDED,
    "NOT_FOUND": FailureKind.INTERNAL,
    "ALREADY_EXISTS": FailureKind.INTERNAL,
    "PERMISSION_DENIED": FailureKind.UNAUTHENTICATED,
    "RESOURCE_EXHAUSTED": FailureKind.OVERLOADED,
    "FAILED_PRECONDITION": FailureKind.INCOMPATIBLE,
    "ABORTED": FailureKind.INTERNAL,
    "OUT_OF_RANGE": FailureKind.INTERNAL,
    "UNIMPLEMENTED": FailureKind.INCOMPATIBLE,
    "INTERNAL": FailureKind.INTERNAL,
    "UNAVAILABLE": FailureKind.UNREACHABLE,
    "DATA_LOSS": FailureKind.INTERNAL,
    "UNAUTHENTICATED": FailureKind.UNAUTHENTICATED,
}
"""Every gRPC status but OK, by name. Two need the details text as well, which `failed_calls` alone reads:
RESOURCE_EXHAUSTED is `message_too_large` for an over-cap reply, UNAVAILABLE is `disabled` for a sampler that is off."""
