"""What a node's servicer has ready, without a server around it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast
from weakref import ref

import pytest
from prometheus_client import CollectorRegistry

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc import service
from keyviz_grpc.answer_bounds import UNBOUNDED, AnswerBounds
from keyviz_grpc.codec import Question, Ready, answer_bytes, question_of, ready_before
from keyviz_grpc.codec.queries import SHORT_BYTES
from keyviz_grpc.errors import TooLarge
from keyviz_grpc.metrics import ServerMetrics
from keyviz_grpc.outcome import Answer, History, Overview
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.service import KEPT_GIVEN, NodeServicer

COLUMNAR = (pb.MATRIX_ENCODING_COLUMNAR,)
(TOLD,) = cluster(Shape(1, 4, 3))
ROWS, COLUMNS = TOLD.matrix.shape


class Prompt:
    """A source that has one answer at once, which is packed already; looks: how often it was asked for it."""

    def __init__(self) -> None:
        self.answer = replace(TOLD, history=History(9, 11))
        self.now: tuple[int, int] | None = (1, 100)
        self.looks = 0
        answer_bytes(self.answer, accept=COLUMNAR)

    def matrix(self, query: MatrixQuery) -> Answer:
        """Of another revision, so that it can be told which way was gone."""
        del query
        return replace(self.answer, revision=77)

    def matrix_at_once(self, query: MatrixQuery) -> Answer:
        """See PromptSource."""
        del query
        self.looks += 1
        return self.answer

    def standing(self) -> tuple[int, int] | None:
        """See PromptSource."""
        return self.now

    def overview(self) -> Overview:
        """Nobody asks for it."""
        pytest.fail("asked for the overview")


class _Seen(Ready):
    """One that can be asked whether anybody holds it."""


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """One."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


def question(*via: str) -> Question:
    """In bytes of its own for each list of aggregators."""
    return question_of(pb.GetKeyVizMatrixRequest(accept=COLUMNAR, via=via).SerializeToString())


async def asked(servicer: NodeServicer, what: Question) -> pb.GetKeyVizMatrixResponse:
    """The answer as a message."""
    return pb.GetKeyVizMatrixResponse.FromString(await servicer.matrix_bytes(what, cast("Any", None)))


async def test_the_same_question_is_looked_into_once_while_nothing_changes(threads: ThreadPoolExecutor) -> None:
    """All but the moment is said again; whatever changes is looked for."""
    source = Prompt()
    servicer, what = NodeServicer(source, threads), question()
    first = await asked(servicer, what)
    source.now = (1, 300)
    again = await asked(servicer, what)
    assert (first.generated_at_unix_ms, again.generated_at_unix_ms, source.looks) == (100, 300, 1)
    first.generated_at_unix_ms = 300
    assert again == first
    source.answer, source.now = replace(source.answer, revision=5), (2, 300)
    assert (await asked(servicer, what)).revision == 5
    assert source.looks == 2


async def test_only_what_makes_the_message_counts_as_that(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it took to read the columns, which has a span of its own."""
    source, registry, now_s = Prompt(), CollectorRegistry(), 0.0
    look, spans = source.matrix_at_once, list[tuple[str, float, float]]()

    def slowly(query: MatrixQuery) -> Answer:
        nonlocal now_s
        now_s += 2.0
        return look(query)

    def past(name: str, began_s: float, ended_s: float, **_: object) -> None:
        spans.append((name, began_s, ended_s))

    monkeypatch.setattr(source, "matrix_at_once", slowly)
    monkeypatch.setattr(time, "perf_counter", lambda: now_s)
    monkeypatch.setattr(service, "is_wanted", lambda: True)
    monkeypatch.setattr(service, "past", past)
    servicer, what = NodeServicer(source, threads, ServerMetrics(registry, frozenset())), question()
    for _ in range(2):
        await asked(servicer, what)
    assert registry.get_sample_value("keyviz_grpc_encode_seconds_count") == 2
    assert registry.get_sample_value("keyviz_grpc_encode_seconds_sum") == 0.0
    assert spans == [
        *[("keyviz.read", 0.0, 2.0), ("keyviz.encode", 2.0, 2.0)],
        *[("keyviz.read", 2.0, 2.0), ("keyviz.encode", 2.0, 2.0)],
    ]


async def test_while_a_window_is_due_it_is_made_anew(threads: ThreadPoolExecutor) -> None:
    """What was ready before that is no answer any more."""
    source = Prompt()
    servicer, what = NodeServicer(source, threads), question()
    assert (await asked(servicer, what)).revision == 0
    source.now = None
    assert (await asked(servicer, what)).revision == 77


async def test_few_questions_are_kept(threads: ThreadPoolExecutor) -> None:
    """The one that was looked into first goes first."""
    source = Prompt()
    servicer, questions = NodeServicer(source, threads), [question(str(number)) for number in range(KEPT_GIVEN + 1)]
    for what in [*questions, *questions[1:]]:
        await asked(servicer, what)
    assert source.looks == KEPT_GIVEN + 1
    await asked(servicer, questions[0])
    assert source.looks == KEPT_GIVEN + 2


async def test_a_long_question_is_found_again_too(threads: ThreadPoolExecutor) -> None:
    """Though it is read anew each time; so it drives out no other one, however often it is asked."""
    source = Prompt()
    servicer = NodeServicer(source, threads)
    await asked(servicer, question("short"))
    for _ in range(KEPT_GIVEN + 1):
        await asked(servicer, question("long" * SHORT_BYTES))
    await asked(servicer, question("short"))
    assert source.looks == 2


async def test_what_is_no_answer_any_more_is_let_go(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be as large as an answer, and whoever asked in those words may never come again."""
    made: list[ref[_Seen]] = []

    def seen(answer: Answer, *, accept: Collection[int]) -> Ready | None:
        ready = ready_before(answer, accept=accept)
        assert ready is not None
        made.append(ref(one := _Seen(ready.shape, ready.pieces)))
        return one

    monkeypatch.setattr(service, "ready_before", seen)
    source = Prompt()
    servicer = NodeServicer(source, threads)
    for name in ("a", "b"):
        await asked(servicer, question(name))
    assert [kept() is not None for kept in made] == [True, True]
    source.now = (2, 300)
    await asked(servicer, question("b"))
    assert [kept() is not None for kept in made] == [False, False, True]


@pytest.mark.parametrize("bounds", [AnswerBounds(ROWS - 1, COLUMNS), AnswerBounds(ROWS, COLUMNS - 1)])
async def test_an_answer_that_is_ready_is_bounded_too(threads: ThreadPoolExecutor, bounds: AnswerBounds) -> None:
    """Packed for somebody before is no reason to send more than a server sends, however often it is asked for."""
    source, what = Prompt(), question()
    for limit in (UNBOUNDED, AnswerBounds(ROWS, COLUMNS)):
        assert await asked(NodeServicer(source, threads, bounds=limit), what)
    servicer = NodeServicer(source, threads, bounds=bounds)
    for _ in range(2):
        with pytest.raises(TooLarge, match="max_"):
            await asked(servicer, what)
