"""Many numbers at once, against protobuf itself."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.codec.varints import varints
from keyviz_grpc.proto import keyviz_pb2 as pb

EDGES = [edge + off for edge in (1 << 7, 1 << 14, 1 << 21, 1 << 28) for off in (-1, 0, 1)]


@pytest.mark.parametrize("numbers", [[0], [127, 0, 1], [128], [0, *EDGES, 1], [2**32 - 1, 0], EDGES[::-1]])
def test_a_field_of_numbers_is_as_protobuf_packs_it(numbers: list[int]) -> None:
    """Of any widths, side by side."""
    field = as_field(pb.KeyVizColumnar.RUN_CODES_FIELD_NUMBER, [varints(np.array(numbers, np.uint32))])
    assert b"".join(field) == pb.KeyVizColumnar(run_codes=numbers).SerializeToString()


def test_no_numbers_take_no_bytes() -> None:
    """As an empty field, which is not sent."""
    assert varints(np.empty(0, np.uint32)) == b""
