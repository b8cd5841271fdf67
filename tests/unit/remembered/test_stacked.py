"""Columns that came one by one become what they become where each is spread over all rows first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import decode_answer, encode_answer
from keyviz_grpc.merge.columns import select_columns
from keyviz_grpc.model import Matrix, Series
from keyviz_grpc.outcome import Answer
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.remembered.blocks import Narrow
from keyviz_grpc.remembered.joining import joined
from keyviz_grpc.remembered.stacked import stacked

ROWS, COLUMNS = 60, 8


def sent(answer: Answer, columns: slice) -> Matrix:
    """Some columns, as they come from decoding."""
    told = replace(answer, matrix=select_columns(answer.matrix, columns))
    message = encode_answer(told, accept=(pb.MATRIX_ENCODING_COLUMNAR,))
    return decode_answer(message, series=answer.matrix.series, outcome=answer.outcomes[0]).matrix


def one_by_one(shape: Shape) -> list[Matrix]:
    """All columns of a node."""
    answer = cluster(shape)[0]
    return [sent(answer, slice(at, at + 1)) for at in range(shape.columns)]


def of_joined(told: list[Matrix]) -> Narrow:
    """What is kept of columns of any kind."""
    whole = [(matrix, slice(0, len(matrix.columns))) for matrix in told]
    return Narrow.of(joined(told[0].series, told[0].catalogue, whole))


@pytest.mark.parametrize("traffic", ["zipf", "dense"])
@pytest.mark.parametrize("seed", range(8))
def test_the_same_is_kept(seed: int, traffic: str) -> None:
    """Cell by cell, as narrow, and with no more identities: leaders flip, rows are silent, counts are wide."""
    told = one_by_one(Shape(3, ROWS, COLUMNS, traffic=traffic, seed=seed))
    narrow, expected = stacked(told), of_joined(told)
    assert narrow is not None
    for name in ("columns", "values", "identities"):
        own, other = getattr(narrow, name), getattr(expected, name)
        assert (own.dtype, own.tolist()) == (other.dtype, other.tolist())
    assert narrow.codes is not None
    assert expected.codes is not None
    assert (narrow.codes.dtype, narrow.codes.tolist()) == (expected.codes.dtype, expected.codes.tolist())
    assert narrow.values.flags.c_contiguous
    assert (narrow.soft, narrow.conflicts, len(narrow.shares)) == (None, None, 0)


def test_anything_else_is_not_stacked() -> None:
    """Several columns, shares, marks, cells without leaders, columns that were kept before, and nothing at all."""
    plain = one_by_one(Shape(3, ROWS, COLUMNS, flips=False))
    assert stacked(plain) is not None
    assert stacked([]) is None
    assert stacked([*plain[:-1], Narrow.of(plain[-1])]) is None
    assert stacked([*plain, sent(cluster(Shape(3, ROWS, COLUMNS, flips=False))[0], slice(0, 2))]) is None
    assert stacked(one_by_one(Shape(3, ROWS, COLUMNS, series=Series.READS))) is None
    assert stacked(one_by_one(Shape(3, ROWS, COLUMNS, traffic="idle"))) is None
    assert stacked(one_by_one(Shape(1, ROWS, COLUMNS))) is None
    marks = np.zeros(plain[0].shape, np.bool_)
    marks[3] = True
    assert stacked([*plain, replace(plain[0], soft=marks)]) is None
    assert stacked([*plain, replace(plain[0], conflicts=marks)]) is None
