"""What the sampler tells the recorder of hot keys, and what it answers with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.recorder import HotKeyRecorder, KeyRange, Operation
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.sampler.batch import Batch
from keyviz_grpc.sampler.drainer import Drainer
from keyviz_grpc.sampler.types import PackedKeys, Route


class HotKeys:
    """A recorder, the thread that works for it, and the ranges that routes had. The sampler calls it under its lock."""

    def __init__(self, settings: HotKeysSettings, *, interval_s: float) -> None:
        self.recorder = HotKeyRecorder(settings)
        self.note = self.recorder.note
        self._ranges: dict[int, KeyRange] = {}
        self._drainer = Drainer(self.recorder.tick, interval_s)

    def registered(self, routes: Iterable[Route]) -> None:
        """Routes have these ranges from now on; what was noted before was claimed before."""
        changed = []
        for route in routes:
            own = (route.start, route.end)
            if self._ranges.setdefault(route.route_id, own) != own:
                self._ranges[route.route_id] = own
                changed.append(route.route_id)
        if changed:
            self.recorder.restart(changed)

    def note_batch(
        self, batch: Batch, keys: Sequence[bytes] | PackedKeys, stamps: NDArray[np.int64] | int, *, wait: bool
    ) -> None:
        """A batch before it was sampled; stamps: of each operation's window, or of the window of all."""
        chosen = self.recorder.choose(len(batch))
        if isinstance(stamps, int):
            self.recorder.note_many(stamps, _operations(batch, keys, chosen), wait=wait)
            return
        for stamp in np.unique(stamps).tolist():
            inside = np.flatnonzero(stamps == stamp) if chosen is None else chosen[stamps[chosen] == stamp]
            self.recorder.note_many(stamp, _operations(batch, keys, inside), wait=wait)

    def answer(
        self, query: HotKeysQuery, slices: Sequence[KeyRange], outcome: Outcome, *, generated_at_unix_ms: int
    ) -> HotKeysAnswer:
        """The node's own answer. slices: of the route in key order, empty where it is not known."""
        if query.node_id and query.node_id != outcome.node_id:
            return _signed(HotKeysAnswer((), ()), outcome, generated_at_unix_ms)
        number = query.sub_bucket
        there = number is None or number < len(slices)
        own = self.recorder.answer(query, slices[number] if number is not None and there else None)
        own = replace(own, keys=own.keys if there else (), slices=len(slices))
        return _signed(own, replace(outcome, oldest_unix_ms=own.oldest_unix_ms), generated_at_unix_ms)

    def close(self) -> None:
        """Ends the thread; what was noted can still be asked for."""
        self._drainer.stop()


def _signed(answer: HotKeysAnswer, outcome: Outcome, generated_at_unix_ms: int) -> HotKeysAnswer:
    return replace(
        answer,
        outcomes=(outcome,),
        node_id=outcome.node_id,
        incarnation=outcome.incarnation,
        step_ms=outcome.step_ms,
        generated_at_unix_ms=generated_at_unix_ms,
    )


def _operations(batch: Batch, keys: Sequence[bytes] | PackedKeys, chosen: NDArray[np.int64] | None) -> list[Operation]:
    numbers = np.arange(len(batch)) if chosen is None else chosen
    ids, writes = batch.route_ids[numbers].tolist(), (batch.writes[numbers] == 1).tolist()
    wanted = numbers.tolist()
    labels = [""] * len(wanted) if batch.labels is None else [batch.labels[number] for number in wanted]
    return list(zip(ids, labels, writes, _keys(keys, numbers), strict=True))


def _keys(keys: Sequence[bytes] | PackedKeys, numbers: NDArray[np.int64]) -> list[bytes]:
    if not isinstance(keys, PackedKeys):
        return [keys[number] for number in numbers.tolist()]
    data = keys.data
    starts, ends = keys.offsets[numbers].tolist(), keys.offsets[numbers + 1].tolist()
    return [data[start:end].tobytes() for start, end in zip(starts, ends, strict=True)]
