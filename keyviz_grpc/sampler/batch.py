"""A checked batch of operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.sampler.types import Op, PackedKeys

WORD_BYTES: Final = 8
SPARE_BYTES: Final = 1024
"""What keys may have beyond what is needed of them: less is sooner copied than left out."""

_Number = TypeVar("_Number", np.int64, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class KeyBytes:
    """n keys: key i is the lengths[i] bytes of `data` from starts[i] on. data: uint8, in one piece.

    pitch: bytes from each key to the next where all are as long as that and follow each other, else 0.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    pitch: int = 0

    def key(self, number: int) -> bytes:
        """One key."""
        start = int(self.starts[number])
        return self.data[start : start + int(self.lengths[number])].tobytes()

    def bytes_at(self, chosen: NDArray[np.int64] | None, at: int) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        """(byte number `at` of each key number chosen[i], those i that are not as long and have any byte, None = none).

        chosen: None = all keys.
        """
        starts, lengths, data = self.starts, self.lengths, self.data
        if chosen is None and self.pitch > at:
            return np.ndarray((len(starts),), np.uint8, data, int(starts[0]) + at, (self.pitch,)), None
        if chosen is not None:
            starts, lengths = starts[chosen], lengths[chosen]
        if int(lengths.min(initial=at + 1)) > at:
            return data.take(starts + at), None
        inside = np.minimum(starts + at, max(len(data) - 1, 0))
        return (data if len(data) else np.zeros(1, np.uint8)).take(inside), np.flatnonzero(lengths <= at)

    def words(self, chosen: NDArray[np.int64] | None, skips: NDArray[np.int64] | int) -> NDArray[np.uint64]:
        """Of each key number chosen[i] the 8 bytes after the first skips[i], zeros past its end, big-endian.

        chosen: None = all keys.
        """
        if chosen is None and isinstance(skips, int) and self.pitch >= skips + WORD_BYTES:
            first = int(self.starts[0]) + skips
            in_a_row = np.ndarray((len(self.starts),), ">u8", self.data, first, (self.pitch,))
            return in_a_row.astype(np.uint64)
        starts, lengths, data = self.starts, self.lengths, self.data
        if chosen is not None:
            starts, lengths = starts[chosen], lengths[chosen]
        if len(data) < WORD_BYTES:
            data = np.pad(data, (0, WORD_BYTES - len(data)))
        every = np.ndarray((len(data) - WORD_BYTES + 1,), ">u8", data, strides=(1,))
        have, at = lengths - skips, starts + skips
        words: NDArray[np.uint64]
        if int(have.min(initial=WORD_BYTES)) >= WORD_BYTES:
            words = every[at].astype(np.uint64)
            return words
        inside = np.minimum(at, len(every) - 1)
        words = every[inside].astype(np.uint64)
        short = np.flatnonzero(have < WORD_BYTES)
        # What was read before the key's byte goes out at the top, what was read beyond its end is cleared.
        early = np.minimum(at[short] - inside[short], WORD_BYTES - 1).astype(np.uint64) * np.uint64(8)
        missing = (WORD_BYTES - np.maximum(have[short], 0)).astype(np.uint64) * np.uint64(8)
        words[short] = np.where(missing < 64, words[short] << early >> missing << missing, np.uint64(0))
        return words


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """n operations: route_ids uint64[n], writes int64[n] (1 = write), sizes uint64[n] (key + value bytes).

    key_lengths: int64, of all `keys`. kept: int64[n], the numbers in `keys` of its operations, None for all.
    """

    route_ids: NDArray[np.uint64]
    writes: NDArray[np.int64]
    sizes: NDArray[np.uint64]
    labels: Sequence[str] | None
    at_unix_ms: NDArray[np.int64] | None
    keys: Sequence[bytes] | PackedKeys
    key_lengths: NDArray[np.int64]
    kept: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.route_ids)

    def sampled(self, one_in: int) -> Batch:
        """Each operation with probability 1 / one_in."""
        kept = np.flatnonzero(np.random.default_rng().random(len(self)) * one_in < 1.0)
        labels = None if self.labels is None else [self.labels[number] for number in kept.tolist()]
        at = None if self.at_unix_ms is None else self.at_unix_ms[kept]
        columns = (self.route_ids[kept], self.writes[kept], self.sizes[kept], labels, at)
        return Batch(*columns, self.keys, self.key_lengths, kept)

    def relabelled(self, counts_as: Callable[[int, str], str]) -> Batch:
        """With the labels under which the operations count: counts_as(route id, label)."""
        if self.labels is None:
            return self
        pairs = list(zip(self.route_ids.tolist(), self.labels, strict=True))
        found = {pair: counts_as(*pair) for pair in dict.fromkeys(pairs)}
        return replace(self, labels=[found[pair] for pair in pairs])

    def key_bytes(self, first: int) -> KeyBytes:
        """The keys, their first `first` bytes at least, in one array; of a list of keys made anew at every call."""
        keys, lengths = self.keys, self.key_lengths
        if isinstance(keys, PackedKeys):
            data, starts = np.ascontiguousarray(keys.data), keys.offsets[:-1]
        else:
            if int(lengths.max(initial=0)) > first + SPARE_BYTES:
                keys, lengths = [key[:first] for key in keys], np.minimum(lengths, first)
            data = np.frombuffer(b"".join(keys), np.uint8)
            starts = np.cumsum(lengths) - lengths
        if self.kept is None:
            pitch = int(lengths[0]) if len(lengths) and bool((lengths == lengths[0]).all()) else 0
            return KeyBytes(data, starts, lengths, pitch)
        return KeyBytes(data, starts[self.kept], lengths[self.kept])


