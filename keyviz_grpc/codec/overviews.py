"""Cluster overviews, and requests for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyviz_grpc.codec.queries import check_names
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.outcome import GroupLeader, Member, Overview
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MAX_VIA

MAX_MEMBERS: Final = 10_000
MAX_GROUPS: Final = 1_000_000


def decode_overview_via(request: pb.GetClusterOverviewRequest) -> tuple[str, ...]:
    """Node ids of the aggregators passed, outermost first. Raises InvalidRequest for too many or too long ones."""
    check_names(("via", request.via, MAX_VIA))
    return tuple(request.via)


def encode_overview_request(via: Sequence[str]) -> pb.GetClusterOverviewRequest:
    """The message for a question that has passed these aggregators."""
    return pb.GetClusterOverviewRequest(via=via)


def encode_overview(overview: Overview) -> pb.GetClusterOverviewResponse:
    """The message for an overview."""
    return pb.GetClusterOverviewResponse(
        self=_identity(overview.self_),
        members=[_identity(member) for member in overview.members],
        group_leaders=[
            pb.GroupLeader(
                raft_group_id=leader.raft_group_id,
                leader_node_id=leader.leader_node_id,
                leader_term=leader.leader_term,
            )
            for leader in overview.group_leaders
        ],
        aggregate_qps=overview.aggregate_qps,
        capabilities=dict(overview.capabilities),
        incarnation=overview.incarnation,
        version=overview.version,
    )


def decode_overview(response: pb.GetClusterOverviewResponse) -> Overview:
    """Raises MalformedAnswer for more members or groups than any cluster has."""
    if len(response.members) > MAX_MEMBERS:
        raise MalformedAnswer(f"overview: {len(response.members)} members, at most {MAX_MEMBERS} are believed")
    if len(response.group_leaders) > MAX_GROUPS:
        raise MalformedAnswer(f"overview: {len(response.group_leaders)} groups, at most {MAX_GROUPS} are believed")
    return Overview(
        _member(response.self),
        tuple(_member(member) for member in response.members),
        tuple(GroupLeader(g.raft_group_id, g.leader_node_id, g.leader_term) for g in response.group_leaders),
        aggregate_qps=response.aggregate_qps,
        capabilities=tuple(sorted(response.capabilities.items())),
        incarnation=response.incarnation,
        version=response.version,
    )


def _identity(member: Member) -> pb.NodeIdentity:
    return pb.NodeIdentity(node_id=member.node_id, grpc_address=member.address)


def _member(identity: pb.NodeIdentity) -> Member:
    return Member(identity.node_id, identity.grpc_address)
