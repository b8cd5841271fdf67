"""How the aggregator sees peers: nothing here knows a transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.outcome import Answer, Outcome, Overview
from keyviz_grpc.query import MatrixQuery

_Result = TypeVar("_Result")


class Peer(Protocol):
    """One remote node or aggregator. Failures are values; only cancellation raises.

    told_id: the node id by which somebody told of it, "" = nobody did.
    """

    address: str
    told_id: str

    async def matrix(self, query: MatrixQuery, deadline: Deadline, budget: BytesBudget) -> Answer | Outcome:
        """Its answer with outcomes that carry address and latency, or why there is none.

        budget: for this answer alone, whose bytes stay taken from it; a failure may give back all of it.
        """
        ...

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview | Outcome:
        """What it says of the cluster, or why not. via: node ids of the aggregators passed, outermost first."""
        ...


class Membership(Protocol):
    """Who is in the cluster."""

    async def peers(self, deadline: Deadline) -> Sequence[Peer | Outcome]:
        """The peers in configured order; an Outcome stands for a name that cannot be turned into peers now."""
        ...

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """Tells how peers fared, so that a membership that discovered them can look again."""
        ...

    async def close(self) -> None:
        """Lets go of every connection."""
        ...


def named(peer: Peer, result: _Result | Outcome) -> _Result | Outcome:
    """A failure under the name that the peer is known by; whoever answers says its name itself.

    For people alone: what counts once and what twice goes by the names of those who answer.
    """
    if isinstance(result, Outcome) and not result.ok and not result.node_id:
        return replace(result, node_id=peer.told_id)
    return result


def lost(outcomes: Sequence[Outcome]) -> bool:
    """Whether some peer is not where it was, as far as can be told: an address that is gone may refuse or be silent."""
    gone = (FailureKind.UNREACHABLE, FailureKind.DEADLINE_EXCEEDED)
    return any(outcome.kind in gone for outcome in outcomes)
