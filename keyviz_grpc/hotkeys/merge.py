"""Adding up what nodes say of hot keys: a pure function, associative and independent of order.

Every node counts its own operations, under whatever leader, so counts and bounds simply add up. A key that a node does
not list may still have up to that node's error there, which widens the upper bound alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keyviz_grpc.hotkeys.agreement import Counted, of_one_division, of_one_time, ranges_of, slices_of
from keyviz_grpc.hotkeys.answer import HotKeysAnswer, finished
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.merge.parts import inseparable
from keyviz_grpc.merge.warnings import with_warnings
from keyviz_grpc.outcome import Outcome, PeerWarning, WarningCode

Part = HotKeysAnswer | Outcome
LeafKey = tuple[str, int]


def added_up(answers: Sequence[HotKeysAnswer]) -> tuple[dict[bytes, tuple[int, int, int]], int]:
    """(key -> (count, sketch_lower, sketch_upper), sketch_error) of all together."""
    error = sum(answer.sketch_error for answer in answers)
    found: dict[bytes, tuple[int, int, int]] = {}
    for answer in answers:
        own = answer.sketch_error
        for item in answer.keys:
            count, lower, upper = found.get(item.key, (0, 0, error))
            # A key starts out absent everywhere; where it is listed, what is listed takes the place of the error.
            found[item.key] = (count + item.count, lower + item.sketch_lower, upper + item.sketch_upper - own)
    return found, error


def merge_hot_keys(
    parts: Sequence[Part], *, query: HotKeysQuery, now_unix_ms: int, node_id: str = "", incarnation: int = 0
) -> HotKeysAnswer:
    """One answer from many, with every candidate: whoever answers last cuts it to `top`.

    parts: one a peer in configured order, the local node first; an Outcome is a peer that failed.
    """
    counted = of_one_time(of_one_division(each_node_once(parts, query.exclude), query), query)
    live = [answer for answer, _ in counted if answer is not None]
    outcomes = [outcome for _, own in counted for outcome in own]
    found, error = added_up(live)
    ranges, differ = ranges_of(live)
    held = [answer for answer in live if answer.newest_unix_ms]
    whole = HotKeysAnswer(
        (),
        tuple(outcomes),
        sample_rate=max((answer.sample_rate for answer in live), default=0),
        sampled_n=sum(answer.sampled_n for answer in live),
        dropped_samples=sum(answer.dropped_samples for answer in live),
        skipped_long_keys=sum(answer.skipped_long_keys for answer in live),
        sketch_error=error,
        snapshot_at_unix_ms=max((answer.snapshot_at_unix_ms for answer in live), default=0),
        oldest_unix_ms=min((answer.oldest_unix_ms for answer in held), default=0),
        newest_unix_ms=max((answer.newest_unix_ms for answer in held), default=0),
        observed=any(answer.observed for answer in live),
        slices=slices_of(live),
        left_out_keys=sum(answer.left_out_keys for answer in live),
        slice_range=min(ranges) if ranges and not differ else None,
        slices_differ=differ,
        step_ms=max((answer.step_ms for answer in live), default=0),
        generated_at_unix_ms=now_unix_ms,
        node_id=node_id,
        incarnation=incarnation,
        merged=True,
        of_node=query.node_id,
    )
    return finished(whole, found)


def repeated_leaves(parts: Sequence[Part]) -> dict[int, tuple[LeafKey, ...]]:
    """For each merged part that holds leaves which an earlier part holds too: those, to be asked for without."""
    seen: set[LeafKey] = set()
    again: dict[int, tuple[LeafKey, ...]] = {}
    for number, part in enumerate(parts):
        if isinstance(part, Outcome):
            continue
        keys = _keys(part.outcomes)
        repeated = tuple(key for key in keys if key in seen)
        if part.merged and repeated:
            again[number] = repeated
        seen.update(keys)
    return again


def each_node_once(parts: Sequence[Part], exclude: Iterable[LeafKey]) -> list[Counted]:
    """Of a node listed twice the first counts, the other is warned of.

    An answer that merged a node which is counted already cannot be mended: all of it is left out.
    """
    seen = set(exclude)
    counted: list[Counted] = []
    for part in parts:
        if isinstance(part, Outcome):
            counted.append((None, (part,)))
            continue
        keys = _keys(part.outcomes)
        repeated = any(key in seen for key in keys)
        seen.update(keys)
        if not repeated:
            counted.append((part, part.outcomes))
        elif part.merged:
            counted.append((None, inseparable(part.outcomes)))
        else:
            counted.append((None, (with_warnings(part.outcomes[0], [_duplicate(part.outcomes[0])]),)))
    return counted


def _keys(outcomes: Iterable[Outcome]) -> list[LeafKey]:
    return [(o.node_id, o.incarnation) for o in outcomes if o.contributes and o.node_id]


def _duplicate(outcome: Outcome) -> PeerWarning:
    return PeerWarning(
        WarningCode.DUPLICATE_NODE, "", f"node {outcome.node_id!r} is listed twice and counted once, where listed first"
    )
