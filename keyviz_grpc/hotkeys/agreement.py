"""Whether answers that are about to be added up are about the same: one slice, and windows that all have closed.

Of leaves that have operations of the route and know its slices both rules say in a tree of aggregators what they say
in a flat list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from keyviz_grpc.errors import FailureKind
from keyviz_grpc.hotkeys.answer import UNKNOWN_SLICES, HotKeysAnswer
from keyviz_grpc.hotkeys.lives import KeyRange
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.merge.warnings import range_text, with_warnings
from keyviz_grpc.outcome import Outcome, PeerWarning, WarningCode, as_failures

Counted: TypeAlias = tuple[HotKeysAnswer | None, tuple[Outcome, ...]]
"""A peer's answer where it counts, and the outcomes of its leaves."""

_BEHIND: Final = PeerWarning(WarningCode.SHORT_HISTORY, "", "it has not closed the newest window of the answer yet")


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
            found.append((None, as_failures(outcomes, FailureKind.INCOMPATIBLE, detail)))
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


def up_to_date(counted: Sequence[Counted], query: HotKeysQuery) -> list[Counted]:
    """With a warning of each leaf that has not closed the newest window which the answer has of those asked for.

    Where one node is asked for, others that hold nothing have stood aside.
    """
    newest = max((answer.snapshot_at_unix_ms for answer, _ in counted if answer is not None), default=0)

    def behind(answer: HotKeysAnswer) -> bool:
        return answer.newest_unix_ms < newest and not (query.node_id and not answer.newest_unix_ms)

    return [
        (answer, _warned(outcomes, [_BEHIND]) if answer is not None and behind(answer) else outcomes)
        for answer, outcomes in counted
    ]


def _warned(outcomes: Sequence[Outcome], warnings: Sequence[PeerWarning]) -> tuple[Outcome, ...]:
    return tuple(with_warnings(o, warnings) if o.contributes else o for o in outcomes)
