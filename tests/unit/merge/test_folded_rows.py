"""What the rows are called that a budget makes, and what they say of those they stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.merge import fold
from keyviz_grpc.merge.budget import row_route_ids
from keyviz_grpc.model import MAX_ROUTE_IDS, NO_SHARES, Catalogue, Matrix, Row, Series, Shares
from keyviz_grpc.outcome import Answer, Outcome

LEAF = Outcome("n1", node_id="n1", incarnation=1, step_ms=1000)


def answer(rows: list[Row], heat: list[int]) -> Answer:
    """One column of reads."""
    matrix = Matrix(
        Series.READS, np.array([1000], np.int64), Catalogue(tuple(rows)), np.array(heat, np.uint64).reshape(-1, 1)
    )
    return Answer(matrix, (LEAF,), node_id="n1", step_ms=1000)


def routes(count: int) -> list[Row]:
    """Neighbours in key order."""
    return [Row(f"route:{n}", b"%06d" % n, b"%06d" % (n + 1)) for n in range(count)]


def names(folded: Answer) -> list[str]:
    """As the screen lists them."""
    return [row.bucket_id for row in folded.matrix.catalogue.rows]


def test_of_equal_rows_the_first_in_key_order_stay_single() -> None:
    """However many they are, and whatever is colder or hotter between them."""
    folded = fold(answer(routes(300), [7] * 300), 10)
    assert names(folded)[:9] == [f"route:{number}" for number in range(9)]
    assert len(names(folded)) == 10
    assert folded.matrix.catalogue.rows[9].route_count == 291
    heat = [(number * 7) % 5 for number in range(2000)]
    single = [name for name in names(fold(answer(routes(2000), heat), 401)) if name.startswith("route:")]
    hottest = sorted(range(2000), key=lambda number: (-heat[number], number))[: len(single)]
    assert single == [f"route:{number}" for number in sorted(hottest)]


def test_one_catalogue_is_folded_anew_where_other_rows_are_hot() -> None:
    """And as before where the same are."""
    rows = routes(5)
    catalogue = Catalogue(tuple(rows))

    def folded(heat: list[int]) -> list[str]:
        whole = answer(rows, heat)
        return names(fold(replace(whole, matrix=replace(whole.matrix, catalogue=catalogue)), 3))

    first, last = [9, 0, 0, 0, 8], [0, 0, 0, 9, 8]
    assert folded(first) == ["route:0", aggregate_id(b"000001", b"000004"), "route:4"]
    assert folded(last) == [aggregate_id(b"000000", b"000003"), "route:3", "route:4"]
    assert folded(last) == folded(last)
    assert folded(first) == ["route:0", aggregate_id(b"000001", b"000004"), "route:4"]


def test_the_list_of_routes_is_full_only_above_its_limit() -> None:
    """Exactly as many as it holds are all of them."""
    for more in (0, 1):
        count = MAX_ROUTE_IDS + more
        (aggregate,) = fold(answer(routes(count), [1] * count), 1).matrix.catalogue.rows
        assert (aggregate.route_count, len(aggregate.route_ids)) == (count, MAX_ROUTE_IDS)
        assert aggregate.route_ids_truncated == (more > 0)


@pytest.mark.parametrize(("unlisted", "count"), [(0, 3), (1, 4), (5, 8)])
def test_an_aggregate_that_is_folded_counts_with_all_of_its_routes(unlisted: int, count: int) -> None:
    """Those that it does not list too, and then the list is not all."""
    wide = Row("virtual:1", b"a", b"m", aggregate=True, route_ids=(1, 2), route_count=2 + unlisted)
    (folded,) = fold(answer([wide, Row("route:3", b"m", b"")], [1, 1]), 1).matrix.catalogue.rows
    assert (folded.route_ids, folded.route_count, folded.route_ids_truncated) == ((1, 2, 3), count, unlisted > 0)


def test_the_roles_of_folded_rows_ascend() -> None:
    """Each once."""
    rows = [replace(row, sample_roles=roles) for row, roles in zip(routes(3), [(8,), (1, 8), ()], strict=True)]
    (aggregate,) = fold(answer(rows, [1, 1, 1]), 1).matrix.catalogue.rows
    assert aggregate.sample_roles == (1, 8)


def test_an_aggregate_whose_id_a_single_row_has_gets_another() -> None:
    """Rows that overlap, as nodes that disagree show them: the hot one is the aggregate of the others' hull."""
    taken = Row(aggregate_id(b"a", b"z"), b"a", b"z", aggregate=True, route_count=2)
    before = [Row("first:1", b"", b"a"), Row("first:2", b"A", b"a")]
    for more in ([], [Row("wide:3", b"c", b"d")]):
        cold = [Row("wide:1", b"a", b"z"), Row("wide:2", b"b", b"c"), *more]
        for hot in ([taken], [*before, taken]):
            rows = [*hot, *cold]
            assert rows == sorted(rows, key=lambda row: row.key_order)
            heat = [9] * len(hot) + [1] * len(cold)
            folded = fold(answer(rows, heat), len(hot) + 1)
            assert names(folded)[:-1] == [row.bucket_id for row in hot]
            assert names(folded)[-1] not in names(folded)[:-1]
            assert folded.matrix.catalogue.rows[-1].start == b"a"
            assert folded.matrix.values.tolist() == [[9]] * len(hot) + [[len(cold)]]
            assert names(folded) == names(fold(answer(list(rows), heat), len(hot) + 1))


