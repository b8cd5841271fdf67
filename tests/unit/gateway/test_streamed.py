"""Long bodies that are written while they are sent: their length is known before, and they are those of one piece."""

from __future__ import annotations

import asyncio
import gc
import itertools
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import Shape, cluster
from gateway import api, matrix_body
from gateway.joined_rows import NARROW
from gateway.matrix_body import MatrixRenderer
from gateway.metrics import Metrics
from gateway.streamed import Streamed, held_by
from keyviz_grpc.codec import decode_answer, encode_answer
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import merge
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import Shelf
from keyviz_grpc.traffic import Leaders
from tests.unit.gateway.scripted import MATRIX, OK, ScriptedCluster, asking

LONG = NARROW + 1


def merged(columns: int = LONG, *, rows: int = 40, **shape: Any) -> Answer:
    """Of what three nodes send, narrow as it is; with trouble unless said otherwise."""
    sent = [
        encode_answer(answer, accept=(pb.MATRIX_ENCODING_COLUMNAR,))
        for answer in cluster(Shape(3, rows, columns, **{"conflict_share": 0.2, **shape}))
    ]
    parts = [decode_answer(message, series=Series.WRITES, outcome=OK) for message in sent]
    return merge(parts, query=MatrixQuery(for_display=True), now_unix_ms=5)


def check(renderer: MatrixRenderer, answer: Answer, *, identity: bool = True) -> None:
    """The body is that of one piece, and as long as was said."""
    streamed = renderer.streamed(answer, identity=identity)
    body = b"".join(streamed)
    assert body == b"".join(renderer.pieces(answer, identity=identity))
    assert streamed.size_bytes == len(body)


@pytest.mark.parametrize("traffic", ["zipf", "dense", "idle"])
@pytest.mark.parametrize("trouble", [True, False])
@pytest.mark.parametrize("identity", [True, False])
def test_bodies_of_merged_matrices(traffic: str, trouble: bool, identity: bool) -> None:
    """With leaders that change, conflicts and rows that nodes lack, and without any."""
    kinds: dict[str, Any] = {"flips": trouble, "divergent": trouble, "conflict_share": 0.2 if trouble else 0.0}
    check(MatrixRenderer(), merged(traffic=traffic, **kinds), identity=identity)


def test_a_body_of_many_pieces() -> None:
    """One of which is written when it is asked for."""
    answer, renderer = merged(LONG, rows=2000), MatrixRenderer()
    assert len(list(renderer.streamed(answer))) > 4
    check(renderer, answer)


@pytest.mark.parametrize("leaders", [1, 2])
@pytest.mark.parametrize("marked", [True, False])
def test_what_a_waiting_body_takes_is_known(leaders: int, marked: bool) -> None:
    """Its rows and two pieces: up to thrice what it says, where numbers of eight bytes have one digit."""
    shape = (500, 2 * LONG)
    catalogue = Catalogue(tuple(Row(f"route:{n}", b"%03d" % n, b"%03d" % (n + 1)) for n in range(shape[0])))
    codes = np.broadcast_to(np.arange(shape[1]) % leaders + 1, shape).astype(np.uint32)
    renderer = MatrixRenderer()

    def streamed() -> Streamed:
        matrix = Matrix.of_leaders(
            Series.WRITES,
            np.arange(1, shape[1] + 1) * 1000,
            catalogue,
            np.ones(shape, np.uint32),
            Leaders.found(np.ones(shape, np.uint32), codes),
            identities=np.array([(0, 0), (1, 1), (2, 2**32)][: leaders + 1], np.uint64),
            conflicts=np.eye(*shape, dtype=np.bool_) if marked else None,
            soft=np.ones(shape, np.bool_) if marked else None,
        )
        return renderer.streamed(Answer(matrix, (OK,), step_ms=1000))

    streamed()
    gc.collect()
    tracemalloc.start()
    try:
        waiting = streamed()
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    taken += sum(sorted(map(len, waiting))[-2:])
    assert taken <= held_by(waiting) <= 2 * taken


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_matrix(data: st.DataObject) -> None:
    """Counts of every number of digits, leaders too, marks of either kind, no rows and no columns."""
    rows, columns = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5))

    def drawn(values: st.SearchStrategy[Any], dtype: Any) -> np.ndarray[Any, Any]:
        cells = rows * columns
        return np.array(data.draw(st.lists(values, min_size=cells, max_size=cells)), dtype).reshape(rows, columns)

    edges = [0, 1, 9, 10, 99, 100, 65_535, 10**9 - 1, 10**9, 2**32 - 1, 10**19 - 1, 10**19, 2**64 - 1]
    values = drawn(st.sampled_from(edges), np.uint64)
    codes = np.where(values > 0, drawn(st.integers(0, 3), np.uint32), 0).astype(np.uint32)
    matrix = Matrix(
        Series.WRITES,
        np.arange(1, columns + 1) * 1000,
        Catalogue(tuple(Row(f"route:{n}", b"%03d" % n, b"%03d" % (n + 1)) for n in range(rows))),
        values,
        identities=np.array([[0, 0], [9, 10], [10, 9], [2**64 - 1, 100]], np.uint64),
        codes=data.draw(st.sampled_from([codes, None])),
        soft=data.draw(st.sampled_from([None, drawn(st.booleans(), np.bool_)])),
        conflicts=data.draw(st.sampled_from([None, drawn(st.booleans(), np.bool_)])),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matrix_body, "NARROW", -1)
        check(MatrixRenderer(), Answer(matrix, (OK,), step_ms=1000), identity=data.draw(st.booleans()))


