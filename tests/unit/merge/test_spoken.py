"""Under which leaders rows stand, found from runs that begin and end where they like."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.merge import merge
from keyviz_grpc.merge.spoken import Spoken
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery

NOBODY = 0


@pytest.mark.parametrize(
    ("lengths", "leading"),
    [
        ([2, 2, 2, 1], [5, 6, 7, NOBODY]),  # a run a row
        ([1, 1, 4, 1], [-1, 7, 7, NOBODY]),  # two in the first row, one over the others
        ([4, 1, 1, 1], [5, 5, -1, NOBODY]),
        ([2, 3, 1, 1], [5, 6, -1, NOBODY]),
    ],
)
def test_rows_of_one_leader_are_told_by_where_runs_end(lengths: list[int], leading: list[int]) -> None:
    """As many runs as rows may be cut otherwise than rows are."""
    codes = np.array([5, 6, 7, NOBODY], np.uint16)
    spoken = Spoken.found(codes, np.array(lengths, np.int64), np.array([2, 2, 2], np.int64))
    assert spoken.of.tolist() == leading
    assert spoken.several.tolist() == [row for row, code in enumerate(leading) if code < 0]


def test_more_identities_than_two_bytes_tell() -> None:
    """The last of them leads, and not the one whose code has the same low bytes."""
    identities = np.array([[0, 0], *([1, term] for term in range(1, (1 << 16) + 2))], np.uint64)
    rows, codes = Catalogue((Row("route:1", b"a", b"b"),)), np.array([[len(identities) - 1]], np.uint32)
    parts = [
        Answer(
            Matrix(Series.WRITES, np.array([1000]), rows, np.array([[count]], np.uint64), identities, codes),
            (Outcome(name),),
            node_id=name,
            step_ms=1000,
        )
        for name, count in (("n1", 4), ("n2", 3))
    ]
    matrix = merge(parts, query=MatrixQuery(for_display=True), now_unix_ms=3000).matrix
    assert matrix.codes is not None
    assert matrix.identities[matrix.codes[0, 0]].tolist() == [1, (1 << 16) + 1]
