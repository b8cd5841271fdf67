"""Answers as bytes, against the messages that they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import answer_bytes, columnar, encode_answer, ready_before
from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.outcome import Answer, History
from keyviz_grpc.proto import keyviz_pb2 as pb

COLUMNAR = (pb.MATRIX_ENCODING_COLUMNAR,)
ONE, OTHER = cluster(Shape(2, 4, 3))
TOLD = replace(ONE, revision=5, oldest_unix_ms=7, generated_at_unix_ms=300, history=History(9, 11))


@pytest.mark.parametrize(
    "answer",
    [
        TOLD,
        replace(TOLD, revision=6),
        replace(TOLD, generated_at_unix_ms=0),
        replace(TOLD, generated_at_unix_ms=2**63 - 1),
        replace(TOLD, incarnation=TOLD.incarnation + 1),
        replace(TOLD, oldest_unix_ms=8),
        replace(TOLD, history=None),
        replace(TOLD, history=History(9, 12)),
        replace(TOLD, history=History(9, 11, 10, 2)),
        replace(TOLD, leaf_answers=((0, OTHER),)),
        replace(TOLD, merged=True),
    ],
)
def test_the_bytes_of_an_answer_are_those_of_its_message(answer: Answer) -> None:
    """Whatever of it was put into bytes before, for another answer of that node."""
    message = encode_answer(answer, accept=COLUMNAR)
    assert pb.GetKeyVizMatrixResponse.FromString(answer_bytes(answer, accept=COLUMNAR)) == message
    ready = ready_before(replace(answer, generated_at_unix_ms=1), accept=COLUMNAR)
    assert ready is not None
    assert pb.GetKeyVizMatrixResponse.FromString(ready.made_at(answer.generated_at_unix_ms)) == message


def test_little_is_packed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """But neither many cells or shares, nor rows that were never told in bytes, which take longer than all cells."""
    (whole,) = cluster(Shape(1, 40, 3))
    cells, shares = whole.matrix.cells, len(whole.matrix.shares)
    assert shares
    told = replace(whole, matrix=replace(whole.matrix, catalogue=Catalogue(whole.matrix.catalogue.rows)))
    assert ready_before(told, accept=COLUMNAR) is None
    raw = answer_bytes(told, accept=COLUMNAR)
    for most_cells, most_shares in ((cells, shares), (cells - 1, shares), (cells, shares - 1)):
        monkeypatch.setattr(columnar, "PACKED_AT_ONCE_CELLS", most_cells)
        monkeypatch.setattr(columnar, "PACKED_AT_ONCE_SHARES", most_shares)
        other = replace(told.matrix, values=told.matrix.values.copy())
        ready = ready_before(replace(told, matrix=other), accept=COLUMNAR)
        assert (ready is not None) == (most_cells == cells and most_shares == shares)
        assert ready is None or ready.made_at(told.generated_at_unix_ms) == raw


def test_packed_forms_without_cells_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tells of all its rows, and whoever asks for windows without columns may have any number of them made."""
    rows = TOLD.matrix.catalogue
    monkeypatch.setattr(columnar, "_cells", KeptByIdentity[columnar._Cells](2 * (len(rows) + columnar.ENTRY_CELLS)))
    first, *others = [
        Matrix(Series.WRITES, np.empty(0, np.int64), rows, np.empty((len(rows), 0), np.uint64)) for _ in range(3)
    ]
    packed = columnar.encode_columnar(first)
    assert columnar.encode_columnar(first) is packed
    for other in others:
        columnar.encode_columnar(other)
    assert columnar.encode_columnar(first) is not packed


def test_cells_are_packed_once_for_rows_of_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With roles and without; they weigh once, and both find what was packed for them, whoever asks in between."""
    packed, whole = [], columnar._encode

    def packing(matrix: Matrix) -> Sequence[bytes]:
        packed.append(matrix)
        return whole(matrix)

    monkeypatch.setattr(columnar, "_encode", packing)
    matrix = OTHER.matrix
    weight = matrix.cells + len(matrix.catalogue) + columnar.ENTRY_CELLS
    monkeypatch.setattr(columnar, "_cells", KeptByIdentity[columnar._Cells](weight))
    plain = Catalogue(tuple(replace(row, sample_roles=(), lineage_id="other") for row in matrix.catalogue.rows))
    both = [replace(OTHER, matrix=replace(matrix, catalogue=rows)) for rows in (matrix.catalogue, plain)]
    first, second = [[answer_bytes(answer, accept=COLUMNAR) for answer in both] for _ in range(2)]
    assert first == second
    assert len(packed) == 1
    assert [pb.GetKeyVizMatrixResponse.FromString(raw) for raw in first] == [
        encode_answer(answer, accept=COLUMNAR) for answer in both
    ]
    assert first[0] != first[1]
    assert columnar.encoded_columnar(both[0].matrix) is columnar.encode_columnar(both[0].matrix)


def test_the_row_form_leaves_narrow_counts_narrow() -> None:
    """A matrix that a node keeps does not become eight times as large because one person asks with grpcurl."""
    wide = ONE.matrix
    counts = wide.values.astype(np.uint32)
    matrix = Matrix.of_counts(wide.series, wide.columns, wide.catalogue, counts, wide.codes, identities=wide.identities)
    told = encode_answer(replace(ONE, matrix=matrix))
    assert [list(row.values) for row in told.rows] == wide.values.tolist()
    assert not matrix.is_filled("values")
