"""Who holds which row, and under which range, through trees of any shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import decode_answer, encode_answer
from keyviz_grpc.errors import FailureKind, MalformedAnswer
from keyviz_grpc.merge import merge
from keyviz_grpc.merge.rows import join, with_range_ids
from keyviz_grpc.model import Catalogue, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from tests.reference.convert import answer_of
from tests.reference.oracle import Node

STAMPS = [10_000, 11_000]
KEYS = [b"", b"d", b"h", b"m", b"t"]
Ranges = dict[str, tuple[bytes, bytes]]
WHOLE: Ranges = {"route:1": (b"", b"m"), "route:2": (b"m", b"")}


def node(name: str, ranges: Ranges) -> Answer:
    """One read in every cell."""
    cells = {(bucket, stamp): {(1, 1): 1} for bucket in ranges for stamp in STAMPS}
    return answer_of(Node(name, ranges, STAMPS, cells), Series.READS)


def merged(*parts: Answer | Outcome) -> Answer:
    """As an aggregator hands it on."""
    return merge(parts, query=MatrixQuery(Series.READS), now_unix_ms=11_000, node_id="agg", incarnation=5)


def told(answer: Answer) -> tuple[dict[str, tuple[int, ...]], dict[tuple[str, int], tuple[bytes, bytes]]]:
    """The leaves of every bucket, and the ranges that differ from what its row shows."""
    rows = answer.matrix.catalogue.rows
    everyone = tuple(number for number, outcome in enumerate(answer.outcomes) if outcome.contributes)
    if answer.row_leaf_set is None:
        held = {row.bucket_id: everyone for row in rows}
    else:
        held = {row.bucket_id: answer.leaf_sets[n] for row, n in zip(rows, answer.row_leaf_set, strict=True)}
    ranges = {(rows[item.row].bucket_id, item.leaf): (item.start, item.end) for item in answer.leaf_ranges}
    return held, ranges


def drawn(chance: np.random.Generator) -> Ranges:
    """Some of four buckets, now and then under a range of its own."""
    found: Ranges = {}
    for number in range(4):
        if chance.random() < 0.7:
            late = chance.random() < 0.3
            found[f"route:{number}"] = (KEYS[number], KEYS[number] + b"c" if late else KEYS[number + 1])
    return found


@pytest.mark.parametrize("seed", range(40))
def test_every_row_names_the_leaves_that_hold_it(seed: int) -> None:
    """Seven leaves, one of them lost, in two levels of aggregators; the books are counted by hand."""
    chance = np.random.default_rng(seed)
    own = [drawn(chance) for _ in range(7)]
    lost = int(chance.integers(7))
    leaves: list[Answer | Outcome] = [node(f"n{number}", ranges) for number, ranges in enumerate(own)]
    leaves[lost] = Outcome(f"n{lost}", kind=FailureKind.UNREACHABLE)
    held: dict[str, tuple[int, ...]] = {}
    shown: Ranges = {}
    for number, ranges in enumerate(own):
        if number != lost:
            for bucket, span in ranges.items():
                held[bucket] = (*held.get(bucket, ()), number)
                shown.setdefault(bucket, span)
    other = {(b, n): own[n][b] for b, numbers in held.items() for n in numbers if own[n][b] != shown[b]}
    first, second, third = (int(cut) for cut in np.sort(chance.integers(0, 6, 3)) + 1)
    shapes: list[list[Answer | Outcome]] = [
        leaves,
        [merged(*leaves[:first]), merged(*leaves[first:])],
        [leaves[0], merged(*leaves[1 : second + 1]), merged(*leaves[second + 1 :])] if second < 6 else leaves,
        [merged(leaves[0], merged(*leaves[1 : third + 1])), *leaves[third + 1 :]],
    ]
    for shape in shapes:
        assert told(merged(*shape)) == (held, other)


def test_what_leaves_told_before_is_not_told_again() -> None:
    """The same catalogues and leaves, with other ranges and other holders below: each answer has its own warnings."""
    first = node("a", WHOLE)
    below = merged(node("b", WHOLE), node("c", {**WHOLE, "route:1": (b"", b"k")}))
    (odd,) = below.leaf_ranges
    for ranges in ((odd,), (replace(odd, leaf=0),), (), (replace(odd, row=1, start=b"n"),), (odd,)):
        answer = merged(first, replace(below, leaf_ranges=ranges))
        assert [len(outcome.warnings) for outcome in answer.outcomes] == [
            0,
            *(sum(item.leaf == leaf for item in ranges) for leaf in (0, 1)),
        ]
        if ranges:
            (warning,) = answer.outcomes[1 + ranges[0].leaf].warnings
            assert warning.bucket_id == f"route:{ranges[0].row + 1}"

    left = merged(node("x", WHOLE), node("y", {"route:2": WHOLE["route:2"]}))
    right = merged(node("b", {**WHOLE, "route:1": (b"", b"k")}), node("c", {"route:2": WHOLE["route:2"]}))
    assert right.leaf_sets != ()
    for holder in (0, 1, 0):
        books = replace(right, leaf_sets=((holder,), (0, 1)), row_leaf_set=np.array([0, 1], np.int64))
        answer = merged(left, books)
        assert [len(outcome.warnings) for outcome in answer.outcomes] == [0, 0, int(holder == 0), int(holder == 1)]


def test_a_joined_catalogue_names_the_rows_whose_range_it_does_not_show() -> None:
    """Of parts in any order of rows, a single one too; roles become one ascending list."""
    plain = Catalogue((Row("route:1", b"", b"m", sample_roles=(8,)), Row("route:2", b"m", b"")))
    backwards = Catalogue((Row("route:2", b"n", b""), Row("route:1", b"", b"m", sample_roles=(1,))))
    assert not backwards.in_key_order
    (alone,) = join([backwards]).maps
    assert [row.bucket_id for row in join([backwards]).catalogue.rows] == ["route:1", "route:2"]
    assert alone is not None
    assert alone.tolist() == [1, 0]
    both = join([plain, backwards])
    assert both.diverging == ((), (0,))
    assert both.catalogue.rows[0].sample_roles == (1, 8)


def test_only_aggregates_get_an_id_of_their_range() -> None:
    """Beside rows that are none; without any, the same object."""
    row, aggregate = Row("route:1", b"", b"m"), Row("virtual:77", b"m", b"", aggregate=True)
    mixed = with_range_ids(Catalogue((row, aggregate)))
    assert mixed.rows[0] == row
    assert mixed.rows[1].bucket_id != "virtual:77"
    plain = Catalogue((row,))
    assert with_range_ids(plain) is plain


def test_no_column_is_held_by_more_nodes_than_there_are() -> None:
    """Of an aggregator below; with those of others it would be more than can be told."""
    merged = merge(cluster(Shape(2, 3, 4)), query=MatrixQuery(), now_unix_ms=1)
    message = encode_answer(merged)
    assert list(message.column_nodes) == [2] * 4
    message.column_nodes[1] = 3
    with pytest.raises(MalformedAnswer, match="column_nodes: 3 nodes of 2 leaves"):
        decode_answer(message, series=Series.WRITES, outcome=Outcome("p:1"))


def test_the_same_rows_of_other_leaves_are_held_by_those() -> None:
    """The very same catalogues in turn, alone and with a peer that failed before or between them."""
    first, second = node("a", {"route:1": WHOLE["route:1"]}), node("b", WHOLE)
    failed = Outcome("z", kind=FailureKind.UNREACHABLE)
    for _ in range(2):
        assert told(merged(first, second))[0] == {"route:1": (0, 1), "route:2": (1,)}
        assert told(merged(failed, first, second))[0] == {"route:1": (1, 2), "route:2": (2,)}
        assert told(merged(first, failed, second))[0] == {"route:1": (0, 2), "route:2": (2,)}
    sets = merged(first, second).row_leaf_set
    assert sets is not None
    assert not sets.flags.writeable
