"""Answers in packed form, read with what is large in them apart, and as a whole."""

from __future__ import annotations

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import answer_bytes, decode_answer, parse_response, set_apart
from keyviz_grpc.model import Matrix, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.traffic import Runs

COLUMNAR = (pb.MATRIX_ENCODING_COLUMNAR,)


def sent(rows: int = 40) -> bytes:
    """What one node of two answers."""
    return answer_bytes(cluster(Shape(2, rows, 6))[0], accept=COLUMNAR)


def read(raw: bytes) -> Answer:
    """With what stands apart."""
    own = set_apart(raw)
    return decode_answer(own.message(), series=Series.WRITES, outcome=Outcome("p"), large=own.large)


def left_of(raw: bytes) -> pb.GetKeyVizMatrixResponse:
    """The message that lacks what stands apart."""
    return pb.GetKeyVizMatrixResponse.FromString(set_apart(raw).message().SerializeToString())


def read_whole(raw: bytes) -> Answer:
    """As one message."""
    return decode_answer(parse_response(raw), series=Series.WRITES, outcome=Outcome("p"))


def rows_are_known(raw: bytes) -> bool:
    """Whether nothing of its rows is read any more."""
    large = set_apart(raw).large
    return large is not None and large.rows is not None


def runs_of(matrix: Matrix) -> Runs:
    """Of a matrix that has some."""
    assert matrix.busy is not None
    assert matrix.busy.runs is not None
    return matrix.busy.runs


def told(answer: Answer) -> tuple[object, ...]:
    """Everything that an answer says."""
    matrix = answer.matrix
    codes = None if matrix.codes is None else matrix.codes.tolist()
    cells = matrix.columns.tolist(), matrix.values.tolist(), matrix.identities.tolist(), codes
    return matrix.catalogue, cells, answer.node_id, answer.outcomes, answer.history, answer.step_ms
