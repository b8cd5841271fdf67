"""What many nodes say of their cluster, as one."""

from __future__ import annotations

from collections.abc import Sequence

from keyviz_grpc.outcome import GroupLeader, Member, Overview


def united(told: Sequence[tuple[str, Overview]], *, node_id: str, incarnation: int, version: str) -> Overview:
    """told: (address, what is said there), of whom the first counts; of a group the highest term.

    node_id, incarnation, version: of whoever unites them.
    """
    members: dict[str, Member] = {}
    leaders: dict[int, GroupLeader] = {}
    for address, overview in told:
        own = Member(overview.self_.node_id, overview.self_.address or address)
        for member in (own, *overview.members):
            members.setdefault(member.node_id or member.address, member)
        for leader in overview.group_leaders:
            known = leaders.get(leader.raft_group_id)
            if known is None or _rank(leader) > _rank(known):
                leaders[leader.raft_group_id] = leader
    return Overview(
        Member(node_id, ""),
        tuple(members[name] for name in sorted(members)),
        tuple(leaders[group] for group in sorted(leaders)),
        incarnation=incarnation,
        version=version,
    )


def _rank(leader: GroupLeader) -> tuple[int, str]:
    return leader.leader_term, leader.leader_node_id
