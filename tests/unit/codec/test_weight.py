"""What an answer will take, told from its message."""

from __future__ import annotations

from typing import Any

import pytest

from keyviz_grpc.bytes_budget import HELD_CELL_BYTES
from keyviz_grpc.codec import leaves_bytes, weight_of
from keyviz_grpc.codec.weight import FEW_CELLS, FEW_ENTRIES, ROW_BYTES, SHARE_BYTES
from keyviz_grpc.proto import keyviz_pb2 as pb

Response = pb.GetKeyVizMatrixResponse


def packed(rows: int, columns: int = 1, shares: int = 0) -> Response:
    """An answer in packed form."""
    columnar = pb.KeyVizColumnar(widths=bytes(rows), share_values=[1] * shares)
    return Response(column_unix_ms=range(1, columns + 1), columnar=columnar)


def test_both_forms_weigh_the_same() -> None:
    """Rows, their cells, and shares."""
    rows = Response(column_unix_ms=[1, 2], rows=[pb.KeyVizRow()] * 3, shares=[pb.KeyVizShare()] * 4)
    held = 3 * (ROW_BYTES + 2 * HELD_CELL_BYTES) + 4 * SHARE_BYTES
    assert weight_of(rows) == weight_of(packed(3, 2, shares=4)) == (held, True)


def test_what_leaves_answered_counts() -> None:
    """However deep they stand in each other, for nothing was checked yet."""
    inner = pb.LeafAnswer(answer=Response(leaf_answers=[pb.LeafAnswer(answer=packed(5))]))
    assert leaves_bytes(Response(leaf_answers=[inner, inner])) == 2 * weight_of(packed(5)).decoded_bytes


def test_leaves_are_not_looked_at_to_tell_whether_it_is_little() -> None:
    """An answer of a quarter of a megabyte has room for so many that looking at each takes a tenth of a second."""
    held_up = Response(leaf_answers=[pb.LeafAnswer(answer=packed(5))])
    assert weight_of(held_up) == (0, False)


@pytest.mark.parametrize(
    ("response", "options"),
    [
        (packed(FEW_ENTRIES + 1), {}),
        (packed(2, FEW_CELLS // 2 + 1), {}),
        (packed(2, FEW_CELLS // 2 + 1), {"rows_known": True}),
        (Response(rows=[pb.KeyVizRow()] * (FEW_ENTRIES + 1)), {"rows_known": True}),
        (Response(shares=[pb.KeyVizShare()] * (FEW_ENTRIES + 1)), {}),
        (Response(conflicts=[pb.KeyVizConflicts()] * (FEW_ENTRIES + 1)), {}),
        (Response(leaf_answers=[pb.LeafAnswer()]), {}),
        (Response(outcomes=[pb.KeyVizOutcome()]), {}),
    ],
)
def test_many_of_anything_are_much(response: Response, options: dict[str, Any]) -> None:
    """And so is what an aggregator answers."""
    assert not weight_of(response, **options).is_little


def test_few_are_little() -> None:
    """As many rows as there may be cells, where they are known."""
    assert weight_of(packed(FEW_ENTRIES)).is_little
    assert weight_of(packed(2, FEW_CELLS // 2)).is_little
    assert weight_of(packed(FEW_CELLS), rows_known=True).is_little
