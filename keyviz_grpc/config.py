"""Settings of the fan-out, validated once."""

from __future__ import annotations

from dataclasses import dataclass

from keyviz_grpc.errors import SettingError


@dataclass(frozen=True, slots=True)
class FanoutSettings:
    """How peers are asked. Raises SettingError for values that make no sense, naming them.

    timeout_s: seconds one peer may take, never more than 80 % of what the caller has left. max_message_bytes: an
    answer over this is not used. max_total_bytes: what all answers of one request, and what is made of them, may hold
    in memory together; max_held_bytes: the same of all requests that are under way.
    max_in_flight_peers: calls at once; max_requests: fan-outs of all kinds at once, one more is refused.
    """

    timeout_s: float = 2.0
    max_message_bytes: int = 64 << 20
    max_total_bytes: int = 2 << 30
    max_held_bytes: int = 2 << 30
    max_in_flight_peers: int = 256
    max_requests: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.timeout_s <= 600:
            raise SettingError(f"timeout_s={self.timeout_s} must be above 0 and at most 600")
        for name in ("max_message_bytes", "max_total_bytes", "max_held_bytes", "max_in_flight_peers", "max_requests"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} must be at least 1")
        if self.max_total_bytes > self.max_held_bytes:
            raise SettingError(
                f"max_total_bytes={self.max_total_bytes} of one request must be at most the "
                f"max_held_bytes={self.max_held_bytes} of all"
            )
