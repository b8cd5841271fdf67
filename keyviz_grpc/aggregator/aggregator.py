"""The aggregator: one true view of a cluster. It sees peers only through a small protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from keyviz_grpc.aggregator.building import Building
from keyviz_grpc.aggregator.effort import is_little
from keyviz_grpc.aggregator.extent import Holdings, held_bytes
from keyviz_grpc.aggregator.fan_out import LAST_MS, MatrixFanout
from keyviz_grpc.aggregator.flights import Questions, Room
from keyviz_grpc.aggregator.hot_keys import HotKeysFanout, Surroundings
from keyviz_grpc.aggregator.local import SELF, LocalCalls
from keyviz_grpc.aggregator.observer import Observer, Observers
from keyviz_grpc.aggregator.overviews import united
from keyviz_grpc.aggregator.together import together
from keyviz_grpc.aggregator.turns import Turns
from keyviz_grpc.aggregator.way import check_way, no_usable, on_a_ring
from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind, InvalidRequest, SamplerDisabled
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.merge import contributions
from keyviz_grpc.model import Series, Window
from keyviz_grpc.outcome import Answer, Cell, Outcome, Overview
from keyviz_grpc.peers.protocols import Membership, Peer
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import Shelf
from keyviz_grpc.source import Source
from keyviz_grpc.tracing import span

_Result = TypeVar("_Result")

BUILD_SHARE: Final = 0.8
"""Of the caller's time, what peers may take; the rest is for merging and sending."""