def batch_of(
    route_ids: ArrayLike,
    keys: Sequence[bytes] | PackedKeys,
    ops: ArrayLike | Sequence[Op],
    value_sizes: ArrayLike,
    *,
    labels: Sequence[str] | None,
    at_unix_ms: ArrayLike | None,
) -> Batch:
    """Raises InvalidRequest naming the argument and its first bad entry."""
    for name, listed in (("keys", keys), ("labels", [] if labels is None else labels)):
        if not hasattr(listed, "__len__"):
            raise InvalidRequest(name, listed, "must be a sequence, one entry an operation")
    ids = _numbers("route_ids", route_ids, np.uint64)
    lengths = keys.lengths() if isinstance(keys, PackedKeys) else _lengths(keys)
    plain: object = ops
    if not isinstance(ops, np.ndarray) and isinstance(ops, Iterable):
        plain = [op.value if isinstance(op, Op) else op for op in ops]
    writes = _numbers("ops", plain, np.int64)
    values = _numbers("value_sizes", value_sizes, np.int64)
    at = None if at_unix_ms is None else _numbers("at_unix_ms", at_unix_ms, np.int64)
    _check_lengths(len(ids), keys=lengths, ops=writes, value_sizes=values, labels=labels, at_unix_ms=at)
    _refuse("ops", writes, (writes < 0) | (writes > 1), "must be 0 (read) or 1 (write)")
    _refuse("value_sizes", values, (values < 0) | (values >= 1 << 33), "must be bytes, not negative, below 2^33")
    if at is not None:
        _refuse("at_unix_ms", at, at < 0, "must not be negative")
    return Batch(ids, writes, (lengths + values).astype(np.uint64), labels, at, keys, lengths)


def _check_lengths(count: int, **columns: Sized | None) -> None:
    for name, column in columns.items():
        if column is not None and len(column) != count:
            raise InvalidRequest(name, len(column), f"must have as many entries as route_ids, {count}")


def _numbers(name: str, entries: object, kind: type[_Number]) -> NDArray[_Number]:
    try:
        numbers = np.asarray(entries, kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(name, entries, f"must be whole numbers, one an operation: {error}") from error
    if numbers.ndim != 1:
        raise InvalidRequest(name, entries, "must be a sequence, one entry an operation")
    return numbers


def _lengths(keys: Sequence[bytes]) -> NDArray[np.int64]:
    if not set(map(type, keys)) <= {bytes}:  # nearly always true, and a third of the time of asking each
        for number, key in enumerate(keys):
            if not isinstance(key, bytes):
                raise InvalidRequest("keys", key, f"entry {number} must be bytes")
    return np.fromiter(map(len, keys), np.int64, len(keys))


def _refuse(name: str, values: NDArray[np.int64], bad: NDArray[np.bool_], problem: str) -> None:
    if bad.any():
        number = int(np.argmax(bad))
        raise InvalidRequest(name, int(values[number]), f"entry {number} {problem}")
