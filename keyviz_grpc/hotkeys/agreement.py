"""Whether answers that are about to be added up are about the same thing: one slice, and windows that all have closed.

Of leaves that have operations of the route and know its slices both rules say in a tree of aggregators what they say
in a flat list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from keyviz_grpc.errors import FailureKind
from keyviz_grpc.hotkeys.answer import UNKNOWN_SLICES, HotKeysAnswer
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.merge.warnings import with_warnings
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

    Nodes that do not know the slices any more count with a wide error (see `of_any_slice`) and are warned of.
    """
    if query.sub_bucket is None:
        return list(counted)
    slices = slices_of(answer for answer, _ in counted if answer is not None)
    found: list[Counted] = []
    for answer, outcomes in counted:
        if answer is None or not answer.observed:
            found.append((answer, outcomes))
        elif not answer.slices and not answer.merged:
            found.append((answer, _warned(outcomes, UNKNOWN_SLICES)))
        elif answer.slices in (0, slices):  # 0: a merged one, whose leaves were warned of where it was merged
            found.append((answer, outcomes))
        else:
            detail = f"counts route {query.route_id} in {answer.slices} slices, others in {slices}"
            found.append((None, as_failures(outcomes, FailureKind.INCOMPATIBLE, detail)))
    return found


def up_to_date(counted: Sequence[Counted], query: HotKeysQuery) -> list[Counted]:
    """With a warning of each leaf that has not closed the newest window which the answer has of those asked for.

    Where one node is asked for, others that hold nothing have stood aside.
    """
    newest = max((answer.snapshot_at_unix_ms for answer, _ in counted if answer is not None), default=0)

    def behind(answer: HotKeysAnswer) -> bool:
        return answer.newest_unix_ms < newest and not (query.node_id and not answer.newest_unix_ms)

    return [
        (answer, _warned(outcomes, _BEHIND) if answer is not None and behind(answer) else outcomes)
        for answer, outcomes in counted
    ]


def _warned(outcomes: Sequence[Outcome], warning: PeerWarning) -> tuple[Outcome, ...]:
    return tuple(with_warnings(o, [warning]) if o.contributes else o for o in outcomes)
