"""Answers as bytes, against the messages that they are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import Question, answer_bytes, encode_answer, packed_before
from keyviz_grpc.errors import TooLarge
from keyviz_grpc.outcome import Answer, History
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.service import AnswerBounds, NodeServicer

COLUMNAR = (pb.MATRIX_ENCODING_COLUMNAR,)
ONE, OTHER = cluster(Shape(2, 4, 3))
TOLD = replace(ONE, revision=5, oldest_unix_ms=7, generated_at_unix_ms=300, history=History(9, 11))


@pytest.mark.parametrize(
    "answer",
    [
        TOLD,
        replace(TOLD, revision=6),
        replace(TOLD, generated_at_unix_ms=0),
        replace(TOLD, generated_at_unix_ms=2**63 - 1),
        replace(TOLD, incarnation=TOLD.incarnation + 1),
        replace(TOLD, oldest_unix_ms=8),
        replace(TOLD, history=None),
        replace(TOLD, history=History(9, 12)),
        replace(TOLD, history=History(9, 11, 10, 2)),
        replace(TOLD, leaf_answers=((0, OTHER),)),
        replace(TOLD, merged=True),
    ],
)
def test_the_bytes_of_an_answer_are_those_of_its_message(answer: Answer) -> None:
    """Whatever of it was put into bytes before, for another answer of that node."""
    message = encode_answer(answer, accept=COLUMNAR)
    assert pb.GetKeyVizMatrixResponse.FromString(answer_bytes(answer, accept=COLUMNAR)) == message
    packed = packed_before(answer, accept=COLUMNAR)
    assert packed is not None
    ready = answer_bytes(answer, accept=COLUMNAR, packed=packed)
    assert pb.GetKeyVizMatrixResponse.FromString(ready) == message


class Ready:
    """A source with an answer that is packed already."""

    def matrix(self, query: MatrixQuery) -> Answer:
        """See Source."""
        raise AssertionError(query)

    def matrix_at_once(self, query: MatrixQuery) -> Answer:
        """See PromptSource."""
        del query
        return TOLD


async def test_an_answer_that_is_ready_is_bounded_too() -> None:
    """Packed for somebody before is no reason to send more than a server sends."""
    answer_bytes(TOLD, accept=COLUMNAR)
    question, rows = Question(pb.GetKeyVizMatrixRequest(accept=COLUMNAR)), TOLD.matrix.shape[0]
    with ThreadPoolExecutor(1) as threads:
        for most in (rows, rows - 1):
            servicer = NodeServicer(cast("Any", Ready()), threads, bounds=AnswerBounds(most, 100))
            if most == rows:
                assert await servicer.matrix_bytes(question, cast("Any", None))
            else:
                with pytest.raises(TooLarge, match="max_rows"):
                    await servicer.matrix_bytes(question, cast("Any", None))
