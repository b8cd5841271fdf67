"""Counts stay as narrow as they were sent, and everything that is made of them is what wide ones give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.matrix_body import MatrixRenderer
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.merge import fold, merge
from keyviz_grpc.merge.saturating import row_totals
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered.blocks import Narrow
from keyviz_grpc.remembered.joining import joined
from keyviz_grpc.remembered.recollected import Recollected
from keyviz_grpc.traffic import Busy, Runs, Strip

STEP_MS = 1000

IDENTITIES = np.array([[0, 0], [1, 4], [1, 5], [2, 4], [3, 1]], np.uint64)

MOST = {1: 2**8 - 1, 2: 2**16 - 1, 4: 2**32 - 1, 8: 2**64 - 1}
"""By bytes."""


def rows_of(count: int) -> Catalogue:
    """So many rows next to each other."""
    return Catalogue(tuple(Row(f"route:{n}", b"%03d" % n, b"%03d" % (n + 1)) for n in range(count)))


def answer_of(node: str, matrix: Matrix) -> Answer:
    """One node's own."""
    outcome = Outcome(node, node_id=node, incarnation=1, step_ms=STEP_MS)
    return Answer(matrix, (outcome,), node_id=node, incarnation=1, step_ms=STEP_MS)


def sent(node: str, counts: NDArray[np.unsignedinteger], codes: list[int], first: int = 1) -> Answer:
    """All rows in one strip, row i under codes[i]; first: the number of the first column."""
    spread = np.repeat(np.array(codes, np.uint32)[:, np.newaxis], counts.shape[1], axis=1)
    busy = Busy([Strip(np.arange(len(counts)), counts)], Runs.found(counts, spread))
    stamps = STEP_MS * np.arange(first, counts.shape[1] + first)
    return answer_of(node, Matrix.of_busy(Series.WRITES, stamps, rows_of(len(counts)), busy, identities=IDENTITIES))


def merged(*answers: Answer) -> Answer:
    """For display."""
    return merge(answers, query=MatrixQuery(Series.WRITES, for_display=True), now_unix_ms=10 * STEP_MS)


def widened(answer: Answer) -> Answer:
    """The same, of a matrix that has only wide counts."""
    matrix = answer.matrix
    codes, conflicts = matrix.codes, matrix.conflicts
    wide = Matrix(
        matrix.series, matrix.columns, matrix.catalogue, matrix.values, IDENTITIES, codes, conflicts=conflicts
    )
    assert wide.counts is None
    return replace(answer, matrix=wide)


@pytest.mark.parametrize("wire_bytes", MOST)
def test_merged_counts_are_as_wide_as_the_widest_that_was_sent(wire_bytes: int) -> None:
    """One part of bytes, one of wider ones; whoever reads the values reads wide ones, and only those are kept."""
    bytes_only = sent("a", np.array([[1, 2, 3], [0, 0, 0]], np.uint8), [1, 0])
    other = sent("b", np.array([[0, 0, 0], [4, MOST[wire_bytes], 5]], np.dtype(f"<u{wire_bytes}")), [0, 3])
    matrix = merged(bytes_only, other).matrix
    assert matrix.narrowest.dtype.itemsize == wire_bytes
    assert matrix.values.dtype == np.uint64
    assert matrix.values.tolist() == [[1, 2, 3], [4, MOST[wire_bytes], 5]]
    assert matrix.narrowest is matrix.values


