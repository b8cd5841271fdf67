"""Where routes are cut, and what a sampler shows of routes in slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from keyviz_grpc.errors import InvalidRequest, UnknownRoute
from keyviz_grpc.merge import fold
from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler
from keyviz_grpc.sampler.slices import even_cuts
from tests.unit.sampler.clocks import Clock

STEP_S = 1.0


@pytest.fixture
def clock() -> Clock:
    """Half a second into the window of 1001 s."""
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Iterator[Callable[..., Sampler]]:
    """Samplers with a step of one second and these routes, closed afterwards."""
    made: list[Sampler] = []

    def build(*routes: Route, **settings: object) -> Sampler:
        sampler = Sampler(node_id="n1", step_ms=1000, clock=clock, stall_s=10, **settings)  # type: ignore[arg-type]
        sampler.register_routes(routes)
        made.append(sampler)
        return sampler

    yield build
    for sampler in made:
        sampler.close()


def rows(sampler: Sampler, series: Series = Series.WRITES) -> dict[str, tuple[bytes, bytes, int]]:
    """(start, end, total) by bucket id, in the answer's order."""
    matrix = sampler.matrix(MatrixQuery(series)).matrix
    totals = matrix.values.sum(axis=1).tolist()
    return {
        row.bucket_id: (row.start, row.end, total) for row, total in zip(matrix.catalogue.rows, totals, strict=True)
    }


def write(sampler: Sampler, route_id: int, *keys: bytes, label: str = "") -> None:
    """One write a key."""
    for key in keys:
        sampler.observe(route_id, key, Op.WRITE, 1, label=label)


@pytest.mark.parametrize(
    ("start", "end", "slices", "cuts"),
    [
        (b"a", b"e", 4, (b"b", b"c", b"d")),
        (b"", b"", 4, (b"\x40", b"\x80", b"\xc0")),
        (b"\xff", b"", 2, (b"\xff\x80",)),
        (b"\xff" * 20, b"", 2, (b"\xff" * 20 + b"\x80",)),
        (b"user/a", b"user/c", 2, (b"user/b",)),
        (b"a", b"b", 4, (b"a\x40", b"a\x80", b"a\xc0")),
        (b"a\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"b", 2, (b"a" + b"\xff" * 9 + b"\x80",)),
        (b"a", b"a\x00\x00\x04", 4, (b"a\x00\x00\x01", b"a\x00\x00\x02", b"a\x00\x00\x03")),
        (b"a", b"a\x00", 4, ()),
        (b"a", b"a\x00\x00\x00", 4, ()),
        (b"a", b"z", 1, ()),
    ],
)
def test_cuts_lie_at_even_distances(start: bytes, end: bytes, slices: int, cuts: tuple[bytes, ...]) -> None:
    """After the shared bytes; unbounded ends, one byte, 0xff throughout, and ranges without room."""
    assert even_cuts(start, end, slices) == cuts


def test_a_megabyte_of_shared_bytes_is_cut_behind_them() -> None:
    """Very long keys are cut as short ones are, and at once."""
    long = b"k" * 1_000_000
    assert even_cuts(long + b"a", long + b"e", 4) == (long + b"b", long + b"c", long + b"d")


def test_slices_are_rows_of_their_own(make: Callable[..., Sampler], clock: Clock) -> None:
    """Each with its exact range; a key on a cut belongs to the slice above; keys outside go to the ends."""
    sampler = make(Route(1, b"a", b"e", slices=4), Route(2, b"e", b""))
    write(sampler, 1, b"a", b"azz", b"b", b"c\x00", b"d" + b"\xff" * 300, b"dzz")
    write(sampler, 2, b"", b"z")
    clock.now_s += STEP_S
    assert list(rows(sampler).items()) == [
        ("route:1#0", (b"a", b"b", 2)),
        ("route:1#1", (b"b", b"c", 1)),
        ("route:1#2", (b"c", b"d", 1)),
        ("route:1#3", (b"d", b"e", 2)),
        ("route:2", (b"e", b"", 2)),
    ]


def test_labels_are_cut_as_their_route_is(make: Callable[..., Sampler], clock: Clock) -> None:
    """A slice of a label comes with its siblings once the label is seen; other labels have none."""
    sampler = make(Route(1, b"a", b"c"), slices=2)
    write(sampler, 1, b"b", b"b", label="cache")
    write(sampler, 1, b"a")
    clock.now_s += STEP_S
    assert rows(sampler) == {
        "route:1#0": (b"a", b"b", 1),
        "route:1#1": (b"b", b"c", 0),
        "route:1:cache#0": (b"a", b"b", 0),
        "route:1:cache#1": (b"b", b"c", 2),
    }


def test_cuts_of_the_store_come_before_even_ones(make: Callable[..., Sampler], clock: Clock) -> None:
    """Cuts that share their first eight bytes with each other and with keys are told apart all the same."""
    cuts = (b"user/name/b", b"user/name/b\x00", b"user/name/m")
    sampler = make(Route(1, b"", b"", cuts=cuts), slices=2)
    keys = [b"", b"user/name", b"user/name/b", b"user/name/b\x00", b"user/name/c", b"user/name/m", b"v"]
    write(sampler, 1, *keys)
    sampler.observe_many([1] * 7, keys, [1] * 7, [1] * 7)
    clock.now_s += STEP_S
    assert [total for _, _, total in rows(sampler).values()] == [4, 2, 4, 4]


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        ({"slices": 0}, "slices", "0"),
        ({"slices": 4097}, "slices", "4097"),
        ({"slices": 2, "cuts": (b"b", b"c")}, "slices", "2"),
        ({"cuts": (b"a",)}, "cuts", "b'a'"),
        ({"cuts": (b"z",)}, "cuts", "b'z'"),
        ({"cuts": (b"c", b"b")}, "cuts", "b'b'"),
        ({"cuts": (b"c", b"c")}, "cuts", "b'c'"),
        ({"cuts": ("c",)}, "cuts", "'c'"),
        ({"cuts": (b"b",) * 4096}, "cuts", "4096"),
    ],
)
def test_bad_slices_name_field_and_value(settings: dict[str, object], field: str, value: str) -> None:
    """Nothing is mended in silence."""
    with pytest.raises(InvalidRequest) as caught:
        Route(1, b"a", b"z", **settings)  # type: ignore[arg-type]
    assert f"{field}={value}" in str(caught.value)


