"""Nodes that aggregators below are asked to leave out, because they are counted from elsewhere already."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from keyviz_grpc.aggregator.together import together
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.outcome import Outcome

FIRST_ROUND_SHARE: Final = 0.7

LeafKey: TypeAlias = tuple[str, int]
"""(node_id, incarnation)"""


class Addressed(Protocol):
    """Whoever is asked."""

    @property
    def address(self) -> str:
        """HOST:PORT."""
        ...


class Told(Protocol):
    """An answer of any kind."""

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One a leaf."""
        ...


Asked = TypeVar("Asked", bound=Addressed)
Answered = TypeVar("Answered", bound=Told)


class LeftOut(Generic[Asked, Answered]):
    """Remembers from one request to the next who is asked without whom, so that once is enough.

    repeated: for each answer that merged nodes which an earlier one holds too, those.
    """

    def __init__(self, repeated: Callable[[Sequence[Answered | Outcome]], Mapping[int, tuple[LeafKey, ...]]]) -> None:
        self._repeated = repeated
        self._known: dict[str, tuple[LeafKey, ...]] = {}

    def of(self, address: str) -> tuple[LeafKey, ...]:
        """Whom to leave out there."""
        return self._known.get(address, ())

    async def ask_all(
        self,
        peers: Sequence[Asked | Outcome],
        deadline: Deadline,
        ask: Callable[[Asked | Outcome, Deadline], Coroutine[object, object, Answered | Outcome]],
        own: Sequence[Coroutine[object, object, Answered | Outcome]] = (),
    ) -> list[Answered | Outcome]:
        """Everybody's answer, all asked at once and some of them again: `own` first, then the peers in their order.

        ask: asks with whom `of` names left out; a peer that has failed already is handed to it too, once.
        """
        first = self.first_round(deadline, peers)
        answers = await together([*own, *(ask(peer, first) for peer in peers)])
        numbered = enumerate(peers, len(own))
        asked = {number: peer for number, peer in numbered if not isinstance(peer, Outcome)}
        await self.settle(answers, asked, lambda peer: ask(peer, deadline))
        return answers

    def first_round(self, deadline: Deadline, peers: Iterable[Addressed | Outcome]) -> Deadline:
        """The deadline of the first round: a part of the time stays where somebody may have to be asked again."""
        again = bool(self._known) and any(peer.address in self._known for peer in peers)
        return deadline.child(deadline.left_s(), FIRST_ROUND_SHARE) if again else deadline

    async def settle(
        self,
        answers: list[Answered | Outcome],
        peers: Mapping[int, Asked],
        ask: Callable[[Asked], Coroutine[object, object, Answered | Outcome]],
    ) -> None:
        """Asks anew, in place, where somebody was left out whom nobody else counted, or counted who is elsewhere too.

        peers: who gave the answer of that number. ask: asks with whom `of` names left out.
        """
        for number, peer in peers.items() if self._known else ():
            known = self.of(peer.address)
            if not known or isinstance(answers[number], Outcome):
                continue
            elsewhere = {key for other, answer in enumerate(answers) if other != number for key in _counted(answer)}
            still = tuple(key for key in known if key in elsewhere)
            if still != known:
                self._remember(peer.address, still)
                again = await ask(peer)
                if isinstance(again, Outcome):
                    # What it said without somebody is better than nothing, and the next request asks again.
                    self._remember(peer.address, known)
                else:
                    answers[number] = again
        for number, repeated in self._repeated(answers).items():
            if number in peers:
                peer = peers[number]
                self._remember(peer.address, tuple(sorted({*self.of(peer.address), *repeated})))
                answers[number] = await ask(peer)

    def _remember(self, address: str, left_out: tuple[LeafKey, ...]) -> None:
        if left_out:
            self._known[address] = left_out
        else:
            self._known.pop(address, None)


def _counted(answer: Told | Outcome) -> set[LeafKey]:
    if isinstance(answer, Outcome):
        return set()
    return {(o.node_id, o.incarnation) for o in answer.outcomes if o.contributes and o.node_id}
