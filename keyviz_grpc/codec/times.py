"""Times and durations that came over the wire: none that arithmetic or a calendar cannot hold."""

from __future__ import annotations

import math
from typing import Final

from keyviz_grpc.errors import MalformedAnswer

MAX_STEP_MS: Final = 366 * 86_400_000
MAX_UNIX_MS: Final = 253_402_300_799_999
"""The end of the year 9999, which every calendar can write; sums with what lies beyond would wrap."""


def moment_ms(field: str, value: int) -> int:
    """Unix milliseconds as they are, 0 = not stated; raises MalformedAnswer naming the field for what is no time."""
    if not 0 <= value <= MAX_UNIX_MS:
        raise MalformedAnswer(f"{field} {value} is not between 0 and {MAX_UNIX_MS}")
    return value


def step_ms(field: str, value: int) -> int:
    """A column's length in milliseconds, 0 = not stated; raises MalformedAnswer naming the field for a wrong one."""
    if not 0 <= value <= MAX_STEP_MS:
        raise MalformedAnswer(f"{field} {value} is not between 0 and {MAX_STEP_MS}")
    return value


def latency_ms(field: str, value: float) -> float:
    """Milliseconds that a call took; raises MalformedAnswer naming the field for what is no duration."""
    if not math.isfinite(value) or not 0 <= value <= MAX_UNIX_MS:
        raise MalformedAnswer(f"{field} {value} is not a duration")
    return value
