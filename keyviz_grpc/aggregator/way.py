"""The way that a question took through aggregators: never in a ring, and never longer than it can be told."""

from __future__ import annotations

from collections.abc import Sequence

from keyviz_grpc.errors import InvalidRequest, LoopRefused
from keyviz_grpc.query import MAX_VIA


def check_way(node_id: str, via: Sequence[str]) -> None:
    """Raises LoopRefused where the question was here before, InvalidRequest where it cannot be handed on.

    node_id: the aggregator's own. Whoever is asked next finds it in `via` too, and takes MAX_VIA names at most.
    """
    if node_id in via:
        raise LoopRefused(f"aggregator {node_id!r} is in via={list(via)}: aggregators ask in a ring")
    if len(via) >= MAX_VIA:
        raise InvalidRequest("via", len(via), f"aggregators may stand at most {MAX_VIA} deep")
