"""What is known of a route's hot keys: one node's own answer, or a merged one. Values only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from keyviz_grpc.errors import InvalidRequest, NoSnapshot, OutOfSnapshotWindow
from keyviz_grpc.hotkeys.confidence import CONFIDENCE, interval
from keyviz_grpc.hotkeys.lives import KeyRange
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.outcome import Outcome, PeerWarning, WarningCode

LARGEST: Final = 2**64 - 1

MAX_CANDIDATES: Final = 1 << 14
"""How many keys one node's answer has at most; its error covers those left out."""

MAX_KEYS_BYTES: Final = 32 << 20
"""How many bytes of keys any answer has at most: half of what callers take by default."""

KEY_BYTES: Final = 64
"""What a key takes in an answer besides its own bytes, at most."""

UNKNOWN_SLICES: Final = PeerWarning(
    WarningCode.CATALOG_DIVERGENCE,
    "",
    "it has operations of the route and does not know its slices any more: all of them may be of the one asked for",
)
"""Of a node whose answer about one slice is that of `of_any_slice`."""

_INCOMPLETE: Final = (WarningCode.SHORT_HISTORY, WarningCode.CATALOG_DIVERGENCE)


@dataclass(frozen=True, slots=True)
class HotKey:
    """One key. All counts are scaled to true frequency (sampled ones times n).

    count: what was seen of it for certain; by it keys are ranked, see `unlisted_bound` of an answer.

    sketch_lower and sketch_upper bound what was sampled for certain: they add up over nodes. one_in: the answer's
    `sample_rate`. lower <= sketch_lower <= count <= sketch_upper <= upper.
    """

    key: bytes
    count: int
    sketch_lower: int
    sketch_upper: int
    one_in: int

    @property
    def bounds(self) -> tuple[int, int]:
        """(lower, upper) of the true count, at the answer's confidence; costly, so only for keys that are shown."""
        return interval(self.sketch_lower, self.sketch_upper, self.one_in)

    @property
    def lower(self) -> int:
        """See `bounds`."""
        return self.bounds[0]

    @property
    def upper(self) -> int:
        """See `bounds`."""
        return self.bounds[1]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class HotKeysAnswer:
    """Hot keys by count, descending, ties by key.

    sample_rate: n of "1 in n", the coarsest of the nodes; 0 = nobody said. sampled_n: sampled operations in the
    sketches; dropped_samples and skipped_long_keys: sampled ones that are not. sketch_error: what a key that is not
    a candidate may have been sampled at most, scaled; error_bound: what it may really have; unlisted_bound: what a key
    that is not in `keys` may really have, which is more where candidates were cut off. snapshot_at_unix_ms: stamp of
    the newest window in it, 0 = none. oldest_unix_ms, newest_unix_ms: stamps of the windows held, 0 = none.
    observed: whether any window held has operations of the bucket. slices: of the route, 0 = nobody knows the route.
    left_out_keys: how often a candidate was cut off for want of room, here or below. slice_range: [start, end) of the
    slice asked for, None = nobody says; slices_differ: not all nodes have the same. outcomes: one a leaf in configured
    order. of_node: the node that was asked for, "" = all.
    """

    keys: tuple[HotKey, ...]
    outcomes: tuple[Outcome, ...]
    sample_rate: int = 0
    sampled_n: int = 0
    dropped_samples: int = 0
    skipped_long_keys: int = 0
    sketch_error: int = 0
    error_bound: int = 0
    unlisted_bound: int = 0
    snapshot_at_unix_ms: int = 0
    oldest_unix_ms: int = 0
    newest_unix_ms: int = 0
    observed: bool = False
    slices: int = 0
    left_out_keys: int = 0
    slice_range: KeyRange | None = None
    slices_differ: bool = False
    step_ms: int = 0
    generated_at_unix_ms: int = 0
    node_id: str = ""
    incarnation: int = 0
    merged: bool = False
    of_node: str = ""

    @property
    def concerned(self) -> tuple[Outcome, ...]:
        """Outcomes of who was asked for; of all while the one asked for does not answer, for it may be any of them."""
        own = tuple(outcome for outcome in self.outcomes if outcome.ok and outcome.node_id == self.of_node)
        return own if self.of_node and own else self.outcomes

    @property
    def confidence(self) -> float:
        """Of each key's interval and of `error_bound`; 1 where nothing was sampled away."""
        return CONFIDENCE if self.sample_rate > 1 else 1.0

    @property
    def degraded(self) -> bool:
        """Whether operations are missing.

        Those that were dropped or skipped, of a node that failed, of windows that a node does not hold, of a slice
        whose range it does not know or has elsewhere, or of keys that were left out for want of room.
        """
        return bool(self.dropped_samples or self.skipped_long_keys or self.left_out_keys) or any(
            not outcome.ok or any(warning.code in _INCOMPLETE for warning in outcome.warnings)
            for outcome in self.concerned
        )


