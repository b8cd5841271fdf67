"""What was answered while nothing was new: the answer of other moments too, as long as nodes tell nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keyviz_grpc.merge.warnings import of_leaf
from keyviz_grpc.outcome import Answer, Outcome, WarningCode
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered.recollected import Stamps
from keyviz_grpc.unchanging import unchanging


@unchanging(frozen=True, slots=True, eq=False)
class Still:
    """One answer, to one question. told: the stamps of each node, the very objects that `Remembered.between` gave.

    Those are of one life of one node and of one range, so that whoever tells them again tells equal cells and rows.
    What is left is what an answer says of its moment, and what its node does: its step and its oldest column.
    """

    query: MatrixQuery
    told: tuple[Stamps, ...]
    answer: Answer

    @classmethod
    def of(cls, answer: Answer, results: Sequence[Answer], query: MatrixQuery) -> Still | None:
        """What nodes told that are remembered, and their answer. None where the clock of one of them is off."""
        warnings = [warning for outcome in answer.outcomes for warning in outcome.warnings]
        if any(warning.code is WarningCode.CLOCK_SKEW for warning in warnings):
            return None
        return cls(query, tuple([result.matrix.columns for result in results]), answer)

    def at(self, results: Sequence[Answer | Outcome], query: MatrixQuery, *, now_unix_ms: int) -> Answer | None:
        """The answer of this moment; None where anybody fails, tells anything else, or has a clock that is off."""
        if len(results) != len(self.told) or query != self.query:
            return None
        outcomes: list[Outcome] = []
        revision = 0
        for result, columns, before in zip(results, self.told, self.answer.outcomes, strict=True):
            if not isinstance(result, Answer) or result.matrix.columns is not columns:
                return None
            own = result.outcomes[0]
            if own.warnings or _standing(own) != _standing(before):
                return None
            if of_leaf(result, step_ms=own.step_ms, now_unix_ms=now_unix_ms):
                return None
            outcomes.append(own.warned(before.warnings))
            revision += result.revision
        return replace(self.answer, outcomes=tuple(outcomes), generated_at_unix_ms=now_unix_ms, revision=revision)


def _standing(outcome: Outcome) -> tuple[str, int, int]:
    """What a node says of itself that its columns do not fix, whatever the moment."""
    return outcome.address, outcome.step_ms, outcome.oldest_unix_ms
