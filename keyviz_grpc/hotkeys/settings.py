"""How hot keys are recorded, validated once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyviz_grpc.errors import SettingError

LARGEST_KEY_BYTES: Final = 64 << 10
FULL: Final = 0.75
"""The part of a sketch's map that is used."""

_SKETCH_BYTES: Final = 1024
_ENTRY_BYTES: Final = 224
_FEWEST_KEYS: Final = 6
_SHORTEST_KEY: Final = 32


def cost_bytes(counters: int, number: int, longest: int) -> tuple[int, int, int]:
    """(bytes, most, length): what a sketch takes that holds up to `most` different keys of up to `length` bytes.

    An upper bound. most and length are the next powers (times 6, and of two) that suffice for `number` and `longest`.
    A key is held twice as long, as UTF-8, or with the room that a dictionary needs for it.
    """
    full = int(FULL * counters)
    most = _FEWEST_KEYS
    while most < min(number, full):
        most *= 2
    length = max(_SHORTEST_KEY, 1 << max(0, longest - 1).bit_length())
    held = min(most, full)
    return _SKETCH_BYTES + held * (_ENTRY_BYTES + 2 * length), 1 << 62 if held == full else most, length


@dataclass(frozen=True, slots=True)
class HotKeysSettings:
    """How a node records hot keys. Raises SettingError for values that make no sense, naming them.

    sample_one_in: each operation is looked at with probability 1 / n. max_key_bytes: longer keys are counted as
    skipped. counters: size of a sketch's map, a power of two; a sketch of N operations is off by at most
    3.5 / counters * N. memory_bytes: half for the sketches of open windows, half for closed windows. windows: how many
    closed ones are held at most. max_pending: operations that may wait for being taken in, one with a long key
    counting as one more for every 256 bytes of it; more are dropped.
    """

    sample_one_in: int = 1
    max_key_bytes: int = 1024
    counters: int = 1024
    memory_bytes: int = 128 << 20
    windows: int = 1440
    max_pending: int = 1 << 17

    def __post_init__(self) -> None:
        for name, least, most in (
            ("sample_one_in", 1, 1 << 20),
            ("max_key_bytes", 1, LARGEST_KEY_BYTES),
            ("counters", 8, 1 << 16),
            ("memory_bytes", 1 << 20, 1 << 40),
            ("windows", 1, 1_000_000),
            ("max_pending", 1, 1 << 24),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise SettingError(f"{name}={value} must be from {least} to {most}")
        if self.counters & (self.counters - 1):
            raise SettingError(f"counters={self.counters} must be a power of two")
        full, *_ = cost_bytes(self.counters, self.counters, self.max_key_bytes)
        if full > self.memory_bytes // 2:
            raise SettingError(
                f"memory_bytes={self.memory_bytes} must be at least {2 * full}, so that one sketch of "
                f"{self.counters} counters with keys of {self.max_key_bytes} bytes fits into half of it"
            )
