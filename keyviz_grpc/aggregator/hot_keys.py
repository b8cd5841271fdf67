"""The fan-out for hot keys: every peer is asked for all its candidates, and what comes is added up."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from keyviz_grpc.aggregator.flights import Questions
from keyviz_grpc.aggregator.left_out import LeftOut
from keyviz_grpc.aggregator.local import SELF, LocalCalls
from keyviz_grpc.aggregator.observer import Observer
from keyviz_grpc.aggregator.turns import Turns
from keyviz_grpc.aggregator.way import check_way, no_usable
from keyviz_grpc.bytes_budget import HELD_KEY_BYTES, BytesBudget
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind, HotKeysDisabled, SamplerDisabled
from keyviz_grpc.hotkeys.answer import KEY_BYTES, HotKeysAnswer
from keyviz_grpc.hotkeys.merge import merge_hot_keys, repeated_leaves
from keyviz_grpc.hotkeys.protocols import GivenUp, HotKeysPeer, HotKeysSource, waiting
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.peers.protocols import Membership, Peer, named
from keyviz_grpc.source import Source
from keyviz_grpc.tracing import span

_Part: TypeAlias = HotKeysAnswer | Outcome
InThread: TypeAlias = Callable[[Callable[[], HotKeysAnswer]], Awaitable[HotKeysAnswer]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the fan-out shares with the aggregator that it belongs to.

    wall_clock: unix seconds. budget: what one request may hold, until the end of its block.
    """

    node_id: str
    incarnation: int
    membership: Membership
    settings: FanoutSettings
    local: Source | None
    local_calls: LocalCalls
    turns: Turns
    in_thread: InThread
    wall_clock: Callable[[], float]
    share: float
    observer: Observer
    questions: Questions[HotKeysQuery, HotKeysAnswer]
    budget: Callable[[], BytesBudget]


class HotKeysFanout:
    """Asks for hot keys; for one event loop."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._here = surroundings
        self._left_out: LeftOut[Peer, HotKeysAnswer] = LeftOut(repeated_leaves)

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline) -> HotKeysAnswer:
        """See `Cluster`. Identical queries in flight share one fan-out, whatever their `top`."""
        check_way(self._here.node_id, query.via)
        every = replace(query, top=0, max_bytes=0)  # whoever answers cuts
        answer = await self._here.questions.join(every, deadline, lambda: self._ask_and_merge(every, deadline))
        _check_usable(answer.outcomes)
        return answer

    async def _ask_and_merge(self, query: HotKeysQuery, deadline: Deadline) -> HotKeysAnswer:
        with self._here.budget() as budget:
            answer = await self._merged(query, deadline, budget)
            budget.hand_on(HELD_KEY_BYTES * len(answer.keys), answer)
            return answer

    async def _merged(self, query: HotKeysQuery, deadline: Deadline, budget: BytesBudget) -> HotKeysAnswer:
        with span("keyviz.fan_out", series=query.series.value):
            parts = await self._ask_all(query, deadline, budget)
        now = int(self._here.wall_clock() * 1000)

        def build() -> HotKeysAnswer:
            with budget.in_use():
                return merge_hot_keys(
                    parts,
                    query=query,
                    now_unix_ms=now,
                    node_id=self._here.node_id,
                    incarnation=self._here.incarnation,
                )

        with span("keyviz.merge") as note:
            answer = await self._here.in_thread(build)
            note(keys=len(answer.keys))
        return answer

    async def _ask_all(self, query: HotKeysQuery, deadline: Deadline, budget: BytesBudget) -> list[_Part]:
        """Every peer's answer or failure in configured order, the local node first."""
        below = deadline.child(self._here.settings.timeout_s, self._here.share)
        asked = replace(query, via=(*query.via, self._here.node_id))
        peers = await self._here.membership.peers(below)
        asked = replace(asked, max_bytes=_fitting_bytes(self._here.settings, len(peers)))

        async def ask(peer: Peer | Outcome, due: Deadline) -> _Part:
            if isinstance(peer, Outcome):
                self._here.observer.asked_for_hot_keys(peer.address, peer, 0.0)
                return peer
            return await self._ask(peer, len(peers), asked, due, budget=budget)

        own = [] if self._here.local is None else [self._ask_local(self._here.local, asked, below)]
        parts = await self._left_out.ask_all(peers, below, ask, own)
        self._here.membership.report([part for part in parts if isinstance(part, Outcome)])
        return parts

    async def _ask(
        self, peer: Peer, peers: int, asked: HotKeysQuery, deadline: Deadline, *, budget: BytesBudget
    ) -> _Part:
        query = replace(asked, exclude=(*asked.exclude, *self._left_out.of(peer.address)))
        if not isinstance(peer, HotKeysPeer):
            return Outcome(peer.address, kind=FailureKind.INCOMPATIBLE, detail="it cannot be asked for hot keys")
        began = time.perf_counter()

        async def call(due: Deadline) -> _Part:
            nonlocal began
            began = time.perf_counter()
            with span("keyviz.peer", peer=peer.address) as note:
                part = await peer.hot_keys(query, due, budget)
                note(outcome="ok" if isinstance(part, HotKeysAnswer) else str(part.kind))
            return part

        part = named(peer, await self._here.turns.ask(peer.address, peers, call, deadline))
        self._here.observer.asked_for_hot_keys(peer.address, part, time.perf_counter() - began)
        return part

    async def _ask_local(self, source: Source, query: HotKeysQuery, deadline: Deadline) -> _Part:
        began = time.perf_counter()

        def own(given_up: GivenUp) -> HotKeysAnswer:
            if not isinstance(source, HotKeysSource):
                raise HotKeysDisabled
            answer = source.hot_keys(query, given_up)
            latency_ms = (time.perf_counter() - began) * 1000
            return replace(answer, outcomes=(replace(answer.outcomes[0], address=SELF, latency_ms=latency_ms),))

        with waiting() as given_up:
            part = await self._here.local_calls.ask(partial(own, given_up), deadline)
        self._here.observer.asked_for_hot_keys(SELF, part, time.perf_counter() - began)
        return part


def _fitting_bytes(settings: FanoutSettings, peers: int) -> int:
    """Bytes of keys that each of so many peers may send: half a message, and what all of them may hold in memory."""
    times = 1 + HELD_KEY_BYTES // KEY_BYTES
    return max(1, min(settings.max_message_bytes // 2, settings.max_total_bytes // (times * max(peers, 1))))


def _check_usable(outcomes: Sequence[Outcome]) -> None:
    """Raises SamplerDisabled where every sampler is off, HotKeysDisabled where hot keys are, else as `no_usable`."""
    if any(outcome.ok for outcome in outcomes):
        return
    off = [outcome for outcome in outcomes if outcome.kind is FailureKind.DISABLED]
    if off and len(off) == len(outcomes):
        if any("hotkeys_disabled" in outcome.detail for outcome in off):
            raise HotKeysDisabled("hot keys are off on every node: keyviz-node --hot-keys turns them on")
        raise SamplerDisabled
    raise no_usable(tuple(outcomes))
