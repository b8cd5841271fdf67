"""Which merges are little: by all that a peer can make many of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.aggregator import effort
from keyviz_grpc.codec import decode_answer, encode_answer, parse_response
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import merge
from keyviz_grpc.model import Catalogue, KeyRange, Matrix, Row, Series, Shares
from keyviz_grpc.outcome import Answer, LeafRange, Outcome, PeerWarning, WarningCode
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered.blocks import Narrow
from keyviz_grpc.remembered.recollected import Recollected


@pytest.mark.parametrize(
    ("shape", "little"),
    [((3, 1024, 60), True), ((3, 1024, 100), False), ((16, 1024, 60), False), ((3, 8000, 3), False)],
)
def test_cells_and_rows_count(shape: tuple[int, int, int], little: bool) -> None:
    """A page of three nodes is little, many nodes, long windows and many rows are not."""
    assert is_little(cluster(Shape(*shape))) is little


EQUAL: Final[dict[str, Any]] = {"flips": False, "divergent": False, "conflict_share": 0.0}


def is_little(results: Sequence[Answer | Outcome], **asked: Any) -> bool:
    """As a gateway asks."""
    return effort.is_little(results, MatrixQuery(**{"for_display": True, **asked}))


def as_sent(parts: Sequence[Answer]) -> list[Answer]:
    """What comes of them over the wire: rows without traffic are told apart."""
    sent = (
        parse_response(encode_answer(part, accept=(pb.MATRIX_ENCODING_COLUMNAR,)).SerializeToString()) for part in parts
    )
    return [
        decode_answer(raw, series=part.matrix.series, outcome=Outcome("p:1"))
        for raw, part in zip(sent, parts, strict=True)
    ]


def test_only_rows_with_traffic_count_where_they_are_told_apart() -> None:
    """Many nodes of which each leads a few rows; marks are looked through whole."""
    parts = as_sent(cluster(Shape(16, 1024, 60, **EQUAL)))
    assert is_little(parts)
    assert is_little(as_sent(cluster(Shape(64, 1024, 60, **EQUAL))))
    marked = replace(parts[0].matrix, soft=np.ones(parts[0].matrix.shape, np.bool_))
    assert not is_little([replace(part, matrix=marked) for part in parts])
    assert not is_little([replace(part, matrix=replace(marked, soft=None, conflicts=marked.soft)) for part in parts])
    assert not is_little(as_sent(cluster(Shape(16, 1024, 60, traffic="dense"))))


def silent(nodes: int, rows: int, **change: Any) -> list[Answer]:
    """Nodes of which none has traffic, as sent: with one column, and the same rows."""
    made = bare(rows, 1)
    sent = as_sent([replace(made, matrix=replace(made.matrix, values=np.zeros((rows, 1), np.uint64)))] * nodes)
    return [replace(answer, **change) for answer in sent]


def test_rows_count_without_traffic_too() -> None:
    """They are joined, put in key order, named where their node has no id, cut to a range of keys, and folded."""
    most = effort.LITTLE // effort.ENTRY_CELLS
    assert is_little(silent(1, most - 200))
    assert not is_little(silent(1, most))
    assert is_little(silent(2, 2_500, node_id=""))
    assert not is_little(silent(1, 6_000, node_id=""))
    assert not is_little(silent(1, 9_000), rows=1024)
    assert is_little(silent(1, 9_000), rows=9_000)
    assert not is_little(silent(1, 9_000), keys=KeyRange(b"", b"m"))


def test_the_same_rows_of_more_nodes_count_little() -> None:
    """Unless somebody asks who holds them; rows that differ are joined one by one where just these never were."""
    assert is_little(silent(10, 9_000))
    assert not is_little(silent(10, 9_000), for_display=False)
    parts = as_sent(cluster(Shape(16, 1024, 20, **{**EQUAL, "divergent": True})))
    assert not is_little(parts)
    merge(parts, query=MatrixQuery(), now_unix_ms=1)
    assert is_little(parts)
    assert not is_little(parts, for_display=False)
    assert not is_little(parts[1:])


@pytest.mark.parametrize(
    "change",
    [
        {"step_ms": 700},
        {"step_ms": 0},
        {"node_id": "n2"},
        {"merged": True},
    ],
)
def test_a_union_that_is_known_counts_where_all_are_sure_to_be_in_it(change: dict[str, Any]) -> None:
    """A node that is another's, or whose step does not fit, is left out: the union of the others is made anew."""
    parts = as_sent(cluster(Shape(16, 1024, 20, **{**EQUAL, "divergent": True})))
    merge(parts, query=MatrixQuery(), now_unix_ms=1)
    assert is_little(parts)
    assert not is_little([replace(parts[0], **change), *parts[1:]])


