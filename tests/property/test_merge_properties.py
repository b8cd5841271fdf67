"""Laws of the merge, against an oracle and against itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from benchmarks.synthetic import Shape, cluster
from gateway.matrix_body import MatrixRenderer
from keyviz_grpc.codec import decode_answer, encode_answer
from keyviz_grpc.merge import adding, entries, fold, merge, mixed, sparse
from keyviz_grpc.merge.align import guess_step_ms, into_coarser
from keyviz_grpc.model import Matrix, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from tests.property.strategies import clusters
from tests.reference import oracle
from tests.reference.convert import answer_of, told_by
from tests.reference.oracle import Node

NOW_MS = 14_000
SERIES = [Series.WRITES, Series.READS]
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def merged(parts: list[Answer], series: Series) -> Answer:
    """Merged at a fixed moment."""
    return merge(parts, query=MatrixQuery(series), now_unix_ms=NOW_MS)


def same(left: Answer, right: Answer) -> None:
    """Values, shares, conflicts, rows, columns, identities, outcomes with warnings, and books of leaves are equal."""
    a, b = left.matrix, right.matrix
    assert a.catalogue == b.catalogue
    assert a.columns.tolist() == b.columns.tolist()
    assert a.values.tolist() == b.values.tolist()
    assert told_by(left, writes=a.series.is_write) == told_by(right, writes=a.series.is_write)
    assert left.outcomes == right.outcomes
    assert left.leaf_ranges == right.leaf_ranges
    assert (left.column_nodes is None) == (right.column_nodes is None)
    assert left.column_nodes is None or left.column_nodes.tolist() == right.column_nodes.tolist()  # type: ignore[union-attr]


def check_against_oracle(cluster: list[Node]) -> None:
    """The product says what the oracle says."""
    for series in SERIES:
        note(f"of {series}")
        found = told_by(merged([answer_of(node, series) for node in cluster], series), writes=series.is_write)
        assert found == oracle.merge(cluster, writes=series.is_write)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cluster=clusters())
def test_the_product_agrees_with_the_oracle(cluster: list[Node]) -> None:
    """Cell by cell, share by share, row by row, warning by warning."""
    check_against_oracle(cluster)


def sent(answer: Answer) -> Answer:
    """As it is after a way through the packed form, in which rows with traffic are known."""
    message = encode_answer(answer, accept=(pb.MATRIX_ENCODING_COLUMNAR,))
    return decode_answer(message, series=answer.matrix.series, outcome=answer.outcomes[0])


def cells_of(matrix: Matrix) -> list[object]:
    """All that is said of cells but their shares."""
    told = [matrix.values, matrix.identities, matrix.codes, matrix.soft, matrix.conflicts]
    return [None if each is None else each.tolist() for each in told]


def merging_ways(thin: int, few: int, mixed_cells: int) -> list[tuple[object, str, int]]:
    """Thresholds of the merge under which every cluster, however small, is merged in one of its ways."""
    return [
        (adding, "LONG_ROWS", 0 if thin == 8 else 512),  # put in place, or gathered
        (entries, "FEW_BYTES", few),
        (mixed, "MOST_CELLS", mixed_cells),
        (entries, "SHORT_CODES", 0 if thin == 8 else 1 << 16),
        (adding, "THIN", thin),
        (adding, "RARE", thin),  # cells that are left to the sparse pass are sorted, or marked
        (sparse, "MOST_PAIRS", 1 << 4 * thin),  # all at once, or some at a time
    ]


WAYS = {
    "whole rows": merging_ways(8, 0, 0),
    "cell by cell": merging_ways(1, 0, 0),
    "both": merging_ways(2, 0, 0),
    "all at once": merging_ways(1, 1 << 18, 1 << 17),
    "all in one block, part by part": merging_ways(8, 1 << 18, 0),
}


@pytest.mark.timeout(600)  # to find the smallest cluster that fails takes minutes
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cluster=clusters())
def test_what_came_packed_is_merged_as_the_oracle_says(cluster: list[Node]) -> None:
    """Rows added whole, all cell by cell, and some of either; counts in one block, or in one for each width."""
    for series in SERIES:
        expected = oracle.merge(cluster, writes=series.is_write)
        for way, thresholds in WAYS.items():
            note(f"{way} of {series}")
            with pytest.MonkeyPatch.context() as patched:
                for module, name, most in thresholds:
                    patched.setattr(module, name, most)
                parts = [sent(answer_of(node, series)) for node in cluster]
                whole = merged(parts, series)
                shown = merge(parts, query=MatrixQuery(series, for_display=True), now_unix_ms=NOW_MS)
            assert told_by(whole, writes=series.is_write) == expected
            assert cells_of(shown.matrix) == cells_of(whole.matrix)  # whose shares nobody asked for


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(derandomize=False, max_examples=80_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(cluster=clusters())
def test_the_product_agrees_with_the_oracle_at_length(cluster: list[Node]) -> None:
    """As above, tens of thousands of clusters."""
    check_against_oracle(cluster)


def grown(parts: list[Answer], series: Series, data: st.DataObject, depth: int = 3) -> list[Answer]:
    """The same leaves below a level of aggregators, each over neighbours, some of them with levels below."""
    if depth == 0:
        return parts
    cuts = data.draw(st.lists(st.booleans(), min_size=len(parts) - 1, max_size=len(parts) - 1))
    bounds = [0, *(number + 1 for number, cut in enumerate(cuts) if cut), len(parts)]
    level: list[Answer] = []
    for first, last in pairwise(bounds):
        inner = parts[first:last]
        if data.draw(st.booleans()):
            level.append(merged(grown(inner, series, data, depth - 1), series))
        else:
            level += inner
    return level


@pytest.mark.parametrize("series", SERIES)
@many
@given(cluster=clusters(), data=st.data())
def test_a_tree_gives_what_a_flat_aggregator_gives(series: Series, cluster: list[Node], data: st.DataObject) -> None:
    """Any shape of tree over the leaves in their order."""
    parts = [answer_of(node, series) for node in cluster]
    same(merged(grown(parts, series, data), series), merged(parts, series))


@many
@given(cluster=clusters())
def test_the_empty_answer_is_the_identity_element(cluster: list[Node]) -> None:
    """An aggregator above nobody that holds anything adds an outcome and nothing else."""
    parts = [answer_of(node, Series.WRITES) for node in cluster]
    empty = answer_of(Node("zero", {}, []), Series.WRITES)
    alone, beside = merged(parts, Series.WRITES), merged([*parts, empty], Series.WRITES)
    same(alone, replace(beside, outcomes=beside.outcomes[:-1]))


@many
@given(cluster=clusters())
def test_a_node_listed_twice_counts_once(cluster: list[Node]) -> None:
    """Reads too, which would double otherwise; the second listing is told."""
    parts = [answer_of(node, Series.READS) for node in cluster]
    twice = merged(
        [*parts, replace(parts[0], outcomes=(replace(parts[0].outcomes[0], address="alias"),))], Series.READS
    )
    assert twice.matrix.values.tolist() == merged(parts, Series.READS).matrix.values.tolist()
    assert [warning.code for warning in twice.outcomes[-1].warnings if warning.code == "duplicate_node"]


@many
@given(cluster=clusters())
def test_one_more_peer_never_lowers_a_read(cluster: list[Node]) -> None:
    """Sums grow."""
    parts = [answer_of(node, Series.READS) for node in cluster]
    before = told_by(merged(parts[:-1], Series.READS), writes=False).values
    after = told_by(merged(parts, Series.READS), writes=False).values
    assert all(after[cell] >= value for cell, value in before.items())


@many
@given(cluster=clusters(), budget=st.integers(1, 4))
def test_folding_keeps_every_column_total_and_the_budget(cluster: list[Node], budget: int) -> None:
    """Nothing is dropped, conflicts stay conflicts, and rows stay in key order."""
    whole = merged([answer_of(node, Series.WRITES) for node in cluster], Series.WRITES)
    folded = fold(whole, budget)
    assert len(folded.matrix.catalogue) <= budget
    assert folded.matrix.catalogue.in_key_order
    totals = [min(2**64 - 1, sum(column)) for column in zip(*whole.matrix.values.tolist(), strict=True)]
    if max(totals, default=0) < 2**64 - 1:
        assert [sum(column) for column in zip(*folded.matrix.values.tolist(), strict=True)] == totals
    conflicted = whole.matrix.conflicts is not None and np.flatnonzero(whole.matrix.conflicts.any(axis=0)).tolist()
    kept = folded.matrix.conflicts is not None and np.flatnonzero(folded.matrix.conflicts.any(axis=0)).tolist()
    assert conflicted == kept


@many
@given(distances=st.lists(st.sampled_from([500, 562, 563, 1000, 1001, 1125, 1126, 2000, 9, 10]), max_size=12))
def test_a_guessed_step_is_the_median_of_the_commonest_distances(distances: list[int]) -> None:
    """Distances within an eighth of the shortest of them count as one; ties go to the shortest; none give none."""
    columns = np.cumsum([10_000, *distances]).astype(np.int64)
    best: list[int] = []
    for shortest in sorted(distances):
        alike = sorted(d for d in distances if shortest <= d <= shortest + shortest // 8)
        if len(alike) > len(best):
            best = alike
    assert guess_step_ms(columns) == (best[(len(best) - 1) // 2] if best else 0)
    assert guess_step_ms(columns[:0]) == 0


@pytest.mark.parametrize(
    ("stamps", "grid", "expected"),
    [
        ([1, 1000, 1001, 2000], 1000, [1000, 1000, 2000, 2000]),
        ([7, 8], 1, [7, 8]),
        ([7, 8], 2, [8, 8]),
        ([7, 8], 0, [7, 8]),
    ],
)
def test_a_fine_window_goes_into_the_coarse_one_that_holds_it(
    stamps: list[int], grid: int, expected: list[int]
) -> None:
    """(stamp - grid, stamp]; without a grid nothing moves."""
    assert into_coarser(np.array(stamps, np.int64), grid).tolist() == expected


small = st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 2)), st.integers(0, 3), max_size=3)


@many
@given(cells=st.lists(small, min_size=5, max_size=5), other=small)
def test_columns_that_coincide_are_added_share_by_share(
    cells: list[dict[tuple[int, int], int]], other: dict[tuple[int, int], int]
) -> None:
    """A restart in the middle of a window, beside a peer that did not restart."""
    ranges = {"route:1": (b"", b"")}
    stamps = [10_000, 11_000, 11_400, 12_000, 13_000]
    torn = Node("torn", ranges, stamps, {("route:1", stamp): one for stamp, one in zip(stamps, cells, strict=True)})
    together = Counter(cells[1]) + Counter(cells[2])
    whole = Node("torn", ranges, [10_000, 11_000, 12_000, 13_000], torn.cells | {("route:1", 11_000): dict(together)})
    del whole.cells["route:1", 11_400]
    beside = Node("beside", ranges, [11_000], {("route:1", 11_000): other})
    found = merged([answer_of(torn, Series.WRITES), answer_of(beside, Series.WRITES)], Series.WRITES)
    assert told_by(found, writes=True) == oracle.merge([whole, beside], writes=True)


@pytest.mark.parametrize("series", SERIES)
@many
@given(cluster=clusters(), data=st.data())
def test_a_cell_is_soft_if_any_part_of_it_is(series: Series, cluster: list[Node], data: st.DataObject) -> None:
    """Marks are united, wherever the parts stand."""
    parts = []
    expected: dict[tuple[str, int], bool] = {}
    for node in cluster:
        answer = answer_of(replace(node, phase_ms=0), series)
        rows, columns = answer.matrix.shape
        marks = data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
        soft = np.array(marks, np.bool_).reshape(rows, columns)
        parts.append(replace(answer, matrix=replace(answer.matrix, soft=soft if soft.any() else None)))
        for i, row in enumerate(answer.matrix.catalogue.rows):
            for j, stamp in enumerate(answer.matrix.columns.tolist()):
                expected[row.bucket_id, stamp] = expected.get((row.bucket_id, stamp), False) or bool(soft[i, j])
    matrix = merged(parts, series).matrix
    for i, row in enumerate(matrix.catalogue.rows):
        for j, stamp in enumerate(matrix.columns.tolist()):
            shown = matrix.soft is not None and bool(matrix.soft[i, j])
            assert shown == expected.get((row.bucket_id, stamp), False)


def test_a_failed_peer_is_only_an_outcome() -> None:
    """Its place in the order is kept."""
    failed = Outcome("gone:1", detail="refused")
    node = Node("n1", {"route:1": (b"", b"")}, [1000], {("route:1", 1000): {(1, 1): 5}})
    answer = merge([failed, answer_of(node, Series.WRITES)], query=MatrixQuery(), now_unix_ms=NOW_MS)
    assert [outcome.address for outcome in answer.outcomes] == ["gone:1", "n1"]
    assert answer.matrix.values.tolist() == [[5]]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cluster=clusters())
def test_leaders_of_rows_are_written_as_identities_of_cells_are(cluster: list[Node]) -> None:
    """A picture that tells one leader a row, and the same with an identity in every cell, give the same bytes."""
    answer = merged([sent(answer_of(node, Series.WRITES)) for node in cluster], Series.WRITES)
    plain = replace(answer.matrix, leaders=None)
    assert MatrixRenderer().render(answer) == MatrixRenderer().render(replace(answer, matrix=plain))


def test_few_cells_beside_a_leaders_whole_row() -> None:
    """Equal, smaller and larger counts of its leader, those of another leader, and two nodes with the same cell."""
    ranges = {f"route:{n}": (b"%d" % n, b"%d" % (n + 1)) for n in range(1, 5)}
    stamps = [1000 * n for n in range(1, 41)]
    whole = {(bucket, stamp): {(1, 1): 5} for bucket in ranges for stamp in stamps}
    del whole["route:1", 40_000]
    second = {("route:1", 3000): {(1, 1): 3}, ("route:2", 4000): {(2, 1): 7}, ("route:3", 5000): {(1, 1): 5}}
    second |= {("route:1", 6000): {(1, 1): 8}, ("route:1", 40_000): {(1, 1): 2}}
    third = {("route:1", 3000): {(1, 1): 9}, ("route:4", 9000): {(3, 1): 1}, ("route:4", 8000): {(0, 0): 6}}
    fourth = {("route:4", 9000): {(3, 1): 4}, ("route:1", 1000): {(1, 1): 5}, ("route:1", 40_000): {(1, 1): 6}}
    cluster = [
        Node(name, ranges, stamps, cells) for name, cells in (("a", whole), ("b", second), ("c", third), ("d", fourth))
    ]
    for order in (cluster, cluster[::-1]):
        answers = [sent(answer_of(node, Series.WRITES)) for node in order]
        assert told_by(merged(answers, Series.WRITES), writes=True) == oracle.merge(order, writes=True)


@pytest.mark.parametrize("pairs", [1, 7, 40])
@pytest.mark.parametrize("seed", range(3))
def test_cells_decided_some_at_a_time_are_as_if_at_once(pairs: int, seed: int) -> None:
    """Two nodes and an aggregator over two others, whose cells list shares: many cells in which they differ."""
    shape = Shape(4, 200, 16, flips=True, divergent=bool(seed % 2), conflict_share=0.4, seed=seed)
    nodes = [sent(answer) for answer in cluster(shape)]
    below = sent(merged(nodes[2:], Series.WRITES))
    assert len(below.matrix.shares) > 2
    parts = [nodes[0], below, nodes[1]]
    whole = merged(parts, Series.WRITES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sparse, "MOST_PAIRS", pairs)
        again = merged(parts, Series.WRITES)
    same(again, whole)
    assert len(again.matrix.shares) == len(whole.matrix.shares)  # each cell lists its own once
