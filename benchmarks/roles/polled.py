"""Nodes whose ring moves on by a column when told to, and that know what a caller remembers, as samplers do."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from benchmarks.children import options, say, used
from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.merge.columns import select_columns
from keyviz_grpc.model import Matrix
from keyviz_grpc.outcome import Answer, History, Member, Overview
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_node

NUMBER = 7


@dataclass
class Moving:
    """Holds `width` of the answer's columns, from number `at` on; the matrix is there, as between two columns."""

    answer: Answer
    width: int
    at: int = 0
    _made: dict[tuple[int, int], Matrix] = field(default_factory=dict)

    def step(self) -> None:
        """A new column, in place of the oldest."""
        self.at += 1
        self._made.clear()

    def matrix(self, query: MatrixQuery) -> Answer:
        """Of the columns held those asked for that the caller does not know."""
        held = self.answer.matrix.columns[self.at : self.at + self.width]
        inside = query.window.bounds(held)
        first, last, left_out = self.at + inside.start, self.at + inside.stop, 0
        known, below = query.known, 0
        if known is not None and (known.node_id, known.history) == (self.answer.node_id, NUMBER):
            below = known.below_unix_ms
            left_out = int((held[inside] < below).sum())
        columns = first + left_out, last
        # Until the next column closes a sampler hands out the matrix that it made before, which is encoded once.
        matrix = self._made.get(columns) or select_columns(self.answer.matrix, slice(*columns))
        self._made[columns] = matrix
        newest, oldest = int(held[-1]), int(held[0])
        outcome = replace(self.answer.outcomes[0], generated_at_unix_ms=newest, oldest_unix_ms=oldest)
        return replace(
            self.answer,
            matrix=matrix,
            outcomes=(outcome,),
            generated_at_unix_ms=newest,
            oldest_unix_ms=oldest,
            history=History(NUMBER, newest, below, left_out),
        )

    def matrix_at_once(self, query: MatrixQuery) -> Answer | None:
        """As a sampler between two columns."""
        return self.matrix(query)

    def overview(self) -> Overview:
        """Its name."""
        return Overview(Member(self.answer.node_id, ""))


async def _serve(nodes: list[Moving]) -> None:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(await serve_node(node, listen="127.0.0.1:0")) for node in nodes]
        say(addresses=[server.address for server in servers])
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if command == "step":
                for node in nodes:
                    node.step()
            say(**used())


def main() -> None:
    """Until the parent closes its end."""
    given = options()
    shape = Shape.from_plain(given["shape"])
    longer = replace(shape, columns=shape.columns + given["steps"])
    answers = cluster(longer, now_unix_ms=given["now_unix_ms"], only=given["numbers"])
    asyncio.run(_serve([Moving(answer, shape.columns) for answer in answers]))


if __name__ == "__main__":
    main()
