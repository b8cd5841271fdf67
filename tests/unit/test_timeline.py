"""Things by stamp."""

from __future__ import annotations

import pytest

from keyviz_grpc.timeline import Timeline


def line(*stamps: int) -> Timeline[str]:
    """Put there in this order."""
    made: Timeline[str] = Timeline()
    for stamp in stamps:
        made.set(stamp, f"at {stamp}")
    return made


def test_stamps_ascend_in_whatever_order_they_came() -> None:
    """Also through the ends that are told; an empty one tells 0."""
    made = line(30, 10, 20)
    assert [stamp for stamp, _ in made] == [10, 20, 30]
    assert (made.oldest_unix_ms, made.newest_unix_ms, len(made)) == (10, 30, 3)
    assert (line().oldest_unix_ms, line().newest_unix_ms, len(line())) == (0, 0, 0)


def test_a_stamp_has_one_thing() -> None:
    """The one that came last."""
    made = line(10, 20)
    made.set(10, "new")
    assert list(made) == [(10, "new"), (20, "at 20")]
    assert (made.get(10), made.get(15)) == ("new", None)


@pytest.mark.parametrize(
    ("from_", "to", "stamps"),
    [(0, 0, [10, 20, 30]), (20, 0, [20, 30]), (0, 20, [10]), (10, 30, [10, 20]), (21, 22, []), (31, 0, [])],
)
def test_a_stretch_begins_at_its_first_stamp_and_ends_before_its_last(from_: int, to: int, stamps: list[int]) -> None:
    """0 = unbounded."""
    assert [stamp for stamp, _ in line(10, 20, 30).between(from_, to)] == stamps


def test_the_oldest_goes_first() -> None:
    """Until there is none."""
    made = line(20, 10)
    assert [made.pop_oldest(), made.pop_oldest()] == ["at 10", "at 20"]
    with pytest.raises(IndexError):
        made.pop_oldest()
