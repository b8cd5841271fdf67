"""Which ways through aggregators are gone, and who shares one fan-out."""

from __future__ import annotations

import pytest

from keyviz_grpc.aggregator.way import check_way
from keyviz_grpc.codec import decode_query, encode_query
from keyviz_grpc.deadline import MOST_HURRY, Deadline
from keyviz_grpc.errors import InvalidRequest, LoopRefused
from keyviz_grpc.query import MAX_VIA, MatrixQuery


def test_the_deepest_way_is_refused_by_the_aggregator_that_could_not_hand_it_on() -> None:
    """Not by the peer below it, whose failure would be taken for the peer's own."""
    names = [f"a{number}" for number in range(MAX_VIA)]
    check_way("me", names[1:])
    assert decode_query(encode_query(MatrixQuery(via=(*names[1:], "me")))).via[-1] == "me"
    with pytest.raises(InvalidRequest, match=f"via={MAX_VIA}"):
        check_way("me", names)
    with pytest.raises(LoopRefused, match="'a3'"):
        check_way("a3", names)


@pytest.mark.parametrize(
    ("left_s", "halvings"),
    [(100.0, 0), (5.0, 0), (4.9, 1), (2.5, 1), (2.4, 2), (1.25, 2), (0.001, 13), (1e-9, MOST_HURRY), (0.0, MOST_HURRY)],
)
def test_hurry_tells_how_often_the_time_of_a_fan_out_is_halved(left_s: float, halvings: int) -> None:
    """Four seconds for peers, which are four fifths of what is left."""
    assert Deadline(left_s, lambda: 0.0).hurry(4.0, 0.8) == halvings
