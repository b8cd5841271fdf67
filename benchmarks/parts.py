"""Single parts against the least that they could cost."""

from __future__ import annotations

import threading
import timeit
from collections.abc import Callable

import numpy as np

from benchmarks.measure import Result, compare, in_turn_cpu
from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import decode_answer, encode_answer
from keyviz_grpc.merge import merge
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, PackedKeys, Route, Sampler

CALLS = 20_000
BATCH = 10_000


class _Empty:
    def observe(self, route_id: int, key: bytes, op: Op, value_size: int, *, label: str = "") -> None:
        """The same arguments and nothing done."""


def single_parts(*, quick: bool) -> list[Result]:
    """observe, observe_many, merge, and both encodings."""
    samples = 25 if quick else 60
    return [*_observe(samples), *_observe_many(samples), *_merge(samples), *_codec()]


def _sampler() -> Sampler:
    sampler = Sampler(node_id="n1")
    sampler.register_routes([Route(n, b"%05d" % n, b"%05d" % (n + 1), n % 10 + 1) for n in range(1, 1001)])
    for group in range(1, 11):
        sampler.set_leader(group, 7)
    return sampler


def _calls(observe: Callable[..., None], label: str) -> Callable[[], float]:
    names = {"f": observe, "k": b"k" * 16, "W": Op.WRITE}
    call = f"f(7, k, W, 100, label={label!r})" if label else "f(7, k, W, 100)"
    return lambda: timeit.timeit(call, globals=names, number=CALLS)


def _in_threads(work: Callable[[], float], threads: int) -> Callable[[], None]:
    def run() -> None:
        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    return run


def _observe(samples: int) -> list[Result]:
    rows: list[Result] = []
    with _sampler() as sampler:
        for threads in (1, 8):
            for label in ("", "cache"):
                ours = _in_threads(_calls(sampler.observe, label), threads)
                floor = _in_threads(_calls(_Empty().observe, label), threads)
                name = f"observe, {threads} thread(s){', labelled' if label else ''}"
                metric = f"p50 ms per {CALLS * threads} calls"
                rows += compare(name, *in_turn_cpu(ours, floor, samples=samples), target="<= 8", metric=metric)
    return rows


def _observe_many(samples: int) -> list[Result]:
    rng = np.random.default_rng(1)
    ids = rng.integers(1, 1001, BATCH).astype(np.uint64)
    keys = PackedKeys(np.zeros(16 * BATCH, np.uint8), np.arange(BATCH + 1) * 16)
    ops, sizes = np.ones(BATCH, np.uint8), np.full(BATCH, 100)
    with _sampler() as sampler:
        ours, _ = in_turn_cpu(lambda: sampler.observe_many(ids, keys, ops, sizes), lambda: None, samples=samples)
    nanoseconds = sorted(ours)[len(ours) // 2] * 1e6 / BATCH
    return [Result("observe_many, batches of 10 000 arrays", "p50 ns an operation", nanoseconds, None, None, "<= 30")]


def _merge(samples: int) -> list[Result]:
    rows: list[Result] = []
    for trouble in (False, True):
        shape = Shape(3, 1024, 60, flips=trouble, divergent=trouble, conflict_share=0.02 if trouble else 0.0)
        parts = cluster(shape)
        # With catalogues that differ the arrays do too; the floor adds three of the union's size.
        arrays = [answer.matrix.values for answer in cluster(Shape(3, 1024, 60, divergent=False))]

        def floor(arrays: list[np.ndarray[tuple[int, ...], np.dtype[np.uint64]]] = arrays) -> object:
            total = np.zeros_like(arrays[0])
            for array in arrays:
                total = total + array
            return total

        name = "merge 3 x 1024 x 60" + (", flips, conflicts, catalogues that differ" if trouble else "")
        pair = in_turn_cpu(lambda: merge(parts, query=MatrixQuery(), now_unix_ms=1), floor, samples=samples)  # noqa: B023
        rows += compare(name, *pair, target="<= 6")
    return rows


def _codec() -> list[Result]:
    rows: list[Result] = []
    for traffic in ("dense", "zipf", "idle"):
        answer = cluster(Shape(3, 1024, 60, traffic=traffic))[0]
        cells = answer.matrix.values.size
        packed, plain = (
            encode_answer(answer, accept=accept).SerializeToString() for accept in ((pb.MATRIX_ENCODING_COLUMNAR,), ())
        )
        ratio = len(packed) / len(plain)
        rows.append(
            Result(
                f"{traffic} 1024 x 60, packed against rows",
                "bytes a cell",
                len(packed) / cells,
                len(plain) / cells,
                ratio,
                "",
            )
        )

        def decode(raw: bytes) -> object:
            message = pb.GetKeyVizMatrixResponse.FromString(raw)
            return decode_answer(message, series=answer.matrix.series, outcome=Outcome("p"))  # noqa: B023

        pair = in_turn_cpu(lambda: decode(packed), lambda: decode(plain), samples=20)  # noqa: B023
        rows += compare(f"{traffic} 1024 x 60, decoding packed against rows", *pair, target="")
    return rows
