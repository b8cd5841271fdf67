"""Warnings that follow from the answers themselves; recomputed at every level of a tree where that can be done."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from keyviz_grpc.model import Catalogue, Window
from keyviz_grpc.outcome import Answer, LeafRange, Outcome, PeerWarning, WarningCode

OLD_ROW_LIMIT = 1024
"""Existing nodes clamp every row budget to this, so an answer of that many rows may be cut."""

# As the warnings compare themselves, without a call for each of two that are compared.
_AS_ORDERED = operator.attrgetter(*(each.name for each in fields(PeerWarning)))

RECOMPUTED = (WarningCode.CATALOG_DIVERGENCE, WarningCode.SHORT_HISTORY)


def without_recomputed(outcome: Outcome) -> Outcome:
    """The outcome less the warnings that this level finds anew."""
    if not outcome.warnings:
        return outcome
    kept = tuple(w for w in outcome.warnings if w.code not in RECOMPUTED)
    return outcome if len(kept) == len(outcome.warnings) else replace(outcome, warnings=kept)


def with_warnings(outcome: Outcome, found: Iterable[PeerWarning], ready: tuple[PeerWarning, ...] = ()) -> Outcome:
    """The outcome with more warnings: sorted, each one once. ready: more of them, which `in_order` has sorted already.

    They stay the same from one request to the next, and to sort them takes a microsecond each.
    """
    more = tuple(found)
    if not (more or ready):
        return outcome
    if not more and (not outcome.warnings or ready[-1] < outcome.warnings[0]):
        return outcome.warned((*ready, *outcome.warnings))
    united = in_order((*outcome.warnings, *more, *ready))
    return outcome if united == outcome.warnings else outcome.warned(united)


def in_order(warnings: Iterable[PeerWarning]) -> tuple[PeerWarning, ...]:
    """Sorted, each one once."""
    return tuple(sorted(set(warnings), key=_AS_ORDERED))


def of_leaf(answer: Answer, *, step_ms: int, now_unix_ms: int) -> list[PeerWarning]:
    """What the first aggregator above a leaf can say of it: its clock, and whether it cut its own rows.

    now_unix_ms: stands for the moments of asking and receiving where the answer does not tell them.
    """
    found = []
    skew = _clock_skew_ms(answer, now_unix_ms)
    if step_ms and 2 * abs(skew) > step_ms:
        side = "ahead of" if skew > 0 else "behind"
        found.append(
            PeerWarning(
                WarningCode.CLOCK_SKEW, "", f"its clock is {abs(skew)} ms {side} the aggregator's, step {step_ms} ms"
            )
        )
    rows = len(answer.matrix.catalogue)
    if not answer.node_id and rows >= OLD_ROW_LIMIT:
        found.append(
            PeerWarning(
                WarningCode.ROW_BUDGET_ON_PEER,
                "",
                f"an older node answers at most {OLD_ROW_LIMIT} rows, it sent {rows}",
            )
        )
    return found


def _clock_skew_ms(answer: Answer, now_unix_ms: int) -> int:
    """By how much the leaf's clock is off at least: it made its answer some time between question and answer."""
    asked, received = answer.asked_unix_ms or now_unix_ms, answer.received_unix_ms or now_unix_ms
    # A clock that was set back leaves stamps of the future behind; stamps of the past prove nothing.
    future = max(0, int(answer.matrix.columns[-1]) - received) if len(answer.matrix.columns) else 0
    if not answer.generated_at_unix_ms:
        return future
    behind, ahead = min(0, answer.generated_at_unix_ms - asked), max(0, answer.generated_at_unix_ms - received)
    return max(future, ahead) or behind


def short_history(outcome: Outcome, window: Window, grid_ms: int) -> list[PeerWarning]:
    """Whether `window` asks for columns older than the leaf still holds."""
    step_ms = outcome.step_ms or grid_ms
    if not window.from_unix_ms or not step_ms or not outcome.contributes:
        return []
    first = -(-window.from_unix_ms // step_ms) * step_ms
    if outcome.oldest_unix_ms:
        if 2 * (outcome.oldest_unix_ms - first) <= step_ms:
            return []
        detail = f"holds columns from {outcome.oldest_unix_ms} on, asked from {window.from_unix_ms}"
    elif outcome.node_id and outcome.generated_at_unix_ms >= first + step_ms:
        detail = f"holds no column yet, asked from {window.from_unix_ms}"
    else:
        return []
    return [PeerWarning(WarningCode.SHORT_HISTORY, "", detail)]


def divergences(ranges: Sequence[LeafRange], catalogue: Catalogue) -> dict[int, tuple[PeerWarning, ...]]:
    """For each leaf that diverges, one warning a bucket in order, naming both ranges (hex; empty end = unbounded)."""
    found: dict[int, list[PeerWarning]] = {}
    for item in ranges:
        row = catalogue.rows[item.row]
        detail = f"its range is {range_text(item.start, item.end)}, shown is {range_text(row.start, row.end)}"
        found.setdefault(item.leaf, []).append(PeerWarning(WarningCode.CATALOG_DIVERGENCE, row.bucket_id, detail))
    return {leaf: in_order(warnings) for leaf, warnings in found.items()}


def range_text(start: bytes, end: bytes) -> str:
    """For people: hex, long keys cut; an empty end is unbounded."""
    return f"[0x{_hex(start)}, {'unbounded' if not end else '0x' + _hex(end)})"


def _hex(key: bytes) -> str:
    return key.hex() if len(key) <= 64 else f"{key[:64].hex()}… ({len(key)} bytes)"
