"""Identities of the packed form, told by peers that mean no good."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keyviz_grpc.codec import decode_answer, parse_response
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.merge import merge
from keyviz_grpc.model import Matrix, Series
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.traffic import Busy


def told(codes: list[int], lengths: list[int]) -> Matrix:
    """Two rows of three columns: 1 2 0 and 0 0 3, of two identities."""
    rows = [pb.KeyVizRow(bucket_id=name, start=name.encode(), end=(name + "x").encode()) for name in ("a", "b")]
    message = pb.GetKeyVizMatrixResponse(column_unix_ms=[1000, 2000, 3000], node_id="n1", step_ms=1000)
    packed = message.columnar
    packed.version, packed.widths, packed.values = 1, b"\1\2", b"\1\2\0" + np.array([0, 0, 3], "<u2").tobytes()
    packed.catalogue = pb.KeyVizCatalogue(rows=rows).SerializeToString()
    packed.identity_groups.extend([7, 8])
    packed.identity_terms.extend([1, 1])
    packed.run_codes.extend(codes)
    packed.run_lengths.extend(lengths)
    return decode_answer(message, series=Series.WRITES, outcome=Outcome("p")).matrix


@pytest.mark.parametrize(
    ("codes", "lengths", "words"),
    [
        ([1], [2], "do not cover"),
        ([1], [4], "do not cover"),
        ([1, 2], [3], "do not cover"),
        ([1], [1, 2], "do not cover"),
        ([1], [], "do not cover"),
        ([], [3], "do not cover"),
        ([1, 1], [2**32 - 1, 4], "do not cover"),
        ([3], [3], "names identity 3 of 3"),
        ([1, 2**32 - 1], [3, 0], "names identity 4294967295 of 3"),
    ],
)
def test_runs_that_fit_nothing_are_named(codes: list[int], lengths: list[int], words: str) -> None:
    """Too few and too many cells, one list longer than the other, and identities that are not in the table."""
    with pytest.raises(MalformedAnswer, match=words):
        told(codes, lengths)


def test_runs_of_no_cell_are_not_held() -> None:
    """There may be as many of them as a message holds bytes."""
    matrix = told([2, 1, 2, 2, 1], [0, 1, 0, 2, 0])
    assert matrix.busy is not None
    assert matrix.busy.runs is not None
    assert (matrix.busy.runs.codes.tolist(), matrix.busy.runs.lengths.tolist()) == ([1, 2], [1, 2])
    assert matrix.codes is not None
    assert matrix.codes.tolist() == [[1, 2, 0], [0, 0, 2]]


def test_no_array_can_be_written_to() -> None:
    """As it came, read cell by cell, and merged."""
    matrix = told([1, 2], [1, 2])
    answer = decode_answer(pb.GetKeyVizMatrixResponse(), series=Series.WRITES, outcome=Outcome("q"))
    whole = merge([answer], query=MatrixQuery(Series.WRITES), now_unix_ms=1).matrix
    assert matrix.busy is not None
    assert matrix.busy.runs is not None
    leaders = matrix.row_leaders()
    found: list[Any] = [matrix.values, matrix.codes, matrix.identities, matrix.columns, whole.values]
    found += [each for strip in matrix.busy.strips for each in (strip.rows, strip.values)]
    found += [matrix.busy.runs.codes, matrix.busy.runs.lengths]
    assert leaders is not None
    for array in (*found, leaders.of, leaders.codes, leaders.whole):
        assert not array.flags.writeable


@pytest.mark.parametrize("largest", [3, 300])
def test_no_array_of_an_answer_in_rows_can_be_written_to(largest: int) -> None:
    """Also where some counts take more bytes than others, and are put in their places afterwards."""
    groups, terms = [7, 8], [1, 1]
    rows = [
        pb.KeyVizRow(bucket_id=name, start=name.encode(), values=values, raft_group_ids=groups, leader_terms=terms)
        for name, values in (("a", [1, 2]), ("b", [largest, 0]))
    ]
    raw = pb.GetKeyVizMatrixResponse(column_unix_ms=[1000, 2000], rows=rows, node_id="n1").SerializeToString()
    matrix = decode_answer(parse_response(raw), series=Series.WRITES, outcome=Outcome("p")).matrix
    assert matrix.busy is not None
    assert matrix.busy.runs is not None
    (strip,) = matrix.busy.strips
    assert strip.values.tolist() == [[1, 2], [largest, 0]]
    for array in (strip.rows, strip.values, matrix.busy.runs.codes, matrix.busy.runs.lengths):
        assert not array.flags.writeable


def test_no_array_of_what_was_found_can_be_written_to() -> None:
    """Of cells that are there one by one; and those stay as they were, whoever writes to them."""
    values, codes = np.array([[1, 0], [0, 0], [2, 3]], np.uint8), np.array([[1, 0], [0, 0], [2, 2]], np.uint32)
    busy = Busy.found(values, codes)
    (strip,) = busy.strips
    assert busy.runs is not None
    for array in (strip.rows, strip.values, busy.runs.codes, busy.runs.lengths):
        assert not array.flags.writeable
    assert values.flags.writeable
    assert codes.flags.writeable