@pytest.mark.parametrize("slices", [0, 4097])
def test_a_bad_default_is_refused(make: Callable[..., Sampler], slices: int) -> None:
    """As the route's own."""
    with pytest.raises(InvalidRequest, match=f"slices={slices}"):
        make(slices=slices)


def test_the_limit_counts_slices(make: Callable[..., Sampler], clock: Clock) -> None:
    """A route whose slices do not fit is folded whole; a later one that fits is not."""
    routes = (Route(1, b"a", b"c", 1), Route(2, b"c", b"e", 1), Route(3, b"e", b"g", 1, slices=1))
    sampler = make(*routes, slices=4, max_tracked_routes=5)
    for route in routes:
        write(sampler, route.route_id, route.start)
        write(sampler, route.route_id, route.start, label="x")
    clock.now_s += STEP_S
    shown = rows(sampler)
    (folded,) = [name for name in shown if name.startswith("virtual:")]
    assert shown[folded] == (b"c", b"e", 2)
    slices = {f"route:1#{n}" for n in range(4)} | {f"route:1:x#{n}" for n in range(4)}
    assert set(shown) == slices | {folded, "route:3", "route:3:x"}


def test_the_limit_counts_slices_of_labels_too(make: Callable[..., Sampler], clock: Clock) -> None:
    """Together: one whose slices do not fit any more counts in its route's, a later one that fits does not."""
    routes = (Route(1, b"a", b"c", 1), Route(2, b"c", b"e", 1, slices=1))
    sampler = make(*routes, slices=4, max_tracked_routes=9)
    for label in ("x", "y", "z"):
        write(sampler, 1, b"b", label=label)
        sampler.observe_many([1], [b"b"], [1], [1], labels=[label])
    write(sampler, 2, b"d", label="x")
    clock.now_s += STEP_S
    totals = {name: total for name, (_, _, total) in rows(sampler).items() if total}
    assert totals == {"route:1#2": 2, "route:1:x#2": 2, "route:1:y#2": 2, "route:2:x": 1}


