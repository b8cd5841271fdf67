"""The way that a question took through aggregators: never in a ring, and never longer than it can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyviz_grpc.errors import ON_THE_WIRE, FailureKind, InvalidRequest, LoopRefused, Translation
from keyviz_grpc.outcome import NoUsablePeers, Outcome
from keyviz_grpc.query import MAX_VIA


class OnlyARing(NoUsablePeers):
    """Not one peer contributed, since aggregators ask each other and nobody else."""


ON_THE_WIRE[OnlyARing] = Translation("FAILED_PRECONDITION", 502, "no_peers")

_RING: Final = "aggregators ask in a ring"


def no_usable(outcomes: tuple[Outcome, ...]) -> NoUsablePeers:
    """What to raise where nobody contributed: OnlyARing where each of them says so, as those on a ring do."""
    ring = bool(outcomes) and all(on_a_ring(outcome) for outcome in outcomes)
    return OnlyARing(outcomes) if ring else NoUsablePeers(outcomes)


def on_a_ring(outcome: Outcome) -> bool:
    """Whether that is the failure of an aggregator that the question had passed already."""
    return outcome.kind is FailureKind.INCOMPATIBLE and _RING in outcome.detail


def check_way(node_id: str, via: Sequence[str]) -> None:
    """Raises LoopRefused where the question was here before, InvalidRequest where it cannot be handed on.

    node_id: the aggregator's own. Whoever is asked next finds it in `via` too, and takes MAX_VIA names at most.
    """
    if node_id in via:
        raise LoopRefused(f"aggregator {node_id!r} is in via={list(via)}: {_RING}")
    if len(via) >= MAX_VIA:
        raise InvalidRequest("via", len(via), f"aggregators may stand at most {MAX_VIA} deep")
