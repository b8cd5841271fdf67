"""The seam between what counts and what serves: a node answers from a `Source`, and from nothing else."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from keyviz_grpc.outcome import Answer, Overview
from keyviz_grpc.query import MatrixQuery


class Source(Protocol):
    """Where a node's own view comes from. Both methods are thread-safe and may take milliseconds of CPU."""

    def matrix(self, query: MatrixQuery) -> Answer:
        """This node's own view of closed windows only.

        Rows in key order, columns in `query.window` (a stamp is the end of a window), folded to `query.rows` if
        that is not 0. `query.node_id`, when given and not this node's, yields no rows and no columns. The one
        outcome has an empty address. Raises SamplerDisabled when there is no sampler.
        """
        ...

    def overview(self) -> Overview:
        """This node's identity, the members it knows without itself, and leader and term of each group."""
        ...


@runtime_checkable
class PromptSource(Protocol):
    """A source that knows what it can give at once, so that nobody has to ask it in a thread."""

    def matrix_at_once(self, query: MatrixQuery) -> Answer | None:
        """What `Source.matrix` would give now, in a millisecond or two and waiting for nobody, else None.

        None too wherever `matrix` would raise.
        """
        ...

    def standing(self) -> tuple[int, int] | None:
        """The number of what answers are made of, and unix milliseconds now; None while a window is due to close.

        While that number is the same, so is the answer to a query, but for when it was made; an earlier one does not
        come again. Waits for nobody.
        """
        ...
