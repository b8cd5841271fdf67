"""What may be the id of a request."""

from __future__ import annotations

import pytest

from keyviz_grpc.request_id import MAX_CHARS, sane_request_id

LONGEST = "a1" * (MAX_CHARS // 2)


@pytest.mark.parametrize("offered", ["a", "0", "Za09", "a.b-c_d", "-", "...", LONGEST, f"{LONGEST[1:]}-"])
def test_a_sane_one_is_taken(offered: str) -> None:
    """As it is."""
    assert sane_request_id(offered) == offered


@pytest.mark.parametrize(
    "offered",
    ["", " ", "a b", "a\n", "\na", "é", "٣", "a/b", LONGEST + "a", LONGEST + "-", "x" * 5000],
)
def test_any_other_is_replaced(offered: str) -> None:
    """By one that nobody else has."""
    made = sane_request_id(offered), sane_request_id(offered)
    assert len({offered, *made}) == 3
    assert [sane_request_id(one) for one in made] == list(made)
