"""Values of which many are made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.unchanging import unchanging


@unchanging(frozen=True, slots=True)
class Pair:
    """Two numbers."""

    left: int
    right: int = 2


def test_they_count_by_what_they_hold() -> None:
    """As frozen dataclasses do: equal ones are one key, and one of them becomes another by `replace`."""
    assert {Pair(1): "a"}[Pair(1, 2)] == "a"
    assert replace(Pair(1), right=3) == Pair(1, 3) != Pair(1)


@pytest.mark.parametrize("kind", [Pair, Outcome, Answer])
def test_they_have_no_room_for_more(kind: type[object]) -> None:
    """A value with a misspelt field would be taken for one without it."""
    with pytest.raises(AttributeError):
        object.__new__(kind).mispelt = 1  # type: ignore[attr-defined]
