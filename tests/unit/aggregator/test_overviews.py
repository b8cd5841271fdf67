"""What nodes say of their cluster, united by hand."""

from __future__ import annotations

from keyviz_grpc.aggregator.overviews import united
from keyviz_grpc.outcome import GroupLeader, Member, Overview


def test_members_come_once_and_the_highest_term_leads() -> None:
    """By node id; who is asked is called what he says, at the address where he was asked unless he says another."""
    first = Overview(
        Member("n2", ""),
        (Member("n1", "said:1"), Member("", "bare:1")),
        (GroupLeader(1, "n1", 4), GroupLeader(2, "", 1)),
    )
    second = Overview(
        Member("n1", "own:1"), (Member("n2", "said:2"),), (GroupLeader(1, "n2", 5), GroupLeader(2, "n9", 1))
    )
    found = united([("a:1", first), ("b:1", second)], node_id="agg", incarnation=7, version="1")
    assert found.self_ == Member("agg", "")
    assert found.members == (Member("", "bare:1"), Member("n1", "said:1"), Member("n2", "a:1"))
    assert found.group_leaders == (GroupLeader(1, "n2", 5), GroupLeader(2, "n9", 1))
    assert (found.incarnation, found.version) == (7, "1")
