"""Ids of aggregates: derived from what they hold, so that nodes that fold alike agree without talking."""

from __future__ import annotations

import hashlib


def aggregate_id(start: bytes, end: bytes, raft_group_id: int = 0) -> str:
    """The bucket id of the aggregate of [start, end) (empty end = unbounded) in one group; group 0 = mixed or unknown.

    `virtual:` and the decimal form of a 64-bit BLAKE2b digest over the length-prefixed start, the length-prefixed end
    and the group as 8 bytes, all integers big-endian. Stable for ever: ids travel between versions.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (start, end):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    digest.update(raft_group_id.to_bytes(8, "big"))
    return f"virtual:{int.from_bytes(digest.digest(), 'big')}"
