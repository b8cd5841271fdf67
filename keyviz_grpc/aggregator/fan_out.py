"""The fan-out for matrices: every peer is asked for its own, and by when each answered is told."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Final

from keyviz_grpc.aggregator.extent import Holdings
from keyviz_grpc.aggregator.left_out import LeftOut
from keyviz_grpc.aggregator.local import SELF, LocalCalls
from keyviz_grpc.aggregator.observer import Observer
from keyviz_grpc.aggregator.turns import Turns
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.merge import duplicate_leaves
from keyviz_grpc.model import ALL_KEYS, Window
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.peers.protocols import Membership, Peer, named
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.source import Source
from keyviz_grpc.tracing import is_wanted as spans_wanted
from keyviz_grpc.tracing import span
from keyviz_grpc.unchanging import unchanging

LAST_MS: Final = 2**63 - 1
"""The last moment that a request can name."""

FIRST_GUESS_STEP_MS: Final = 60_000
"""How wide to ask before any answer told a step."""


@unchanging(frozen=True, slots=True, eq=False)
class _FanOut:
    """What is the same for every peer that is asked. peers: how many. spans: whether somebody wants them."""

    query: MatrixQuery
    peers: int
    holdings: Holdings
    spans: bool


class MatrixFanout:
    """Asks for matrices; for one event loop.

    share: of the caller's time, what peers may take. wall_clock: unix seconds. step_ms: see `learn_step`.
    """

    def __init__(
        self,
        membership: Membership,
        *,
        settings: FanoutSettings,
        node_id: str,
        share: float,
        local: Source | None,
        local_calls: LocalCalls,
        turns: Turns,
        wall_clock: Callable[[], float],
        observer: Observer,
    ) -> None:
        self._membership, self._timeout_s, self._share = membership, settings.timeout_s, share
        self._node_id, self._local, self._local_calls = node_id, local, local_calls
        self._turns, self._wall_clock, self._observer = turns, wall_clock, observer
        self._left_out: LeftOut[Peer, Answer] = LeftOut(duplicate_leaves)
        self.step_ms = FIRST_GUESS_STEP_MS
        self._asked: tuple[MatrixQuery, int, MatrixQuery] | None = None

    def learn_step(self, outcomes: Iterable[Outcome]) -> None:
        """What step those told who answered, the widest of them: so much stamps may be moved at the next request."""
        self.step_ms = max((outcome.step_ms for outcome in outcomes if outcome.ok), default=0) or self.step_ms

    async def ask_all(self, query: MatrixQuery, deadline: Deadline, holdings: Holdings) -> list[Answer | Outcome]:
        """Every peer's answer or failure in configured order, the local node first."""
        below = deadline.child(self._timeout_s, self._share)
        peers = await self._membership.peers(below)
        fan_out = _FanOut(self._question(query), len(peers), holdings, spans=spans_wanted())

        def ask(peer: Peer | Outcome, due: Deadline) -> Coroutine[object, object, Answer | Outcome]:
            return self._failed_before(peer) if isinstance(peer, Outcome) else self._ask_peer(peer, fan_out, due)

        own = [] if self._local is None else [self._ask_own(self._local, fan_out, below)]
        results = await self._left_out.ask_all(peers, below, ask, own)
        self._membership.report([result for result in results if isinstance(result, Outcome)])
        return results

    def _question(self, query: MatrixQuery) -> MatrixQuery:
        """What peers are asked: the same object for the same one, so that whoever keeps its bytes finds them."""
        if self._asked is None or self._asked[0] is not query or self._asked[1] != self.step_ms:
            via, window = (*query.via, self._node_id), self._widened(query.window)
            asked = replace(query, rows=0, keys=ALL_KEYS, window=window, via=via, known=None, for_display=False)
            if query.for_display:  # roles are not shown, and to ask for them would alter what is remembered
                asked = replace(asked, without_roles=True)
            self._asked = query, self.step_ms, asked
        return self._asked[2]

    def _widened(self, window: Window) -> Window:
        # Aligning shifts stamps by at most half a step; for older peers the step may not be known yet.
        half = -(-self.step_ms // 2)
        from_ = max(1, window.from_unix_ms - half) if window.from_unix_ms else 0
        return Window(from_, min(window.to_unix_ms + half, LAST_MS) if window.to_unix_ms else 0)

    async def _failed_before(self, outcome: Outcome) -> Outcome:
        self._observer.asked(outcome.address, outcome, 0.0)
        return outcome

    async def _ask_peer(self, peer: Peer, fan_out: _FanOut, deadline: Deadline) -> Answer | Outcome:
        query, left_out = fan_out.query, self._left_out.of(peer.address)
        if left_out:
            query = replace(query, exclude=(*query.exclude, *left_out))
        began, asked_unix_ms, part = time.perf_counter(), 0, fan_out.holdings.part()

        def ask(due: Deadline) -> Awaitable[Answer | Outcome]:
            nonlocal began, asked_unix_ms
            began, asked_unix_ms = time.perf_counter(), int(self._wall_clock() * 1000)
            call = peer.matrix(query, due, part)
            return _in_span(peer.address, call) if fan_out.spans else call

        told = await self._turns.ask(peer.address, fan_out.peers, ask, deadline)
        result = self._at(named(peer, told), asked_unix_ms)
        self._observer.asked(peer.address, result, time.perf_counter() - began)
        return fan_out.holdings.kept(peer.address, part, result)

    async def _ask_own(self, source: Source, fan_out: _FanOut, deadline: Deadline) -> Answer | Outcome:
        began, asked_unix_ms = time.perf_counter(), int(self._wall_clock() * 1000)

        def told() -> Answer:
            answer = source.matrix(fan_out.query)
            latency_ms = (time.perf_counter() - began) * 1000
            return replace(answer, outcomes=(replace(answer.outcomes[0], address=SELF, latency_ms=latency_ms),))

        result = self._at(await self._local_calls.ask(told, deadline), asked_unix_ms)
        self._observer.asked(SELF, result, time.perf_counter() - began)
        return fan_out.holdings.paid(SELF, result)

    def _at(self, result: Answer | Outcome, asked_unix_ms: int) -> Answer | Outcome:
        """With the moments between which an answer was made: later is too late to judge a node's clock by."""
        if isinstance(result, Outcome):
            return result
        return result.between(asked_unix_ms, int(self._wall_clock() * 1000))


async def _in_span(address: str, call: Awaitable[Answer | Outcome]) -> Answer | Outcome:
    with span("keyviz.peer", peer=address) as note:
        result = await call
        note(outcome="ok" if isinstance(result, Answer) else str(result.kind))
    return result