class Aggregator:
    """Fans a request out to every peer and merges. Implements `Cluster`; for one event loop.

    local: a node in this very process, listed first as `self`, asked without a network hop. wall_clock: unix seconds.
    observer: told how each request goes.
    remembered: where merged columns are kept that need not be merged again; None = nothing is.
    """

    def __init__(
        self,
        membership: Membership,
        *,
        settings: FanoutSettings,
        node_id: str,
        local: Source | None = None,
        incarnation: int | None = None,
        wall_clock: Callable[[], float] = time.time,
        version: str = "",
        observer: Observer | None = None,
        remembered: Shelf | None = None,
    ) -> None:
        self.node_id = node_id
        self.version = version
        self._membership, self._settings, self._local = membership, settings, local
        self._wall_clock = wall_clock
        self._observer = observer or Observers(())
        self._incarnation = int(wall_clock() * 1000) if incarnation is None else incarnation
        self._room = Room(settings.max_requests)
        self._building = Building(
            node_id=node_id, incarnation=self._incarnation, wall_clock=wall_clock, remembered=remembered
        )
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="keyviz-merge")
        self._local_calls = LocalCalls()
        self._matrices: Questions[MatrixQuery, Answer] = self._questions()
        self._cells: Questions[tuple[str, int, Series], Cell] = self._questions()
        self._overviews: Questions[tuple[str, ...], Overview] = self._questions()
        self._turns = Turns(settings.max_in_flight_peers)
        self._held = BytesBudget(settings.max_held_bytes, shared=True)
        self._peers = MatrixFanout(
            membership,
            settings=settings,
            node_id=node_id,
            share=BUILD_SHARE,
            local=local,
            local_calls=self._local_calls,
            turns=self._turns,
            wall_clock=wall_clock,
            observer=self._observer,
        )
        self._hot_keys = HotKeysFanout(
            Surroundings(
                node_id=node_id,
                incarnation=self._incarnation,
                membership=membership,
                settings=settings,
                local=local,
                local_calls=self._local_calls,
                turns=self._turns,
                in_thread=self._in_thread,
                wall_clock=wall_clock,
                share=BUILD_SHARE,
                observer=self._observer,
                questions=self._questions(),
                budget=self._budget,
            )
        )

    async def matrix(self, query: MatrixQuery, deadline: Deadline) -> Answer:
        """See `Cluster`. Identical queries in flight share one fan-out where deadlines allow it."""
        check_way(self.node_id, query.via)
        answer = await self._matrices.join(query, deadline, lambda: self._matrix(query, deadline))
        _check_usable(answer.outcomes)
        return answer

    async def _matrix(self, query: MatrixQuery, deadline: Deadline) -> Answer:
        with self._budget() as budget:
            answer = await self._merged_answer(query, deadline, Holdings(budget))
            # It waits for its turn to be written, with those of others: until nobody has it any more it is held.
            budget.hand_on(held_bytes(answer), answer)
            return answer

    def _budget(self) -> BytesBudget:
        """What one request may hold, until the end of its block."""
        return BytesBudget(self._settings.max_total_bytes, self._held)

    async def _merged_answer(self, query: MatrixQuery, deadline: Deadline, holdings: Holdings) -> Answer:
        with span("keyviz.fan_out", series=query.series):
            told = await self._peers.ask_all(query, deadline, holdings)

        def build() -> Answer:
            with holdings.in_use():
                return self._building.built(told, query, holdings)

        began = time.perf_counter()
        with span("keyviz.merge") as note:
            if (known := self._building.at_once(told, query, holdings)) is not None:
                answer = known
            else:
                answer = build() if is_little(told, query) else await self._in_thread(build)
            note(rows=answer.matrix.shape[0], columns=answer.matrix.shape[1])
        self._observer.merged(answer, time.perf_counter() - began)
        self._peers.learn_step(answer.outcomes)
        return answer

    async def cell(self, *, bucket_id: str, column_unix_ms: int, series: Series, deadline: Deadline) -> Cell:
        """See `Cluster`. Identical questions in flight share one fan-out."""
        if column_unix_ms <= 0:
            raise InvalidRequest("column_unix_ms", column_unix_ms, "must be a positive unix time in milliseconds")
        if not bucket_id:
            raise InvalidRequest("bucket_id", bucket_id, "must not be empty")
        asked = (bucket_id, column_unix_ms, series)
        return await self._cells.join(asked, deadline, lambda: self._cell(*asked, deadline))

    async def _cell(self, bucket_id: str, column_unix_ms: int, series: Series, deadline: Deadline) -> Cell:
        reach = 4 * self._peers.step_ms
        window = Window(max(1, column_unix_ms - reach), min(column_unix_ms + reach, LAST_MS))
        query = MatrixQuery(series, window, bucket_ids=(bucket_id,), unmerged=True)
        with self._budget() as budget:
            results = await self._peers.ask_all(query, deadline, Holdings(budget))
            _check_usable([o for r in results for o in (r.outcomes if isinstance(r, Answer) else (r,))])
            now = int(self._wall_clock() * 1000)

            def build() -> Cell:
                with budget.in_use():
                    return contributions(results, query=query, column_unix_ms=column_unix_ms, now_unix_ms=now)

            return await self._in_thread(build)

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline) -> HotKeysAnswer:
        """See `Cluster`."""
        return await self._hot_keys.hot_keys(query, deadline)

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview:
        """See `Cluster`. Of what nodes say of a group, the highest term wins. Who asks meanwhile gets the same."""
        check_way(self.node_id, via)
        return await self._overviews.join(via, deadline, lambda: self._overview(deadline, (*via, self.node_id)))

    async def _overview(self, deadline: Deadline, via: tuple[str, ...]) -> Overview:
        below = deadline.child(self._settings.timeout_s, BUILD_SHARE)
        peers = await self._membership.peers(below)
        live = [peer for peer in peers if not isinstance(peer, Outcome)]
        addresses = [peer.address for peer in live]
        calls: list[Coroutine[object, object, Overview | Outcome]] = [
            self._turns.ask(peer.address, len(live), partial(peer.overview, via=via), below) for peer in live
        ]
        if self._local is not None:
            addresses.insert(0, SELF)
            calls.insert(0, self._local_calls.ask(self._local.overview, below))
        replies = await together(calls)
        told = [(where, reply) for where, reply in zip(addresses, replies, strict=True) if isinstance(reply, Overview)]
        if not told:
            failed = [reply for reply in (*peers, *replies) if isinstance(reply, Outcome)]
            raise no_usable(tuple(failed))
        return united(told, node_id=self.node_id, incarnation=self._incarnation, version=self.version)

    async def ready(self, deadline: Deadline) -> bool:
        """See `Cluster`. The first peer that answers decides; the others are not waited for."""
        below = deadline.child(self._settings.timeout_s, BUILD_SHARE)
        peers = [peer for peer in await self._membership.peers(below) if not isinstance(peer, Outcome)]
        calls = [asyncio.ensure_future(self._is_there(peer, len(peers), below)) for peer in peers]
        if self._local is not None:
            calls.append(asyncio.ensure_future(self._local_is_there(self._local, below)))
        try:
            for first in asyncio.as_completed(calls):
                if await first:
                    return True
            return False
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _local_is_there(self, source: Source, deadline: Deadline) -> bool:
        return isinstance(await self._local_calls.ask(source.overview, deadline), Overview)

    async def _is_there(self, peer: Peer, peers: int, deadline: Deadline) -> bool:
        via = (self.node_id,)
        reply = await self._turns.ask(peer.address, peers, partial(peer.overview, via=via), deadline)
        if isinstance(reply, Outcome) and reply.kind is FailureKind.INCOMPATIBLE and not on_a_ring(reply):
            # An older node may lack that method alone: the newest columns tell.
            query = MatrixQuery(Series.READS, Window(int(self._wall_clock() * 1000)), via=via)
            async with self._turns.of(peer.address, peers):
                with self._budget() as budget:
                    return isinstance(await peer.matrix(query, deadline, budget), Answer)
        return isinstance(reply, Overview)

    @property
    def fan_outs(self) -> int:
        """How many different questions of any kind are with the peers right now."""
        return self._room.taken

    @property
    def fan_outs_begun(self) -> int:
        """How many questions went to the peers so far."""
        return self._room.begun

    async def close(self) -> None:
        """Lets go of peers and threads."""
        await self._membership.close()
        self._building.forget()
        self._local_calls.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _questions(self) -> Questions[Any, Any]:
        return Questions(
            self._room,
            timeout_s=self._settings.timeout_s,
            share=BUILD_SHARE,
            joined=self._observer.joined,
        )

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _check_usable(outcomes: Sequence[Outcome]) -> None:
    """Raises SamplerDisabled where every sampler is off, OnlyARing or NoUsablePeers where nobody contributed."""
    if any(outcome.ok for outcome in outcomes):
        return
    if outcomes and all(outcome.kind is FailureKind.DISABLED for outcome in outcomes):
        raise SamplerDisabled
    raise no_usable(tuple(outcomes))