def test_another_division_keeps_history_under_the_old_ranges(make: Callable[..., Sampler], clock: Clock) -> None:
    """An id never shows traffic of another range, and slices that stay as they were go on."""
    sampler = make(Route(1, b"a", b"e", 1, cuts=(b"b", b"c")))
    write(sampler, 1, b"a", b"b", b"b", b"d", b"d", b"d")
    sampler.register_routes([Route(1, b"a", b"e", 1, cuts=(b"b", b"d"))])
    write(sampler, 1, b"a", b"b", b"c", b"d")
    clock.now_s += STEP_S
    found = rows(sampler)
    assert {name: found[name] for name in found if name.startswith("route:")} == {
        "route:1#0": (b"a", b"b", 2),
        "route:1#1": (b"b", b"d", 2),
        "route:1#2": (b"d", b"e", 1),
    }
    assert sorted(found[name] for name in found if name.startswith("virtual:")) == [(b"b", b"c", 2), (b"c", b"e", 3)]


def test_a_division_that_comes_back_goes_on(make: Callable[..., Sampler], clock: Clock) -> None:
    """Under another group by then, which the writes of before must not take on."""
    sliced = Route(1, b"a", b"c", 1, slices=2)
    sampler = make(sliced)
    sampler.set_leader(1, 7)
    sampler.set_leader(2, 9)
    write(sampler, 1, b"a")
    sampler.register_routes([Route(1, b"a", b"c", 1)])
    write(sampler, 1, b"a")
    sampler.register_routes([Route(1, b"a", b"c", 2, slices=2)])
    write(sampler, 1, b"a", b"a")
    clock.now_s += STEP_S
    matrix = sampler.matrix(MatrixQuery()).matrix
    first = [row.bucket_id for row in matrix.catalogue.rows].index("route:1#0")
    assert int(matrix.values[first, 0]) == 3
    mine = matrix.shares.rows == first
    assert matrix.identities[matrix.shares.codes[mine]].tolist() == [[1, 7], [2, 9]]
    assert matrix.shares.values[mine].tolist() == [1, 2]


def test_slices_of_a_removed_route_are_given_up_together(make: Callable[..., Sampler], clock: Clock) -> None:
    """A late operation still finds each while one has history; afterwards the slots serve others."""
    routes = [Route(n, b"%03d" % n, b"%03d" % (n + 1), slices=2) for n in range(1, 101)]
    sampler = make(*routes, columns=2)
    write(sampler, 1, b"001")
    clock.now_s += STEP_S
    sampler.tick()
    sampler.remove_routes(range(1, 101))
    sampler.register_routes([Route(500, b"x", b"y")])
    write(sampler, 1, b"001\xff")
    clock.now_s += STEP_S
    assert {name: total for name, (_, _, total) in rows(sampler).items()} == {
        "route:1#0": 1,
        "route:1#1": 1,
        "route:500": 0,
    }
    for _ in range(4):
        clock.now_s += STEP_S
        sampler.tick()
    sampler.register_routes([Route(501, b"y", b"z")])
    with pytest.raises(UnknownRoute):
        write(sampler, 1, b"001")
    assert set(rows(sampler)) == {"route:500", "route:501"}


def test_slots_of_aggregates_are_used_again_while_routes_change(make: Callable[..., Sampler], clock: Clock) -> None:
    """In one window too, in which each change makes another aggregate and nobody uses those before."""
    sampler = make(Route(1, b"a", b"b"), columns=2, max_tracked_routes=1)
    clock.now_s += STEP_S
    sampler.tick()
    for number in range(400):
        sampler.register_routes([Route(2, b"b", b"c%03d" % number)])
        write(sampler, 1, b"a")
        rows(sampler)
    assert sampler.stats().buckets < 250