def test_which_bodies_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of long rows that nobody keeps, few and shown before, and of counts whose digits are soon counted."""
    plain, keeping, answer = MatrixRenderer(), MatrixRenderer(shelf=Shelf(1 << 24)), merged()
    degraded = replace(answer, outcomes=(*answer.outcomes, Outcome("p", kind=FailureKind.UNREACHABLE)))
    assert not plain.streams(answer)
    plain.render(answer)
    keeping.render(answer)
    assert plain.streams(answer)
    assert not keeping.streams(answer)
    assert degraded.degraded
    assert keeping.streams(degraded)
    short = merged(NARROW)
    plain.render(short)
    assert not plain.streams(short)
    talkative = replace(OK, detail="x" * (matrix_body.FEW_CHARS + 1))
    assert not plain.streams(replace(answer, outcomes=(talkative,)))
    for bound, most in (("FEW_MEASURED_CELLS", answer.matrix.cells), ("FEW_CELLS", LONG)):
        monkeypatch.setattr(matrix_body, bound, most)
        assert plain.streams(answer)
        monkeypatch.setattr(matrix_body, bound, most - 1)
        assert not plain.streams(answer)
        monkeypatch.undo()
    assert answer.matrix.values.itemsize > matrix_body.WIDEST_MEASURED
    assert not plain.streams(answer)


@pytest.fixture(name="streamed")
def _streamed(monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    """Whatever is streamed from now on; no matrix is little work."""
    seen: list[Answer] = []
    own = MatrixRenderer.streamed

    def streamed(renderer: MatrixRenderer, answer: Answer, *, identity: bool = True) -> Streamed:
        seen.append(answer)
        return own(renderer, answer, identity=identity)

    monkeypatch.setattr(MatrixRenderer, "streamed", streamed)
    monkeypatch.setattr(matrix_body, "FEW_CELLS", LONG)
    return seen


async def test_a_streamed_body_over_http(streamed: list[Answer]) -> None:
    """From the second time on, as long as it says; HEAD says the same; what it took is counted."""
    answer, metrics = merged(), Metrics()
    body = MatrixRenderer().render(answer)
    async with asking(ScriptedCluster(answer), metrics=metrics) as client:
        for number in range(3):
            got = await client.get(MATRIX, headers={"accept-encoding": "identity"})
            assert got.content == body
            assert got.headers["content-length"] == str(len(body))
            assert len(streamed) == number
        assert metrics.registry.get_sample_value("keyviz_render_seconds_count") == 3
        assert metrics.registry.get_sample_value("keyviz_json_bytes_sum") == 3 * len(body)
        head = await client.head(MATRIX, headers={"accept-encoding": "identity"})
        assert (head.content, head.headers["content-length"]) == (b"", str(len(body)))
        await client.get(MATRIX, headers={"accept-encoding": "gzip"})
        assert len(streamed) == 3


async def test_what_it_takes_to_write_a_body_is_counted(
    streamed: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of every piece, and of what comes before: each takes one second here."""
    answer, metrics = merged(), Metrics()
    async with asking(ScriptedCluster(answer), metrics=metrics) as client:
        await client.get(MATRIX, headers={"accept-encoding": "identity"})
        before_s = metrics.registry.get_sample_value("keyviz_render_seconds_sum") or 0.0
        ticks = itertools.count()
        monkeypatch.setattr(api, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
        await client.get(MATRIX, headers={"accept-encoding": "identity"})
        assert len(streamed) == 1
        pieces = len(list(MatrixRenderer().streamed(answer)))
        after_s = metrics.registry.get_sample_value("keyviz_render_seconds_sum") or 0.0
        assert after_s - before_s == pytest.approx(1 + pieces + 1)


async def test_several_readers_of_one_body_get_all_of_it(streamed: list[Answer]) -> None:
    """It is written once, and whole before it is sent."""
    answer, metrics = merged(), Metrics()
    cluster_of_one = ScriptedCluster(answer, held=asyncio.Event())
    assert cluster_of_one.held is not None
    async with asking(cluster_of_one, metrics=metrics) as client:
        cluster_of_one.held.set()
        body = (await client.get(MATRIX, headers={"accept-encoding": "identity"})).content
        cluster_of_one.held.clear()
        asked = [client.get(MATRIX, headers={"accept-encoding": "identity"}) for _ in range(3)]
        viewers = [asyncio.create_task(each) for each in asked]
        while metrics.registry.get_sample_value("keyviz_coalesced_requests_total", {"stage": "body"}) != 2:  # noqa: ASYNC110 - counted by the loop itself
            await asyncio.sleep(0)
        cluster_of_one.held.set()
        answers = await asyncio.gather(*viewers)
    assert {got.content for got in answers} == {body}
    assert metrics.registry.get_sample_value("keyviz_render_seconds_count") == 2
    assert not streamed
