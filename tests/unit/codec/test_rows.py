"""What a row is, told by peers of any version."""

from __future__ import annotations

import pytest

from keyviz_grpc.codec.rows import _few_roles, decode_row
from keyviz_grpc.proto import keyviz_pb2 as pb


@pytest.mark.parametrize(
    ("told", "roles"),
    [
        ([], ()),
        ([3, 1], (1, 3)),
        ([2, 2], (2,)),
        ([77, 2, -5], (2,)),
        ([3, 2, 77, 1] * 1000, (1, 2, 3)),
    ],
)
def test_roles_ascend_and_unknown_ones_are_passed_over(told: list[int], roles: tuple[int, ...]) -> None:
    """In whatever order and however often they are told."""
    message = pb.KeyVizRow(bucket_id="route:1", sample_roles=[pb.SampleRole.ValueType(role) for role in told])
    assert [decode_row(message).sample_roles for _ in range(2)] == [roles] * 2


def test_long_lists_of_roles_are_not_kept() -> None:
    """What a peer sends is held no longer than its answer."""
    kept = _few_roles.cache_info().currsize
    for length in range(5, 50):
        decode_row(pb.KeyVizRow(bucket_id="route:1", sample_roles=[pb.SampleRole.ValueType(1)] * length))
    assert _few_roles.cache_info().currsize == kept