@pytest.mark.parametrize("asked", [{"exclude": (("n1", 1),)}, {"node_id": "n1"}, {"bucket_ids": ("route:1",)}])
def test_a_union_that_is_known_counts_where_all_rows_of_all_nodes_are_asked_for(asked: dict[str, Any]) -> None:
    """Otherwise another one is made."""
    parts = as_sent(cluster(Shape(16, 1024, 20, **{**EQUAL, "divergent": True})))
    merge(parts, query=MatrixQuery(), now_unix_ms=1)
    assert is_little(parts)
    assert not is_little(parts, **asked)


def test_an_older_node_without_rows_is_not_in_a_union_that_is_known() -> None:
    """It is joined too, though it adds nothing."""
    parts = as_sent(cluster(Shape(16, 1024, 20, **{**EQUAL, "divergent": True})))
    merge(parts, query=MatrixQuery(), now_unix_ms=1)
    nothing = replace(parts[0], matrix=Matrix.empty(Series.WRITES), node_id="")
    assert not is_little([*parts, nothing])


def test_rows_under_other_ranges_count_as_the_warnings_that_they_give() -> None:
    """Also where the union is known: each is told with every answer."""
    rows = bare(700, 1).matrix.catalogue.rows
    shorter = Catalogue(tuple(replace(row, end=row.start + b"\0") for row in rows))
    own, other = silent(2, 700)
    outcomes = (replace(other.outcomes[0], node_id="n2"),)
    matrix = replace(other.matrix, catalogue=shorter, busy=None)
    parts = [own, replace(other, matrix=matrix, node_id="n2", outcomes=outcomes)]
    merge(parts, query=MatrixQuery(), now_unix_ms=1)
    assert not is_little(parts)


def test_columns_that_are_shared_count_once() -> None:
    """Each peer's own are put on the grid, and compared with all others."""
    wide = bare(1, 10_000)
    assert is_little([wide] * 3)
    assert not is_little(
        [replace(wide, matrix=replace(wide.matrix, columns=wide.matrix.columns.copy())) for _ in range(3)]
    )


def small() -> Answer:
    """One node's, of few cells."""
    return cluster(Shape(1, 4, 4))[0]


def with_shares(count: int) -> Matrix:
    """So many in one cell."""
    at, codes = np.zeros(count, np.int64), np.arange(1, count + 1, dtype=np.uint32)
    shares = Shares(at, at, codes, np.ones(count, np.uint64))
    return replace(small().matrix, shares=shares)


def test_shares_count_also_of_what_is_not_put_together() -> None:
    """A cell may list any number of them; asking puts nothing together."""
    many = with_shares(20_000)
    lazy = Recollected(Series.WRITES, many.catalogue, [(many, slice(0, 4))])
    assert not is_little([replace(small(), matrix=many)])
    assert not is_little([replace(small(), matrix=lazy)])
    with pytest.raises(AttributeError):
        object.__getattribute__(lazy, "values")


