"""Frozen samples of the packed form: another program's decoder was written for exactly these bytes.

Each file in tests/data/packed holds a serialized answer in hex and what it says, in plain lists. A change of layout
must come with another version or with optional fields, and with samples of its own; these stay.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keyviz_grpc.codec import decode_answer, encode_answer
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "packed").glob("*.json"))


def plainly(answer: Answer) -> dict[str, Any]:
    """What an answer says, cell by cell."""
    matrix = answer.matrix
    table = matrix.identities.tolist()
    shares = matrix.shares
    cells = zip(
        shares.rows.tolist(), shares.columns.tolist(), shares.codes.tolist(), shares.values.tolist(), strict=True
    )
    return {
        "columns": matrix.columns.tolist(),
        "rows": [[row.bucket_id, row.start.hex(), row.end.hex()] for row in matrix.catalogue.rows],
        "values": matrix.values.tolist(),
        "identities": None
        if matrix.codes is None
        else [[table[code] for code in row] for row in matrix.codes.tolist()],
        "shares": [[row, column, table[code], value] for row, column, code, value in cells],
        "soft": None if matrix.soft is None else matrix.soft.tolist(),
        "conflicts": None if matrix.conflicts is None else matrix.conflicts.tolist(),
    }


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_a_frozen_sample_says_what_it_said_and_is_written_the_same(path: Path) -> None:
    """Read, it means what stands beside it; written again, it has the same bytes."""
    sample = json.loads(path.read_text(encoding="utf-8"))
    raw = bytes.fromhex(sample["packed"])
    series = Series(sample["series"])
    answer = decode_answer(pb.GetKeyVizMatrixResponse.FromString(raw), series=series, outcome=Outcome("peer:1"))
    assert plainly(answer) == sample["says"]
    again = encode_answer(answer, accept=(pb.MATRIX_ENCODING_COLUMNAR,))
    assert again.columnar.SerializeToString(deterministic=True) == (
        pb.GetKeyVizMatrixResponse.FromString(raw).columnar.SerializeToString(deterministic=True)
    )


def test_every_part_of_the_form_is_in_a_sample() -> None:
    """All widths, runs, shares, soft marks and conflicts: what no sample has, nothing pins."""
    seen: set[int] = set()
    widths: set[int] = set()
    for path in SAMPLES:
        raw = bytes.fromhex(json.loads(path.read_text(encoding="utf-8"))["packed"])
        packed = pb.GetKeyVizMatrixResponse.FromString(raw).columnar
        seen.update(field.number for field, _ in packed.ListFields())
        widths.update(packed.widths)
    assert seen == {field.number for field in pb.KeyVizColumnar.DESCRIPTOR.fields}
    assert widths == {0, 1, 2, 4, 8}
