"""Clusters for property tests: few buckets, stamps and identities, so that everything collides often."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.convert import STEP_MS
from tests.reference.oracle import Node

RANGES = {
    "route:1": [(b"", b"f")],
    "route:2": [(b"f", b"m"), (b"f", b"n")],
    "route:2:hot": [(b"f", b"m")],
    "route:3": [(b"m", b""), (b"n", b"")],
}
STAMPS = [STEP_MS * number for number in range(10, 15)]
# Group 0 or term 0: not known, or half known.
identities = st.tuples(st.integers(0, 2), st.integers(0, 2))
counts = st.one_of(st.integers(0, 4), st.sampled_from([7, 7, 1000, 2**63, 2**64 - 1]))


def shares(most: int) -> st.SearchStrategy[dict[tuple[int, int], int]]:
    """Shares of one cell whose sum a counter can hold."""
    return st.dictionaries(identities, counts, max_size=most).filter(lambda s: sum(s.values()) < 2**64)


# Made once: to make a strategy, and to check it at its first draw, takes longer than to draw from it.
_SHARES = shares(3)
_BUCKETS = st.lists(st.sampled_from(sorted(RANGES)), unique=True, max_size=4)
_RANGE_OF = {bucket: st.sampled_from(ranges) for bucket, ranges in RANGES.items()}
_STAMPS = st.lists(st.sampled_from(STAMPS), unique=True, max_size=4)
_PHASES = st.sampled_from([0, 0, 50, -120, 499])


@st.composite
def nodes(draw: st.DrawFn, number: int) -> Node:
    """One node of a cluster, numbered so that ids differ."""
    buckets = draw(_BUCKETS)
    ranges = {bucket: draw(_RANGE_OF[bucket]) for bucket in buckets}
    stamps = sorted(draw(_STAMPS))
    cells = {(bucket, stamp): draw(_SHARES) for bucket in buckets for stamp in stamps}
    return Node(f"n{number}", ranges, stamps, cells, draw(_PHASES))


_NODES = [nodes(number) for number in range(5)]
_SIZES = st.integers(1, len(_NODES))


@st.composite
def clusters(draw: st.DrawFn) -> list[Node]:
    """One to five nodes."""
    return [draw(node) for node in _NODES[: draw(_SIZES)]]
