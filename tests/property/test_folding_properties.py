"""The row budget against its oracle: every number and every word of every row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.merge import fold, merge, select_range
from keyviz_grpc.model import Catalogue, KeyRange, Row, Series
from keyviz_grpc.outcome import Answer
from keyviz_grpc.query import MatrixQuery
from tests.property.strategies import shares
from tests.reference import folding
from tests.reference.convert import answer_of
from tests.reference.oracle import Node

STAMPS = [11_000, 12_000]
# Made once, see strategies.
_COUNTS = st.integers(1, 9)
_KINDS = st.sampled_from(["route:{}", "route:{}:hot", "route:{}#0", "aggregate"])
_ROLES = st.sets(st.integers(1, 3), max_size=2)
_IDS = st.sets(st.integers(1, 600), min_size=1, max_size=256)
_HIDDEN = st.integers(0, 2)
_SHARES = shares(2)
_BOOLEANS = st.booleans()


@st.composite
def wholes(draw: st.DrawFn) -> Answer:
    """A merged answer of up to nine rows: routes, labelled ones, slices, and aggregates of nodes below."""
    count = draw(_COUNTS)
    keys = [b"", *[b"%d" % number for number in range(1, count)], b""]
    rows = []
    for number in range(count):
        kind = draw(_KINDS)
        start, end = keys[number], keys[number + 1]
        roles = tuple(sorted(draw(_ROLES)))
        if kind == "aggregate":
            ids = tuple(sorted(draw(_IDS)))
            hidden = draw(_HIDDEN)
            row = Row(aggregate_id(start, end, 7), start, end, "", True, ids, hidden > 0, len(ids) + hidden, roles)
        else:
            row = Row(kind.format(number + 1), start, end, sample_roles=roles)
        rows.append(row)
    ranges = {row.bucket_id: (row.start, row.end) for row in rows}
    nodes = []
    for name in ("a", "b"):
        cells = {(row.bucket_id, stamp): draw(_SHARES) for row in rows for stamp in STAMPS}
        held = {bucket: span for bucket, span in ranges.items() if name == "a" or draw(_BOOLEANS)}
        nodes.append(answer_of(Node(name, held, STAMPS, cells), Series.WRITES))
    order = {row.bucket_id: row for row in rows}
    parts = [
        replace(
            node,
            matrix=replace(
                node.matrix, catalogue=Catalogue(tuple(order[r.bucket_id] for r in node.matrix.catalogue.rows))
            ),
        )
        for node in nodes
    ]
    whole = merge(parts, query=MatrixQuery(), now_unix_ms=12_000)
    soft = np.array(draw(st.lists(_BOOLEANS, min_size=count * 2, max_size=count * 2))).reshape(count, 2)
    return replace(whole, matrix=replace(whole.matrix, soft=soft if soft.any() else None))


def check(whole: Answer, budget: int) -> None:
    """Both say the same."""
    expected = folding.fold(folding.read(whole), budget)
    folded = fold(whole, budget)
    found = folding.read(folded)
    assert len(found) == len(expected) <= max(budget, 0) or len(expected) == len(whole.matrix.catalogue)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.values, mine.conflicts, mine.soft) == (theirs.values, theirs.conflicts, theirs.soft)
        assert mine.shown == theirs.shown
        assert mine.shares == theirs.shares
        [row] = mine.rows
        if len(theirs.rows) == 1:
            assert row == theirs.rows[0]
            continue
        assert (row.start, row.end) == theirs.covers
        assert row.aggregate
        assert row.label == ""
        assert row.route_ids == tuple(sorted(theirs.routes)[:256])
        assert row.route_count == theirs.route_count
        assert row.route_ids_truncated == (theirs.route_count > len(row.route_ids))
        assert row.sample_roles == tuple(sorted({role for one in theirs.rows for role in one.sample_roles}))
        assert row.bucket_id.startswith("virtual:")
    assert folded.matrix.series is whole.matrix.series
    if len(expected) < len(whole.matrix.catalogue):
        assert (folded.leaf_sets, folded.row_leaf_set, folded.leaf_ranges) == ((), None, ())
    else:
        assert folded is whole


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(whole=wholes(), budget=st.integers(1, 10))
def test_folding_is_what_the_oracle_says(whole: Answer, budget: int) -> None:
    """Which rows stay single, and all of every aggregate."""
    check(whole, budget)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(derandomize=False, max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(whole=wholes(), budget=st.integers(1, 10))
def test_folding_is_what_the_oracle_says_at_length(whole: Answer, budget: int) -> None:
    """As above."""
    check(whole, budget)


def test_an_aggregates_id_is_that_of_its_hull_and_stable_for_ever() -> None:
    """Ids travel between versions and nodes; a single row that has the id already is not shadowed."""
    assert aggregate_id(b"a", b"m") == "virtual:9498062192710337670"
    assert (
        len({aggregate_id(b"a", b"m"), aggregate_id(b"a", b"m", 1), aggregate_id(b"am", b""), aggregate_id(b"", b"am")})
        == 4
    )


@given(wholes(), st.integers(0, 9), st.integers(0, 9))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_range_of_keys_gives_exactly_the_rows_that_meet_it(whole: Answer, first: int, width: int) -> None:
    """Their cells, marks and shares unchanged, the others gone; the whole range changes nothing."""
    start = b"%d" % first if first else b""
    keys = KeyRange(start, b"%d" % (first + width) if width and first + width < 10 else b"")
    part = select_range(whole, keys)
    met = [n for n, row in enumerate(whole.matrix.catalogue.rows) if _keys_in_common(row, keys)]
    assert list(part.matrix.catalogue.rows) == [whole.matrix.catalogue.rows[n] for n in met]
    assert np.array_equal(part.matrix.values, whole.matrix.values[met])
    for mine, all_ in ((part.matrix.soft, whole.matrix.soft), (part.matrix.conflicts, whole.matrix.conflicts)):
        assert (mine is None) == (all_ is None)
        assert mine is None or all_ is None or np.array_equal(mine, all_[met])
    shares = whole.matrix.shares
    assert part.matrix.shares.values.tolist() == shares.values[np.isin(shares.rows, met)].tolist()
    assert select_range(whole, KeyRange()) is whole


def _keys_in_common(row: Row, keys: KeyRange) -> bool:
    """By trying the single keys of which the ranges here are made."""
    universe = [b"", *[b"%d" % number for number in range(1, 10)]]

    def holds(start: bytes, end: bytes) -> set[bytes]:
        return {key for key in universe if start <= key and (not end or key < end)}

    return bool(holds(row.start, row.end) & holds(keys.start, keys.end))