def test_leaves_and_their_ranges_count() -> None:
    """Of an aggregator below; and of one that carries them unmerged, the cells of each."""
    parts = cluster(Shape(200, 2, 2))
    assert not is_little([merge(parts, query=MatrixQuery(), now_unix_ms=1)])
    assert is_little([merge(parts[:3], query=MatrixQuery(), now_unix_ms=1)])
    ranges = tuple(LeafRange(0, number, b"a", b"b") for number in range(20_000))
    assert not is_little([replace(small(), leaf_ranges=ranges)])
    wide = cluster(Shape(3, 1024, 100))
    assert not is_little([merge(wide, query=MatrixQuery(unmerged=True), now_unix_ms=1)])


def bare(rows: int, columns: int, name: str = "a") -> Answer:
    """One node's answer without traffic."""
    catalogue = Catalogue(tuple(Row(f"{name}{number}", b"%06d" % number, b"") for number in range(rows)))
    stamps = np.arange(1, columns + 1, dtype=np.int64) * 1000
    return replace(small(), matrix=Matrix(Series.WRITES, stamps, catalogue, np.zeros((rows, columns), np.uint64)))


def test_rows_of_one_and_columns_of_another_count() -> None:
    """What each of them brings is little, and the picture is not."""
    tall, wide = bare(4000, 1), bare(1, 4000, "b")
    assert is_little([tall])
    assert is_little([wide])
    assert not is_little([tall, wide])
    lazy = Recollected(Series.WRITES, wide.matrix.catalogue, [(wide.matrix, slice(0, 4000))])
    assert not is_little([tall, replace(wide, matrix=lazy)])


def test_columns_of_no_rows_count() -> None:
    """They have no cells, and are put on the grid all the same."""
    assert not is_little([bare(0, 20_000)])


def test_identities_count_that_no_cell_has() -> None:
    """Tables are united whole."""
    table = np.ones((100_000, 2), np.uint64)
    table[:, 0] = np.arange(100_000)
    table[0] = 0
    many = replace(small().matrix, identities=table)
    lazy = Recollected(Series.WRITES, many.catalogue, [(small().matrix, slice(0, 2)), (many, slice(2, 4))])
    assert not is_little([replace(small(), matrix=many)])
    assert not is_little([replace(small(), matrix=lazy)])


@pytest.mark.parametrize(("series", "little"), [(Series.WRITES, False), (Series.READS, True)])
def test_writes_of_several_in_every_row_count_more(series: Series, little: bool) -> None:
    """Each of their cells may be one to be decided by shares; of one node, and of nodes that lead other rows, none."""
    parts = [replace(part, matrix=replace(part.matrix, series=series)) for part in (bare(1000, 60), bare(1000, 60))]
    busy = [replace(part, matrix=replace(part.matrix, values=part.matrix.values + np.uint64(1))) for part in parts]
    lazy = [
        replace(part, matrix=Recollected(series, part.matrix.catalogue, [(Narrow.of(part.matrix), slice(0, 60))]))
        for part in busy
    ]
    assert is_little(parts)
    assert is_little([busy[0], parts[1]])
    assert is_little(busy) is little
    assert is_little(lazy) is little
    assert is_little(
        [replace(bare(1000, 200), matrix=replace(bare(1000, 200).matrix, values=np.ones((1000, 200), np.uint64)))]
    )


def test_warnings_and_sets_of_leaves_count() -> None:
    """Warnings are sorted wherever one more is found, sets are united one by one."""
    outcome = small().outcomes[0]
    warnings = tuple(PeerWarning(WarningCode.CLOCK_SKEW, f"route:{number}", "") for number in range(600))
    assert not is_little([replace(small(), outcomes=(replace(outcome, warnings=warnings),))])
    assert not is_little([Outcome("p", kind=FailureKind.UNREACHABLE, warnings=warnings)])
    assert not is_little([replace(small(), leaf_sets=((0,),) * 10_000)])


def test_failures_count_a_little() -> None:
    """A thousand dead peers have outcomes to be sorted and told."""
    failed: list[Answer | Outcome] = [Outcome("p", kind=FailureKind.UNREACHABLE)]
    assert is_little(failed * 10)
    assert not is_little(failed * 1000)
