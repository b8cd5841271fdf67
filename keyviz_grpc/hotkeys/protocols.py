"""The seams of hot keys: who can be asked for them, in this process and over the network."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias, runtime_checkable

from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.hotkeys.answer import HotKeysAnswer
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.outcome import Outcome

GivenUp: TypeAlias = Callable[[], bool]
"""Whether nobody waits for an answer any more; cheap, from any thread."""


def waited_for() -> bool:
    """The `GivenUp` of one who waits to the end."""
    return False


@contextlib.contextmanager
def waiting() -> Iterator[GivenUp]:
    """The `GivenUp` of one who waits inside the block, for a thread that may be still at it afterwards."""
    gone = threading.Event()
    try:
        yield gone.is_set
    finally:
        gone.set()


@runtime_checkable
class HotKeysSource(Protocol):
    """A `Source` that may record hot keys. Thread-safe; may take a second of CPU."""

    def hot_keys(self, query: HotKeysQuery, given_up: GivenUp = waited_for) -> HotKeysAnswer:
        """This node's own view, every candidate, whatever `query.top` says; one outcome with an empty address.

        `query.node_id`, when given and not this node's, yields nothing. Raises HotKeysDisabled, SamplerDisabled,
        NobodyWaits soon after `given_up` says so.
        """
        ...


@runtime_checkable
class HotKeysPeer(Protocol):
    """A `Peer` that can be asked for hot keys. Failures are values; only cancellation raises."""

    address: str

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline, budget: BytesBudget) -> HotKeysAnswer | Outcome:
        """Its answer with outcomes that carry address and latency, or why there is none."""
        ...
