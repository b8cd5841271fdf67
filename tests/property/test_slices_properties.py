"""Slices partition a route exactly, however it is cut, and both ways of counting agree on it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import PackedKeys, Route, Sampler
from keyviz_grpc.sampler.slices import division_of, even_cuts

# Few letters and both ends of a byte, so that keys share much and end in what is special.
byte = st.sampled_from(b"\x00\x01a\x7f\x80\xfe\xff")
keys = st.one_of(st.lists(byte, max_size=14).map(bytes), st.binary(max_size=20))


@st.composite
def ranges(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """[start, end) with something in it, the end often unbounded and often near."""
    start = draw(keys)
    end = draw(st.one_of(st.just(b""), keys, keys.map(lambda key: start + key)))
    return (start, end) if not end or start < end else (end, start) if end < start else (start, b"")


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """Cut evenly, or where the store says."""
    start, end = draw(ranges())
    inside = draw(st.sets(st.one_of(keys, keys.map(lambda key: start + key)), max_size=12))
    as_told: bool = draw(st.booleans())
    cuts = tuple(sorted(cut for cut in inside if cut > start and (not end or cut < end)))
    if cuts and as_told:
        return Route(1, start, end, cuts=cuts)
    return Route(1, start, end, slices=draw(st.integers(1, 70)))


@settings(max_examples=400, deadline=None)
@given(route=routes(), probes=st.lists(keys, max_size=20))
def test_every_key_is_in_exactly_one_slice(route: Route, probes: list[bytes]) -> None:
    """Neighbours share a bound, the first and the last one have the route's, and none is empty."""
    division = division_of(route, 1)
    found = division.ranges
    assert (found[0][0], found[-1][1]) == (route.start, route.end)
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert all(not end or start < end for start, end in found)
    for key in [*probes, *(route.start + probe for probe in probes), *division.cuts]:
        if key >= route.start and (not route.end or key < route.end):
            assert sum(start <= key and (not end or key < end) for start, end in found) == 1


@settings(max_examples=400, deadline=None)
@given(span=ranges(), slices=st.integers(2, 300))
def test_even_cuts_are_as_many_as_asked_for_or_none(span: tuple[bytes, bytes], slices: int) -> None:
    """None only where the range is one key and what follows it in zeros."""
    start, end = span
    cuts = even_cuts(start, end, slices)
    if not cuts:
        assert end
        assert end == start.ljust(len(end), b"\x00")
    else:
        assert len(set(cuts)) == slices - 1
        assert list(cuts) == sorted(cuts)


@settings(max_examples=150, deadline=None)
@given(route=routes(), probes=st.lists(st.tuples(keys, st.booleans()), min_size=1, max_size=40))
def test_a_batch_counts_where_single_operations_do(route: Route, probes: list[tuple[bytes, bool]]) -> None:
    """Keys of the route, cuts and their nearest neighbours among them: in the slice whose range has them."""
    near = [key for cut in division_of(route, 1).cuts for key in (cut, cut + b"\x00", cut[:-1])]
    every = [*(route.start + key if below else key for key, below in probes), *near, route.start]
    mine = [key for key in every if key >= route.start and (not route.end or key < route.end)]
    offsets = np.cumsum([0, *(len(key) for key in mine)])
    packed = PackedKeys(np.frombuffer(b"".join(mine), np.uint8), offsets)
    now_s = 1000.5
    with Sampler(node_id="n", step_ms=1000, stall_s=9, clock=lambda: now_s) as sampler:
        sampler.register_routes([route])
        for form in (mine, packed):
            sampler.observe_many([1] * len(mine), form, [1] * len(mine), [0] * len(mine))
        now_s = 1001.5
        matrix = sampler.matrix(MatrixQuery(Series.WRITES)).matrix
    for row, counted in zip(matrix.catalogue.rows, matrix.values[:, 0].tolist(), strict=True):
        assert counted == 2 * sum(row.start <= key and (not row.end or key < row.end) for key in mine)
