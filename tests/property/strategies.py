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


@st.composite
def nodes(draw: st.DrawFn, number: int) -> Node:
    """One node of a cluster, numbered so that ids differ."""
    buckets = draw(st.lists(st.sampled_from(sorted(RANGES)), unique=True, max_size=4))
    ranges = {bucket: draw(st.sampled_from(RANGES[bucket])) for bucket in buckets}
    stamps = sorted(draw(st.lists(st.sampled_from(STAMPS), unique=True, max_size=4)))
    cells = {(bucket, stamp): draw(shares(3)) for bucket in buckets for stamp in stamps}
    phase = draw(st.sampled_from([0, 0, 50, -120, 499]))
    return Node(f"n{number}", ranges, stamps, cells, phase)


@st.composite
def clusters(draw: st.DrawFn) -> list[Node]:
    """One to five nodes."""
    return [draw(nodes(number)) for number in range(draw(st.integers(1, 5)))]
