"""Who leads which group under which term, and under which identity each slot's writes count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.model import SampleRole
from keyviz_grpc.outcome import GroupLeader
from keyviz_grpc.sampler.buckets import Buckets
from keyviz_grpc.sampler.identities import Identities, Identity
from keyviz_grpc.sampler.windows import Windows


class Leadership:
    """The book of terms. Not thread-safe: the sampler calls it under its lock.

    leaders: by group, as told. codes: uint32[at least so many as slots], the number in `identities` of each slot.
    """

    def __init__(self, node_id: str, identities: Identities, buckets: Buckets, windows: Windows) -> None:
        self._node_id = node_id
        self._identities, self._buckets, self._windows = identities, buckets, windows
        self.leaders: dict[int, GroupLeader] = {}
        self.codes: NDArray[np.uint32] = np.zeros(64, np.uint32)
        self._group_codes: dict[int, int] = {}

    def learn(self, raft_group_id: int, term: int, leader_node_id: str) -> Identity | None:
        """Notes a leader; returns the identity that `begin` is to make the group's, None where it is that already.

        Raises InvalidRequest for numbers outside of 64 bits and for group 0.
        """
        if not 0 < raft_group_id < 2**64:
            raise InvalidRequest("raft_group_id", raft_group_id, "must be a positive 64-bit number")
        if not 0 <= term < 2**64:
            raise InvalidRequest("term", term, "must be a 64-bit number")
        before = self.read_role(raft_group_id)
        self.leaders[raft_group_id] = GroupLeader(raft_group_id, leader_node_id, term)
        if self.read_role(raft_group_id) is not before:
            self._buckets.slots.read_role_changed(raft_group_id)
        identity = (raft_group_id, term) if term else (0, 0)
        code = self._identities.known(identity)
        return None if code is not None and self._group_codes.get(raft_group_id, 0) == code else identity

    def begin(self, raft_group_id: int, identity: Identity, *, oldest_unix_ms: int) -> None:
        """What the group's slots write counts under this identity from now on; oldest_unix_ms: the oldest column."""
        code = self._identities.known(identity)
        if code is None:
            code = self._new_code(identity, oldest_unix_ms)
        self.grow()  # to look for rows gives slots too
        slots = np.flatnonzero(self._buckets.slots.groups[: len(self._buckets.slots)] == np.uint64(raft_group_id))
        self._stamp(slots)
        self._group_codes[raft_group_id] = code
        self.codes[slots] = code

    def _new_code(self, identity: Identity, oldest_unix_ms: int) -> int:
        if self._identities.crowded:
            self._identities.release(oldest_unix_ms, self._windows.codes().union(self._group_codes.values()))
        return self._identities.add(identity)

    def moved(self, slots: list[int]) -> None:
        """Routes were changed, and those of these slots went to other groups; what was counted keeps the old one."""
        self.grow()
        if not slots:
            return
        self._stamp(np.array(slots, np.int64))
        for slot in slots:
            self.codes[slot] = self._group_codes.get(self._buckets.regroup(slot), 0)

    def grow(self) -> None:
        """Takes in the slots that were given to a bucket since the last call."""
        if len(self.codes) < len(self._buckets.slots.groups):
            self.codes = np.pad(self.codes, (0, len(self._buckets.slots.groups) - len(self.codes)))
        fresh = self._buckets.slots.take_fresh()
        if len(fresh):
            # A bucket that comes back may be of another group now; what it has counted keeps the old one.
            self._stamp(fresh)
            groups = self._buckets.slots.groups[fresh].tolist()
            self.codes[fresh] = [self._group_codes.get(group, 0) for group in groups]

    def _stamp(self, slots: NDArray[np.int64]) -> None:
        self._windows.stamp(slots, self.codes[slots], size=len(self._buckets.slots))

    def read_role(self, raft_group_id: int) -> SampleRole:
        """The role in which this node serves reads of a group now."""
        leader = self.leaders.get(raft_group_id)
        own = leader is not None and leader.leader_node_id == self._node_id
        return SampleRole.LEADER_READ if own else SampleRole.FOLLOWER_READ
