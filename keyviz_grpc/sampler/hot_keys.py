"""What the sampler tells the recorder of hot keys, and what it answers with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.answer import UNKNOWN_SLICES, of_any_slice
from keyviz_grpc.hotkeys.lives import KeyRange
from keyviz_grpc.hotkeys.operations import UNIT_BITS, Columns, KeyRun
from keyviz_grpc.hotkeys.protocols import GivenUp
from keyviz_grpc.hotkeys.recorder import HotKeyRecorder
from keyviz_grpc.merge.warnings import short_history, with_warnings
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.sampler.batch import Batch
from keyviz_grpc.sampler.drainer import Drainer
from keyviz_grpc.sampler.types import PackedKeys, Route


class HotKeys:
    """A recorder, and the thread that works for it. The sampler calls it under its lock."""

    def __init__(self, settings: HotKeysSettings, *, interval_s: float) -> None:
        self.recorder = HotKeyRecorder(settings)
        self._drainer = Drainer(self.recorder.tick, interval_s)

    def changed(self, removed: Iterable[int], added: Iterable[Route]) -> None:
        """Routes are gone, and then others have these ranges; what was noted before was claimed before."""
        self.recorder.change_routes(removed, {route.route_id: (route.start, route.end) for route in added})

    def note_batch(self, batch: Batch, stamps: NDArray[np.int64] | int, *, wait: bool) -> None:
        """A batch before it was sampled; stamps: of each operation's window, or of the window of all."""
        chosen = self.recorder.choose(len(batch))
        if isinstance(stamps, int):
            self._note(batch, stamps, chosen, wait=wait)
            return
        for stamp in np.unique(stamps).tolist():
            inside = np.flatnonzero(stamps == stamp) if chosen is None else chosen[stamps[chosen] == stamp]
            self._note(batch, stamp, inside, wait=wait)

    def _note(self, batch: Batch, stamp: int, chosen: NDArray[np.int64] | None, *, wait: bool) -> None:
        too_long = batch.key_lengths > self.recorder.settings.max_key_bytes
        if too_long.any():
            numbers = np.arange(len(batch)) if chosen is None else chosen
            skipped, chosen = numbers[too_long[numbers]], numbers[~too_long[numbers]]
            self.recorder.skip_many(stamp, _columns(batch, skipped).counts())
        self.recorder.note_many(stamp, _columns(batch, chosen), wait=wait)

    def answer(
        self,
        query: HotKeysQuery,
        slices: Sequence[KeyRange],
        outcome: Outcome,
        *,
        generated_at_unix_ms: int,
        given_up: GivenUp,
    ) -> HotKeysAnswer:
        """The node's own answer. slices: of the route in key order, empty where it is not known."""
        if query.node_id and query.node_id != outcome.node_id:
            return _signed(HotKeysAnswer((), ()), outcome, generated_at_unix_ms)
        number = query.sub_bucket
        inside = number is not None and number < len(slices)
        keys = _keys_of(slices, number) if number is not None and inside else None
        own = self.recorder.answer(query, keys, given_up)
        outcome = replace(outcome, oldest_unix_ms=own.oldest_unix_ms, newest_unix_ms=own.newest_unix_ms)
        outcome = replace(outcome, warnings=tuple(short_history(outcome, query.window, outcome.step_ms)))
        if number is not None and not inside:
            own = of_any_slice(own)
            outcome = with_warnings(outcome, [UNKNOWN_SLICES]) if own.observed and not slices else outcome
        cut = slices[number] if number is not None and inside else None
        return _signed(replace(own, slices=len(slices), slice_range=cut), outcome, generated_at_unix_ms)

    def close(self) -> None:
        """Ends the thread; what was noted can still be asked for."""
        self._drainer.stop()


def _keys_of(slices: Sequence[KeyRange], number: int) -> KeyRange:
    """What a slice counts: the first one also keys below the route's range, the last one those from its end on."""
    start, end = slices[number]
    return start if number else b"", end if number < len(slices) - 1 else b""


def _signed(answer: HotKeysAnswer, outcome: Outcome, generated_at_unix_ms: int) -> HotKeysAnswer:
    return replace(
        answer,
        outcomes=(outcome,),
        node_id=outcome.node_id,
        incarnation=outcome.incarnation,
        step_ms=outcome.step_ms,
        generated_at_unix_ms=generated_at_unix_ms,
    )


def _columns(batch: Batch, chosen: NDArray[np.int64] | None) -> Columns:
    """These operations, None = all, with the batch's own keys, which are copied only when there is room for them."""
    keys, full = batch.keys, batch.key_lengths >> UNIT_BITS
    run = KeyRun.of(np.ascontiguousarray(keys.data).data, keys.offsets) if isinstance(keys, PackedKeys) else keys
    if chosen is None:
        return Columns(batch.route_ids, batch.writes == 1, batch.labels, run, int(full.sum()))
    numbers = chosen.tolist()
    own = run.chosen(chosen) if isinstance(run, KeyRun) else [run[number] for number in numbers]
    labels = None if batch.labels is None else [batch.labels[number] for number in numbers]
    return Columns(batch.route_ids[chosen], batch.writes[chosen] == 1, labels, own, int(full[chosen].sum()))
