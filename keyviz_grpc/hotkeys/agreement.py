"""Whether answers that are about to be added up are about the same: one slice, and one time.

Of leaves that have operations of the route and know its slices the rules say in a tree of aggregators what they say in
a flat list: they compare what leaves state with the most that any states, which below can only be less, in words that
name no other leaf.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from keyviz_grpc.errors import FailureKind
from keyviz_grpc.hotkeys.answer import UNKNOWN_SLICES, HotKeysAnswer
from keyviz_grpc.hotkeys.lives import KeyRange
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.merge.warnings import range_text, short_history, with_warnings, without_recomputed
from keyviz_grpc.model import Window
from keyviz_grpc.outcome import Outcome, PeerWarning, WarningCode, as_failures

Counted: TypeAlias = tuple[HotKeysAnswer | None, tuple[Outcome, ...]]
"""A peer's answer where it counts, and the outcomes of its leaves."""


def _lacks_time(detail: str) -> PeerWarning:
    return PeerWarning(WarningCode.SHORT_HISTORY, "", detail)


_BEHIND: Final = _lacks_time("it has not closed the newest window of the answer yet")
_YOUNGER: Final = _lacks_time("it holds less of the past than other nodes")
_BEGINS_LATER: Final = _lacks_time("its windows begin later than those of other nodes, whose step is another")
_ENDS_EARLIER: Final = _lacks_time("its windows end earlier than those of other nodes, whose step is another")


def slices_of(answers: Iterable[HotKeysAnswer]) -> int:
    """In how many slices the route is counted: the most that any says which has operations of it, else that any says.

    The most, for that is the same in whatever order and tree they are asked.
    """
    return max(((answer.observed and answer.slices > 0, answer.slices) for answer in answers), default=(False, 0))[1]


def of_one_division(counted: Sequence[Counted], query: HotKeysQuery) -> list[Counted]:
    """Where one slice is asked for: without the operations of nodes that have other slices, which are failures then.

    As many slices at other cuts count, as they do in their row, and are warned of; so are nodes that do not know the
    slices any more, whose error is wide (see `of_any_slice`).
    """
    if query.sub_bucket is None:
        return list(counted)
    live = [answer for answer, _ in counted if answer is not None]
    slices, (_, differ) = slices_of(live), ranges_of(live)
    found: list[Counted] = []
    for answer, outcomes in counted:
        if answer is not None and differ and answer.slices == slices:
            found.append((answer, _warned(outcomes, _cut_elsewhere(answer, query))))
        elif answer is None or not answer.observed:
            found.append((answer, outcomes))
        elif not answer.slices and not answer.merged:
            found.append((answer, _warned(outcomes, [UNKNOWN_SLICES])))
        elif answer.slices in (0, slices):  # 0: a merged one, whose leaves were warned of where it was merged
            found.append((answer, outcomes))
        else:
            detail = f"counts route {query.route_id} in {answer.slices} slices, others in {slices}"
            unwarned = map(without_recomputed, outcomes)  # of what was added up below, where they did count
            found.append((None, as_failures(unwarned, FailureKind.INCOMPATIBLE, detail)))
    return found


def ranges_of(answers: Sequence[HotKeysAnswer]) -> tuple[set[KeyRange], bool]:
    """(the ranges that the slice asked for has on nodes with the number of slices that counts, whether they differ)."""
    slices = slices_of(answers)
    same = [answer for answer in answers if answer.slices == slices]
    ranges = {answer.slice_range for answer in same if answer.slice_range is not None}
    return ranges, len(ranges) > 1 or any(answer.slices_differ for answer in same)


def _cut_elsewhere(answer: HotKeysAnswer, query: HotKeysQuery) -> list[PeerWarning]:
    """Each node is told with its own range, for there is no saying which is right; those merged before are already."""
    if answer.slice_range is None:
        return []
    own = range_text(*answer.slice_range)
    detail = f"slice {query.sub_bucket} of route {query.route_id} is {own} there, and not the same on all nodes"
    return [PeerWarning(WarningCode.CATALOG_DIVERGENCE, "", detail)]


def of_one_time(counted: Sequence[Counted], query: HotKeysQuery) -> list[Counted]:
    """With a warning of each leaf that lacks some of the time which the answer is about.

    From some moment on, that is the time asked for, as in a heatmap. Asked for all that is held, it is the time that
    any leaf holds: what others counted before they begin is in no interval. Where one node is asked for, others that
    hold nothing have stood aside.
    """
    newest = max((answer.snapshot_at_unix_ms for answer, _ in counted if answer is not None), default=0)
    window = query.window
    begins = [_begin(leaf, window) for _, own in counted for leaf in own if leaf.contributes and leaf.oldest_unix_ms]
    first = min(begins, default=0)

    def lacks(leaf: Outcome) -> list[PeerWarning]:
        if query.node_id and not leaf.oldest_unix_ms:
            return []
        found = short_history(leaf, window, leaf.step_ms)
        if leaf.newest_unix_ms < newest:
            found.append(_BEHIND)
        if leaf.oldest_unix_ms and _begin(leaf, window) > first:
            found.append(_BEGINS_LATER if window.from_unix_ms else _YOUNGER)
        if leaf.oldest_unix_ms and _ends_before(leaf, window, newest):
            found.append(_ENDS_EARLIER)
        return found

    return [
        (
            answer,
            outcomes if answer is None else tuple(with_warnings(o, lacks(o)) if o.contributes else o for o in outcomes),
        )
        for answer, outcomes in counted
    ]


def _begin(leaf: Outcome, window: Window) -> int:
    """When the first window of a leaf begins that it was asked for, or of those it holds where all were asked for."""
    if not window.from_unix_ms or not leaf.step_ms:
        return leaf.oldest_unix_ms - leaf.step_ms
    return (-(-window.from_unix_ms // leaf.step_ms) - 1) * leaf.step_ms


def _ends_before(leaf: Outcome, window: Window, newest_unix_ms: int) -> bool:
    """Whether the last window of a leaf that it was asked for ends before that moment."""
    if not window.to_unix_ms or not leaf.step_ms:
        return False
    return (window.to_unix_ms - 1) // leaf.step_ms * leaf.step_ms < newest_unix_ms


def _warned(outcomes: Sequence[Outcome], warnings: Sequence[PeerWarning]) -> tuple[Outcome, ...]:
    return tuple(with_warnings(o, warnings) if o.contributes else o for o in outcomes)