def finished(
    answer: HotKeysAnswer, found: dict[bytes, tuple[int, int, int]], *, most: int | None = None
) -> HotKeysAnswer:
    """The answer with these keys, found[key] = (count, sketch_lower, sketch_upper), and the bounds that follow.

    most: how many keys are kept, the hottest ones; `sketch_error` then covers those left out, which are told.
    """
    ordered = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
    error, left_out = answer.sketch_error, answer.left_out_keys
    if most is not None and len(ordered) > most:
        error = max(error, *(upper for _, (_, _, upper) in ordered[most:]))
        left_out += len(ordered) - most
        del ordered[most:]
    keys = tuple(HotKey(key, count, lower, upper, answer.sample_rate) for key, (count, lower, upper) in ordered)
    _, bound = interval(0, error, answer.sample_rate)
    return replace(
        answer, keys=keys, left_out_keys=left_out, sketch_error=error, error_bound=bound, unlisted_bound=bound
    )


def of_any_slice(answer: HotKeysAnswer) -> HotKeysAnswer:
    """What an answer about the whole route says of one slice whose range is not known: any of its keys may be there."""
    most = max((item.sketch_upper for item in answer.keys), default=0)
    return finished(replace(answer, keys=(), sketch_error=max(answer.sketch_error, most)), {})


def top_of(answer: HotKeysAnswer, top: int) -> HotKeysAnswer:
    """Its `top` hottest keys, 0 = all; `unlisted_bound` then covers the others.

    Keys are ranked by certain counts, so a key that is cut has at most sampled / (top + 1) operations and the error:
    `top` others have for certain as many as it has.
    """
    cut = answer.keys[top:] if top else ()
    if not cut:
        return answer
    most = max(answer.sketch_error, *(item.sketch_upper for item in cut))
    return replace(answer, keys=answer.keys[:top], unlisted_bound=interval(0, most, answer.sample_rate)[1])


def within_bytes(answer: HotKeysAnswer, most_bytes: int) -> HotKeysAnswer:
    """Its hottest keys that take so many bytes at most in a message; the bounds cover those left out, which are told.

    Sound at any place of a tree: whoever merges the answer finds the coldest keys' counts in the error.
    """
    room, kept = most_bytes, 0
    for item in answer.keys:
        room -= len(item.key) + KEY_BYTES
        if room < 0:
            break
        kept += 1
    cut = answer.keys[kept:]
    if not cut:
        return answer
    error = max(answer.sketch_error, *(item.sketch_upper for item in cut))
    bound = interval(0, error, answer.sample_rate)[1]
    return replace(
        answer,
        keys=answer.keys[:kept],
        sketch_error=error,
        error_bound=bound,
        unlisted_bound=max(bound, answer.unlisted_bound),
        left_out_keys=answer.left_out_keys + len(cut),
    )


def check_asked(answer: HotKeysAnswer, query: HotKeysQuery) -> None:
    """What only whoever asks first is told; an aggregator between gets the facts and asks on.

    Raises InvalidRequest for a slice that the route does not have, NoSnapshot where no window has anything of the
    bucket, OutOfSnapshotWindow where the windows held are all outside of what was asked for.
    """
    if query.sub_bucket is not None and answer.slices and query.sub_bucket >= answer.slices:
        problem = f"route {query.route_id} has {answer.slices} slice(s), counted from 0"
        raise InvalidRequest("sub_bucket", query.sub_bucket, problem)
    missing = sum(not outcome.ok for outcome in answer.concerned)
    without = f"; {missing} of {len(answer.concerned)} nodes did not answer" if missing else ""
    if not answer.newest_unix_ms:
        raise NoSnapshot(f"no window has closed yet since hot keys are recorded{without}")
    window = query.window
    if window.from_unix_ms > answer.newest_unix_ms or 0 < window.to_unix_ms <= answer.oldest_unix_ms:
        raise OutOfSnapshotWindow(
            f"from_unix_ms={window.from_unix_ms}, to_unix_ms={window.to_unix_ms}: "
            f"hot keys are held of the windows from {answer.oldest_unix_ms} to {answer.newest_unix_ms}{without}"
        )
    if not answer.observed:
        label = f" with label {query.label!r}" if query.label else ""
        raise NoSnapshot(f"no window held has {query.series.value} of route {query.route_id}{label}{without}")
