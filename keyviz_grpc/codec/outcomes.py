"""Outcomes, warnings and the books of leaves of merged answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from keyviz_grpc.codec.times import latency_ms, moment_ms, step_ms
from keyviz_grpc.errors import FailureKind, MalformedAnswer
from keyviz_grpc.outcome import LeafRange, Outcome, PeerWarning, WarningCode
from keyviz_grpc.proto import keyviz_pb2 as pb

NUMBER_OF_KIND: Final = {
    None: pb.OUTCOME_KIND_OK,
    FailureKind.UNREACHABLE: pb.OUTCOME_KIND_UNREACHABLE,
    FailureKind.DEADLINE_EXCEEDED: pb.OUTCOME_KIND_DEADLINE_EXCEEDED,
    FailureKind.MESSAGE_TOO_LARGE: pb.OUTCOME_KIND_MESSAGE_TOO_LARGE,
    FailureKind.OVERLOADED: pb.OUTCOME_KIND_OVERLOADED,
    FailureKind.UNAUTHENTICATED: pb.OUTCOME_KIND_UNAUTHENTICATED,
    FailureKind.MALFORMED: pb.OUTCOME_KIND_MALFORMED,
    FailureKind.INCOMPATIBLE: pb.OUTCOME_KIND_INCOMPATIBLE,
    FailureKind.DISABLED: pb.OUTCOME_KIND_DISABLED,
    FailureKind.INTERNAL: pb.OUTCOME_KIND_INTERNAL,
}
KIND_OF_NUMBER: Final = {number: kind for kind, number in NUMBER_OF_KIND.items()}

MAX_LEAVES: Final = 10_000


def encode_outcome(outcome: Outcome) -> pb.KeyVizOutcome:
    """The message for one leaf's outcome."""
    return pb.KeyVizOutcome(
        node_id=outcome.node_id,
        address=outcome.address,
        kind=NUMBER_OF_KIND[outcome.kind],
        detail=outcome.detail,
        warnings=[pb.KeyVizWarning(code=w.code, bucket_id=w.bucket_id, detail=w.detail) for w in outcome.warnings],
        generated_at_unix_ms=outcome.generated_at_unix_ms,
        latency_ms=outcome.latency_ms,
        incarnation=outcome.incarnation,
        step_ms=outcome.step_ms,
        oldest_unix_ms=outcome.oldest_unix_ms,
        newest_unix_ms=outcome.newest_unix_ms,
    )


def decode_outcomes(messages: Sequence[pb.KeyVizOutcome]) -> tuple[Outcome, ...]:
    """Raises MalformedAnswer for an unknown kind, for a time that is none, and for more leaves than any cluster has.

    Warning codes of a newer version are passed over: they do not change what the data means.
    """
    if len(messages) > MAX_LEAVES:
        raise MalformedAnswer(f"outcomes: {len(messages)} leaves, at most {MAX_LEAVES} are believed")
    return tuple(_outcome(message) for message in messages)


def _outcome(message: pb.KeyVizOutcome) -> Outcome:
    if message.kind not in KIND_OF_NUMBER:
        raise MalformedAnswer(f"outcomes: leaf {message.address!r} has kind {int(message.kind)}")
    known = {code.value for code in WarningCode}
    return Outcome(
        message.address,
        node_id=message.node_id,
        kind=KIND_OF_NUMBER[message.kind],
        detail=message.detail,
        warnings=tuple(
            PeerWarning(WarningCode(w.code), w.bucket_id, w.detail) for w in message.warnings if w.code in known
        ),
        generated_at_unix_ms=moment_ms("outcomes: generated_at_unix_ms", message.generated_at_unix_ms),
        latency_ms=latency_ms("outcomes: latency_ms", message.latency_ms),
        incarnation=message.incarnation,
        step_ms=step_ms("outcomes: step_ms", message.step_ms),
        oldest_unix_ms=moment_ms("outcomes: oldest_unix_ms", message.oldest_unix_ms),
        newest_unix_ms=moment_ms("outcomes: newest_unix_ms", message.newest_unix_ms),
    )


def decode_leaf_sets(messages: Sequence[pb.LeafSet], leaves: int) -> tuple[tuple[int, ...], ...]:
    """Raises MalformedAnswer for a leaf that does not exist, and for leaves that do not ascend."""
    sets = tuple(tuple(message.leaves) for message in messages)
    for numbers in sets:
        if any(number >= leaves for number in numbers):
            raise MalformedAnswer(f"leaf_sets: leaf {max(numbers)} of {leaves}")
        if any(left >= right for left, right in pairwise(numbers)):
            raise MalformedAnswer(f"leaf_sets: leaves {list(numbers)[:8]} do not ascend")
    return sets


def decode_leaf_ranges(messages: Sequence[pb.LeafRange], *, rows: int, leaves: int) -> tuple[LeafRange, ...]:
    """Raises MalformedAnswer for a row or leaf that does not exist, a range without keys, and a wrong order."""
    for item in messages:
        if item.row >= rows or item.leaf >= leaves:
            raise MalformedAnswer(f"leaf_ranges: row {item.row} of {rows}, leaf {item.leaf} of {leaves}")
        if item.end and item.start >= item.end:
            raise MalformedAnswer(f"leaf_ranges: row {item.row}: start={item.start!r} is not below end={item.end!r}")
    places = [(item.row, item.leaf) for item in messages]
    if any(left >= right for left, right in pairwise(places)):
        raise MalformedAnswer("leaf_ranges: not in order of row and leaf, or two of one row and leaf")
    return tuple(LeafRange(item.row, item.leaf, item.start, item.end) for item in messages)
