"""Single parts against the least that they could cost."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import Result, compare, in_turn_cpu
from benchmarks.node import node_parts
from benchmarks.synthetic import FIRST_STAMP_UNIX_MS, STEP_MS, Shape, cluster
from gateway import encodings
from keyviz_grpc.codec import decode_answer, encode_answer, parse_response
from keyviz_grpc.merge import merge
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery


def single_parts(*, quick: bool) -> list[Result]:
    """What a node does, merge, and both encodings."""
    samples = 25 if quick else 60
    return [*node_parts(samples, quick=quick), *_merge(samples), *_codec()]


def _merge(samples: int) -> list[Result]:
    rows: list[Result] = []
    now = FIRST_STAMP_UNIX_MS + 60 * STEP_MS  # when the newest column has just closed, so that no clock is warned of
    for trouble in (False, True):
        shape = Shape(3, 1024, 60, flips=trouble, divergent=trouble, conflict_share=0.02 if trouble else 0.0)
        # As they come from decoding, in which the rows that have traffic are known.
        parts = [_sent(answer) for answer in cluster(shape)]
        # With catalogues that differ the arrays do too; the floor adds three of the union's size.
        arrays = [answer.matrix.values for answer in cluster(Shape(3, 1024, 60, divergent=False))]

        def floor(arrays: list[np.ndarray[tuple[int, ...], np.dtype[np.uint64]]] = arrays) -> object:
            total = np.zeros_like(arrays[0])
            for array in arrays:
                total = total + array
            return total

        name = "merge 3 x 1024 x 60" + (", flips, conflicts, catalogues that differ" if trouble else "")
        pair = in_turn_cpu(lambda: merge(parts, query=MatrixQuery(), now_unix_ms=now), floor, samples=samples)  # noqa: B023
        rows += compare(name, *pair, target="<= 6")
    return rows


def _sent(answer: Answer) -> Answer:
    """What the aggregator holds of a node's answer."""
    message = encode_answer(answer, accept=(pb.MATRIX_ENCODING_COLUMNAR,))
    return decode_answer(message, series=answer.matrix.series, outcome=answer.outcomes[0])


def _codec() -> list[Result]:
    rows: list[Result] = []
    for traffic in ("dense", "zipf", "idle"):
        answer = cluster(Shape(3, 1024, 60, traffic=traffic))[0]
        cells = answer.matrix.values.size
        packed, plain = (
            encode_answer(answer, accept=accept).SerializeToString() for accept in ((pb.MATRIX_ENCODING_COLUMNAR,), ())
        )
        for coding in ("", *encodings.PACKERS):
            ours, base = (len(encodings.pack(raw, coding)) / cells for raw in (packed, plain))
            name = f"{traffic} 1024 x 60, packed against rows{coding and f', both under {coding}'}"
            rows.append(Result(name, "bytes a cell", ours, base, ours / base, ""))

        def decode(raw: bytes) -> object:
            return decode_answer(parse_response(raw), series=answer.matrix.series, outcome=Outcome("p"))  # noqa: B023

        pair = in_turn_cpu(lambda: decode(packed), lambda: decode(plain), samples=20)  # noqa: B023
        rows += compare(f"{traffic} 1024 x 60, decoding packed against rows", *pair, target="")
    return rows