def test_an_id_that_a_later_single_row_has_is_not_given_away() -> None:
    """The hot row keeps its name, although the others come before it in key order."""
    taken = Row(aggregate_id(b"a", b"z"), b"a", b"z", aggregate=True, route_count=2)
    rows = [Row("narrow:1", b"a", b"c"), Row("narrow:2", b"a", b"z"), taken, Row("z:1", b"z", b"")]
    assert rows == sorted(rows, key=lambda row: row.key_order)
    folded = fold(answer(rows, [1, 1, 9, 9]), 3)
    assert names(folded)[1:] == [taken.bucket_id, "z:1"]
    assert names(folded)[0].startswith("virtual:")
    assert names(folded)[0] != taken.bucket_id


def test_two_aggregates_of_one_hull_have_two_ids() -> None:
    """A hot row of the same range stands between them."""
    rows = [Row(f"wide:{number}", b"a", b"z") for number in range(5)]
    folded = fold(answer(rows, [1, 1, 9, 1, 1]), 3)
    assert names(folded)[:2] == [aggregate_id(b"a", b"z"), "wide:2"]
    assert len(set(names(folded))) == 3
    assert [(row.start, row.end) for row in folded.matrix.catalogue.rows] == [(b"a", b"z")] * 3


def test_an_id_that_is_folded_away_is_free() -> None:
    """An aggregate that grows by rows inside of it keeps its name."""
    wide = Row(aggregate_id(b"a", b"z"), b"a", b"z", aggregate=True, route_count=2)
    folded = fold(answer([wide, Row("route:5", b"b", b"c"), Row("route:6", b"z", b"")], [1, 1, 9]), 2)
    assert names(folded) == [aggregate_id(b"a", b"z"), "route:6"]


def writes(cells: list[tuple[int, int]]) -> Answer:
    """One column of writes: of each row the value and the term in group 1, 0 = unknown."""
    whole = answer(routes(len(cells)), [value for value, _ in cells])
    terms = sorted({term for _, term in cells if term})
    identities = np.array([[0, 0], *([1, term] for term in terms)], np.uint64)
    codes = np.array([[terms.index(term) + 1 if term else 0] for _, term in cells], np.uint32)
    matrix = Matrix(
        Series.WRITES, whole.matrix.columns, whole.matrix.catalogue, whole.matrix.values, identities, codes, NO_SHARES
    )
    return replace(whole, matrix=matrix)


def test_folded_cells_list_the_shares_of_different_terms() -> None:
    """Which an aggregator above needs, though no cell listed any before."""
    folded = fold(writes([(5, 7), (3, 8), (2, 8)]), 1).matrix
    assert folded.codes is None
    assert folded.identities[folded.shares.codes].tolist() == [[1, 7], [1, 8]]
    assert folded.shares.values.tolist() == [5, 5]


@pytest.mark.parametrize("unknown", [0, 1, 2])
def test_a_folded_cell_shows_its_identity_only_if_all_of_it_is_known(unknown: int) -> None:
    """A single operation of an unknown one is enough; none is nothing."""
    codes = fold(writes([(5, 7), (unknown, 0)]), 1).matrix.codes
    assert (codes is None) == (unknown > 0)


def test_folded_cells_keep_a_lone_share() -> None:
    """A cell of 5 that says of 3 where they come from, folded with one of 2; nothing is known of any identity."""
    whole = answer(routes(2), [5, 2])
    shares = Shares(np.array([0]), np.array([0]), np.array([0], np.uint32), np.array([3], np.uint64))
    matrix = Matrix(
        Series.WRITES,
        whole.matrix.columns,
        whole.matrix.catalogue,
        whole.matrix.values,
        np.array([[0, 0]], np.uint64),
        None,
        shares,
    )
    folded = fold(replace(whole, matrix=matrix), 1).matrix
    assert folded.values.tolist() == [[7]]
    assert (folded.shares.rows.tolist(), folded.shares.values.tolist()) == ([0], [5])


@pytest.mark.parametrize(
    ("bucket_id", "route_ids"),
    [("route:7", (7,)), ("route:7:west#2", (7,)), ("route:west", ()), ("7", ()), ("route:", ())],
)
def test_the_route_of_a_bucket_is_in_its_name(bucket_id: str, route_ids: tuple[int, ...]) -> None:
    """Or it has none."""
    assert row_route_ids(Row(bucket_id, b"a", b"b")) == route_ids


@pytest.mark.parametrize(
    ("rows", "ids", "count"),
    [
        ([("route:1", 1), (f"route:{2**64 - 1}", 1)], (1, 2**64 - 1), 2),
        ([("route:1", 1), (f"route:{2**64}", 1)], (1,), 1),
        ([("route:1", 1), ("route:" + "9" * 5000, 1)], (1,), 1),
        ([("virtual:1", 2**64 - 1), ("virtual:2", 2**64 - 1)], (), 2**64 - 1),
    ],
)
def test_what_a_peer_calls_its_rows_fits_an_answer(
    rows: list[tuple[str, int]], ids: tuple[int, ...], count: int
) -> None:
    """Numbers that no field holds are none, counts stop at the highest: other peers' rows can still be told."""
    named = [
        Row(name, b"%d" % n, b"%d" % (n + 1), aggregate=name.startswith("virtual:"), route_count=routes)
        for n, (name, routes) in enumerate(rows)
    ]
    folded = fold(answer(named, [1, 2]), 1)
    encode_answer(folded)
    (row,) = folded.matrix.catalogue.rows
    assert (row.route_ids, row.route_count) == (ids, count)