@pytest.mark.parametrize("wire_bytes", MOST)
def test_what_is_put_together_of_memory_stays_as_narrow(wire_bytes: int) -> None:
    """A node's columns, its newest that came in an answer, and the picture that continues an earlier one."""
    width = np.dtype(f"<u{wire_bytes}")
    whole = sent("a", np.array([[1, 2, MOST[wire_bytes], 4], [0, 0, 0, 5]], width), [1, 2]).matrix
    early = slice(0, 3)
    tail = sent("a", np.array([[4], [5]], width), [1, 2], 4).matrix
    recollected = Recollected(Series.WRITES, whole.catalogue, [(Narrow.of(whole), early), (tail, slice(0, 1))])
    assert recollected.narrowest.dtype.itemsize == wire_bytes
    before, after = merged(answer_of("a", whole)).matrix, merged(answer_of("a", recollected.since(4000))).matrix
    continued = joined(Series.WRITES, whole.catalogue, [(before, early), (after, slice(0, 1))])
    for matrix in (recollected, continued):
        assert matrix.narrowest.dtype.itemsize == wire_bytes
        assert matrix.values.tolist() == whole.values.tolist()
        assert matrix.values.dtype == np.uint64
        assert matrix.narrowest is matrix.values
        assert matrix.codes is not None
        assert matrix.codes.tolist() == [[1] * 4, [0, 0, 0, 2]]


@pytest.mark.parametrize("wire_bytes", MOST)
@pytest.mark.parametrize("less", [0, 1, 2])
def test_shares_that_are_wider_together_are_summed(wire_bytes: int, less: int) -> None:
    """One cell under two terms, as many as the width holds or just more. 64 bits are the most."""
    most, width = MOST[wire_bytes], np.dtype(f"<u{wire_bytes}")
    one = sent("a", np.array([[most - less, 7]], width), [1])
    other = sent("b", np.array([[1, 0]], width), [2])
    matrix = merged(one, other).matrix
    assert matrix.values.tolist() == [[min(most - less + 1, 2**64 - 1), 7]]


@pytest.mark.parametrize("columns", [1, 3, 4, 8, 60])
@pytest.mark.parametrize("wire_bytes", MOST)
def test_folded_and_written_narrow_counts_are_those_of_wide_ones(wire_bytes: int, columns: int) -> None:
    """Cold rows whose sums need more bytes than each count, and a hot row among them."""
    chance = np.random.default_rng(columns)
    counts = chance.integers(0, 5, (40, columns)).astype(f"<u{wire_bytes}")
    counts[7:9] = MOST[wire_bytes] - 1
    counts[20] = MOST[wire_bytes]
    half = counts * (np.arange(40) < 25)[:, np.newaxis].astype(counts.dtype)
    answer = merged(sent("a", half, [1, 2] * 20), sent("b", counts - half, [3] * 40))
    assert answer.matrix.counts is not None or wire_bytes == 8
    for budget in (0, 3, 17):
        narrow, wide = (fold(each, budget, shares=False) for each in (answer, widened(answer)))
        assert MatrixRenderer().render(narrow) == MatrixRenderer().render(wide)


@pytest.mark.parametrize("wire_bytes", MOST)
def test_totals_of_rows_may_need_more_bytes_than_their_counts(wire_bytes: int) -> None:
    """Two halves of what is beyond the width, or beyond the 32 bits in which narrow ones are added."""
    half = (MOST[wire_bytes] + 1) // 2 if wire_bytes < 8 else 2**32
    totals = row_totals(np.array([[half, half], [1, 0]], f"<u{wire_bytes}"))
    assert totals is not None
    assert totals.dtype == np.uint64
    assert totals.tolist() == [2 * half, 1]


@pytest.mark.parametrize("name", ["counts", "codes", "soft", "conflicts"])
def test_what_does_not_fit_rows_and_columns_is_refused_by_name(name: str) -> None:
    """Of a matrix of narrow counts; what fits is read-only from then on."""
    told: dict[str, Any] = {
        "counts": np.ones((3, 2), np.uint8),
        "codes": np.ones((3, 2), np.uint32),
        "soft": np.ones((3, 2), np.bool_),
        "conflicts": np.ones((3, 2), np.bool_),
    }

    def made() -> Matrix:
        return Matrix.of_counts(
            Series.WRITES,
            np.array([1000, 2000]),
            rows_of(3),
            told["counts"],
            told["codes"],
            soft=told["soft"],
            conflicts=told["conflicts"],
        )

    made()
    assert not told[name].flags.writeable
    told[name] = told[name][:, :1]
    with pytest.raises(MalformedAnswer, match=rf"^{name} has shape \(3, 1\), expected \(3, 2\) \(rows, columns\)$"):
        made()