@pytest.mark.parametrize("refused", ["unknown", "twice"])
def test_a_change_that_is_refused_leaves_no_operation_in_a_row_of_another(
    make: Callable[..., Sampler], clock: Clock, refused: str
) -> None:
    """It may free slots before it is refused; whoever counted there late is not counted in what comes there next."""
    routes = [Route(n, b"%03d" % n, b"%03d" % (n + 1), slices=2) for n in range(1, 101)]
    sampler = make(*routes, columns=2)
    sampler.replace_routes(remove=range(1, 101), add=[Route(500, b"x", b"y")])
    write(sampler, 1, b"001")
    for _ in range(5):
        clock.now_s += STEP_S
        sampler.tick()
    if refused == "unknown":
        with pytest.raises(UnknownRoute):
            sampler.remove_routes([9999])
    else:
        with pytest.raises(InvalidRequest):
            sampler.register_routes([Route(7, b"a", b"b"), Route(7, b"a", b"b")])
    for number in range(200):
        write(sampler, 500, b"x", label=f"l{number}")
    with pytest.raises(UnknownRoute):
        write(sampler, 1, b"001")
    clock.now_s += STEP_S
    totals = {name: total for name, (_, _, total) in rows(sampler).items() if name != "route:500"}
    assert totals == {f"route:500:l{number}": 1 for number in range(200)}


def test_a_slice_counts_as_its_route_when_folded(make: Callable[..., Sampler], clock: Clock) -> None:
    """Three routes of four slices in one row are three routes; folding keeps to key order and to the count."""
    routes = [Route(n, b"%d" % n, b"%d" % (n + 1), 1, slices=4) for n in range(1, 4)]
    sampler = make(*routes)
    for route in routes:
        write(sampler, route.route_id, *(route.start + bytes([byte]) for byte in (0, 64, 128, 192)))
        write(sampler, route.route_id, route.start, label="x")
    write(sampler, 2, *[b"2\x80"] * 50)
    clock.now_s += STEP_S
    answer = sampler.matrix(MatrixQuery())
    kept = [row.key_order for row in answer.matrix.catalogue.rows]
    assert kept == sorted(kept)
    folded = fold(answer, 3).matrix
    below, hot, above = folded.catalogue.rows
    assert (below.route_count, below.route_ids) == (2, (1, 2))
    assert (hot.bucket_id, hot.route_count) == ("route:2#2", 1)
    assert (above.route_count, above.route_ids) == (2, (2, 3))
    assert folded.values.sum() == answer.matrix.values.sum() == 65
    assert fold(answer, 1).matrix.catalogue.rows[0].route_count == 3


@pytest.mark.parametrize("ids", [[1, 2, 3], [1, 2**63, 2**64 - 1]])
def test_a_batch_over_sliced_and_whole_routes(make: Callable[..., Sampler], clock: Clock, ids: list[int]) -> None:
    """Small ids and large ones; different numbers of slices, labels or none; as one by one."""
    routes = [
        Route(ids[0], b"", b"k", slices=16),
        Route(ids[1], b"k", b"ka\x00\x01", slices=3),
        Route(ids[2], b"l", b""),
    ]
    rng = np.random.default_rng(5)
    choice = rng.integers(0, 3, 3000)
    keys = [routes[n].start[:1] + rng.bytes(int(rng.integers(0, 12))) for n in choice.tolist()]
    keys[:3] = [b"", b"k", b"l"]
    choice[:3] = [0, 1, 2]
    packed = PackedKeys(
        np.frombuffer(b"".join(keys), np.uint8), np.concatenate([[0], np.cumsum([len(key) for key in keys])])
    )
    route_ids = np.array(ids, np.uint64)[choice]
    ops, sizes = rng.integers(0, 2, 3000), rng.integers(0, 90, 3000)
    in_route = [
        n
        for n, key in enumerate(keys)
        if routes[choice[n]].start <= key and (not routes[choice[n]].end or key < routes[choice[n]].end)
    ]
    told = []
    for labels in (None, ["", "a", "b"] * 1000):
        for form in ("one", "list", "packed"):
            sampler = make(*routes)
            if form == "one":
                for n in range(3000):
                    label = labels[n] if labels else ""
                    sampler.observe(int(route_ids[n]), keys[n], Op(int(ops[n])), int(sizes[n]), label=label)
            else:
                sampler.observe_many(route_ids, keys if form == "list" else packed, ops, sizes, labels=labels)
            told.append((form, labels is None, sampler))
    clock.now_s += STEP_S
    assert len(in_route) > 1500
    for series in Series:
        views = [(form, plain, rows(sampler, series)) for form, plain, sampler in told]
        for plain in (True, False):
            one, listed, from_packed = (view for form, p, view in views if p is plain)
            assert one == listed == from_packed
