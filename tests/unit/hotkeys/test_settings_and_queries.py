"""Questions and settings that make no sense."""

from __future__ import annotations

import pytest

from keyviz_grpc.errors import InvalidRequest, SettingError
from keyviz_grpc.hotkeys import HotKeysQuery, HotKeysSettings
from keyviz_grpc.model import Series


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"route_id": 0}, "route_id=0"),
        ({"route_id": 2**64}, "route_id"),
        ({"route_id": 1, "series": Series.READ_BYTES}, "series='read_bytes'"),
        ({"route_id": 1, "top": -1}, "top=-1"),
        ({"route_id": 1, "sub_bucket": -1}, "sub_bucket=-1"),
    ],
)
def test_a_question_that_makes_no_sense_names_field_and_value(values: dict[str, object], named: str) -> None:
    """The caller's mistake."""
    with pytest.raises(InvalidRequest, match=named):
        HotKeysQuery(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"sample_one_in": 0},
        {"max_key_bytes": 0},
        {"max_key_bytes": (64 << 10) + 1},
        {"counters": 1000},
        {"counters": 4},
        {"memory_bytes": 1000},
        {"memory_bytes": 2 << 20},
        {"windows": 0},
        {"max_pending": 0},
    ],
)
def test_a_setting_that_makes_no_sense_names_itself(values: dict[str, int]) -> None:
    """Checked once."""
    with pytest.raises(SettingError, match=f"{next(iter(values))}={next(iter(values.values()))}"):
        HotKeysSettings(**values)
