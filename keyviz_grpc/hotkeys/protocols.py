"""The seams of hot keys: who can be asked for them, in this process and over the network."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.hotkeys.answer import HotKeysAnswer
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.outcome import Outcome


@runtime_checkable
class HotKeysSource(Protocol):
    """A `Source` that may record hot keys. Thread-safe; may take milliseconds of CPU."""

    def hot_keys(self, query: HotKeysQuery) -> HotKeysAnswer:
        """This node's own view, every candidate, whatever `query.top` says; one outcome with an empty address.

        `query.node_id`, when given and not this node's, yields nothing. Raises HotKeysDisabled, SamplerDisabled.
        """
        ...


@runtime_checkable
class HotKeysPeer(Protocol):
    """A `Peer` that can be asked for hot keys. Failures are values; only cancellation raises."""

    address: str

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline, budget: BytesBudget) -> HotKeysAnswer | Outcome:
        """Its answer with outcomes that carry address and latency, or why there is none."""
        ...
