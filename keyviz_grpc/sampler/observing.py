"""Operations on their way in: from any thread to the counters, and what changes where they count from now on."""

from __future__ import annotations

import random
import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from numpy.typing import ArrayLike

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.sampler.batch import batch_of
from keyviz_grpc.sampler.counting import Counting
from keyviz_grpc.sampler.intake import SIZE_LIMIT, checked_key
from keyviz_grpc.sampler.path import HotPath, Note, Where
from keyviz_grpc.sampler.types import Op, PackedKeys, Route

_READ, _WRITE = Op.READ, Op.WRITE


class Observing:
    """What a store tells of its operations, its routes and its leaders, counted under one lock.

    Every public method may be called from any thread. `observe` only appends one integer to a list, which is atomic;
    whatever must see all counts folds the list into counters first: a window's close, a leader's or route's change. So
    no count is lost or taken twice, and one that races a close or a flip counts on the side on which it was recorded.

    counting: what is changed under the lock. hot_path: how a single operation gets there. one_in: of how many
    operations of a batch one is counted.
    """

    def __init__(self, counting: Counting, hot_path: HotPath, *, one_in: int) -> None:
        self._lock = threading.RLock()
        self._counting, self._hot_path, self._one_in = counting, hot_path, one_in
        self._enter()

    # --- operations

    def observe(self, route_id: int, key: bytes, op: Op, value_size: int, *, label: str = "") -> None:
        """Counts one operation: 1, and len(key) + value_size bytes, in its route's bucket (a labelled one's alone).

        Raises UnknownRoute for a route that was never registered, InvalidRequest for an operation that is not an Op, a
        key that is not bytes, a negative size, and a label outside [A-Za-z0-9_-]{1,128}.
        """
        # One attribute in place of eight: it is read in one go, and replaced whole when a window closes.
        clock, from_s, until_s, reads, writes, append, note, share, one_in = self._path
        if not from_s <= clock() < until_s:
            self.tick()
        size = len(key) + value_size
        if value_size < 0 or size >= SIZE_LIMIT or key.__class__ is not bytes:
            key = checked_key(key, value_size)
        try:
            if op is _WRITE:
                base = writes[(route_id, label) if label else route_id]
            elif op is _READ:
                base = reads[(route_id, label) if label else route_id]
            else:
                raise InvalidRequest("op", op, "must be Op.READ or Op.WRITE")
        except KeyError:
            base, note = self._learn(route_id, op, label)
        if base.__class__ is not int:
            cuts, bases, label = base  # type: ignore[misc]
            base = bases[bisect_right(cuts, key)]
        # Sampling is not cryptography.
        if note is not None and (share == 1.0 or random.random() < share):  # noqa: S311
            note(route_id, label, op is _WRITE, key)
        if one_in > 1 and random.random() * one_in >= 1.0:  # noqa: S311
            return
        append(base + size)

    def observe_many(
        self,
        route_ids: ArrayLike,
        keys: Sequence[bytes] | PackedKeys,
        ops: ArrayLike | Sequence[Op],
        value_sizes: ArrayLike,
        *,
        labels: Sequence[str] | None = None,
        at_unix_ms: ArrayLike | None = None,
    ) -> None:
        """Counts n operations at once, all or none; the arguments are parallel, one entry an operation.

        route_ids: unsigned; ops: 1 or Op.WRITE = write, 0 or Op.READ = read; value_sizes: bytes of the values;
        at_unix_ms: the moments of the operations, now by default (an operation of a closed window is added to it).
        Raises as `observe`, naming the first bad entry, and InvalidRequest when lengths differ.
        """
        whole = batch_of(route_ids, keys, ops, value_sizes, labels=labels, at_unix_ms=at_unix_ms)
        batch = whole.sampled(self._one_in) if self._one_in > 1 else whole
        with self._lock:
            self._settle()
            self._counting.count(batch, whole)

    def _learn(self, route_id: int, op: Op, label: str) -> tuple[Where, Note | None]:
        with self._lock:
            counting = self._counting
            place = counting.buckets.place_of(route_id, label)
            counting.leadership.grow()
            counts_as = counting.buckets.counts_as(route_id, label)
            path, places = self._hot_path, counting.buckets.places
            return path.learn(route_id, op, label, place, counts_as=counts_as, places=places), path.note

    # --- what changes around it

    def register_routes(self, routes: Iterable[Route]) -> None:
        """Makes routes known, or changes the range or group of known ones; history stays where it was counted."""
        self.replace_routes(remove=(), add=routes)

    def remove_routes(self, route_ids: Iterable[int]) -> None:
        """Takes routes away. Their history stays, and a late operation still counts in its bucket.

        Raises UnknownRoute for one that is not registered; then nothing is removed.
        """
        self.replace_routes(remove=route_ids, add=())

    def replace_routes(self, *, remove: Iterable[int], add: Iterable[Route]) -> None:
        """Removes and registers routes in one step (a split, a merge, a move): every operation counts before or after.

        A route that comes with another range starts a new row; what it had is shown as an aggregate of the old range.
        Raises UnknownRoute for a removal of an unknown route, InvalidRequest for a route added twice.
        """
        with self._lock:
            self._settle()
            if self._counting.recycle():
                # At once, not after the change that it makes room for: that may be refused, freed slots go to others.
                self._forget_places()
            moved = self._counting.change_routes(list(remove), list(add))
            self._forget_places()
            self._counting.moved(moved)

    def set_leader(self, raft_group_id: int, term: int, *, leader_node_id: str = "") -> None:
        """The term under which writes of a group count from now on; what was counted before keeps the old one.

        term 0: not known. leader_node_id goes into the overview. Raises InvalidRequest for negative numbers.
        """
        with self._lock:
            leadership, ring = self._counting.leadership, self._counting.ring
            identity = leadership.learn(raft_group_id, term, leader_node_id)
            if identity is not None:
                self._settle()
                leadership.begin(raft_group_id, identity, oldest_unix_ms=ring.oldest_unix_ms)

    # --- time

    def tick(self) -> None:
        """Folds what was observed and closes the windows that are due; called by the drainer, harmless elsewhere."""
        with self._lock:
            self._settle()

    def _settle(self) -> None:
        if self._counting.settle():
            self._enter()

    def _forget_places(self) -> None:
        self._hot_path.forget()
        self._enter()

    def _enter(self) -> None:
        windows = self._counting.windows
        self._path = self._hot_path.within(windows.from_s, windows.until_s)
