"""A peer whose answer is over the cap is asked in slices of time, and the joined answer is what it would have said."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.bytes_budget import HELD_CELL_BYTES, MERGED_CELL_BYTES, BytesBudget
from keyviz_grpc.client import ClientShared, PeerClient
from keyviz_grpc.codec import decode_answer, encode_answer
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge.columns import select_columns
from keyviz_grpc.model import Catalogue, Matrix, Row, Series, Window
from keyviz_grpc.outcome import Answer, Member, NoUsablePeers, Outcome, Overview
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_cluster, serve_node
from keyviz_grpc.slicing import Reply, Slicer
from tests.reference.convert import told_by

NOW_MS = int(time.time() * 1000)
SHAPE = Shape(2, 60, 1000, divergent=False)


@dataclass
class Windowed:
    """Serves the columns that are asked for, and notes the questions; `change` alters the n-th answer."""

    answer: Answer
    asked: list[Window] = field(default_factory=list)
    change: Callable[[int, Answer], Answer] = lambda _, answer: answer

    def matrix(self, query: MatrixQuery) -> Answer:
        """As a sampler does."""
        self.asked.append(query.window)
        matrix = select_columns(self.answer.matrix, query.window.bounds(self.answer.matrix.columns))
        return self.change(len(self.asked), replace(self.answer, matrix=matrix))

    def overview(self) -> Overview:
        """Its own name."""
        return Overview(Member(self.answer.node_id, ""), incarnation=self.answer.incarnation)


def size_of(answer: Answer) -> int:
    """Bytes of the whole answer."""
    return encode_answer(answer, accept=(pb.MATRIX_ENCODING_COLUMNAR,)).ByteSize()


@contextlib.asynccontextmanager
async def asking(
    sources: list[Windowed], cap: int, settings: FanoutSettings | None = None
) -> AsyncIterator[Aggregator]:
    """An aggregator with that cap over real servers."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(await serve_node(source, listen="127.0.0.1:0")) for source in sources]
        aggregator = Aggregator(
            StaticPeers([node.address for node in nodes], ClientShared(max_message_bytes=cap)),
            settings=settings or FanoutSettings(timeout_s=20),
            node_id="agg",
            wall_clock=lambda: NOW_MS / 1000,
        )
        stack.push_async_callback(aggregator.close)
        yield aggregator


async def ask(aggregator: Aggregator, query: MatrixQuery) -> Answer:
    """With time enough."""
    return await aggregator.matrix(query, Deadline.after(30))


@pytest.mark.parametrize("series", [Series.WRITES, Series.READS])
@pytest.mark.parametrize("parts", [2, 7])
async def test_slices_join_to_what_one_call_would_have_given(series: Series, parts: int) -> None:
    """Values, shares, conflicts, rows; the next request is planned at once, without a call that is too large."""
    answers = cluster(replace(SHAPE, series=series), now_unix_ms=NOW_MS)
    async with asking([Windowed(answer) for answer in answers], 64 << 20) as aggregator:
        whole = await ask(aggregator, MatrixQuery(series))
    sources = [Windowed(answer) for answer in answers]
    async with asking(sources, size_of(answers[0]) // parts) as aggregator:
        first = await ask(aggregator, MatrixQuery(series))
        calls = len(sources[0].asked)
        second = await ask(aggregator, MatrixQuery(series))
        again = sources[0].asked[calls:]
    for answer in (first, second):
        assert answer.responded == 2
        assert told_by(answer, writes=series.is_write) == told_by(whole, writes=series.is_write)
        assert answer.matrix.columns.tolist() == whole.matrix.columns.tolist()
    assert parts <= len(again) <= 4 * parts
    assert again[0].from_unix_ms == 0
    assert again[-1].to_unix_ms == 0
    assert all(one.to_unix_ms == other.from_unix_ms for one, other in pairwise(again))


async def test_a_window_is_kept_to() -> None:
    """`from` and `to` of the question are the ends of the slices."""
    answers = cluster(SHAPE, now_unix_ms=NOW_MS)
    columns = answers[0].matrix.columns
    window = Window(int(columns[20]), int(columns[980]))
    sources = [Windowed(answer) for answer in answers]
    async with asking(sources, size_of(answers[0]) // 5) as aggregator:
        answer = await ask(aggregator, MatrixQuery(window=window))
    assert answer.matrix.columns.tolist() == columns[20:980].tolist()
    assert len(sources[0].asked) > 3


async def test_one_column_over_the_cap_stays_a_failure_that_names_it() -> None:
    """Nothing shorter can be asked for, and the search ends."""
    answers = cluster(SHAPE, now_unix_ms=NOW_MS)
    sources = [Windowed(answers[0])]
    async with asking(sources, 200) as aggregator:
        with pytest.raises(NoUsablePeers) as refused:
            await ask(aggregator, MatrixQuery())
    assert refused.value.outcomes[0].kind == "message_too_large"
    assert "cap of 200 bytes" in refused.value.outcomes[0].detail
    assert len(sources[0].asked) < 20


def living(answer: Answer, incarnation: int) -> Answer:
    """The same in another life."""
    return replace(answer, incarnation=incarnation, outcomes=(replace(answer.outcomes[0], incarnation=incarnation),))


async def test_a_restart_between_slices_starts_them_over() -> None:
    """Half of one life and half of another is no answer; what was thrown away does not count against the total."""
    answers = cluster(SHAPE, now_unix_ms=NOW_MS)
    source = Windowed(answers[0], change=lambda number, answer: living(answer, 9) if number >= 5 else answer)
    cells = answers[0].matrix.values.size
    # Both answers, the picture, and what rows and bytes take in each slice: less than with the slices thrown away.
    total = (4 * HELD_CELL_BYTES + MERGED_CELL_BYTES) * cells
    for settings in (FanoutSettings(timeout_s=20), FanoutSettings(timeout_s=20, max_total_bytes=total)):
        source.asked.clear()
        async with asking([source, Windowed(answers[1])], size_of(answers[0]) // 5, settings) as aggregator:
            whole = await ask(aggregator, MatrixQuery())
        assert [(outcome.incarnation, outcome.kind) for outcome in whole.outcomes] == [
            (9, None),
            (answers[1].incarnation, None),
        ]
        assert whole.matrix.columns.tolist() == answers[0].matrix.columns.tolist()


async def test_a_node_that_never_stays_the_same_is_told_and_not_asked_for_ever() -> None:
    """The peer beside it is whole."""
    answers = cluster(SHAPE, now_unix_ms=NOW_MS)
    source = Windowed(answers[0], change=lambda number, answer: living(answer, number))
    async with asking([source, Windowed(answers[1])], size_of(answers[0]) // 5) as aggregator:
        torn = await ask(aggregator, MatrixQuery())
    assert torn.outcomes[0].kind == "malformed"
    assert "restarted" in torn.outcomes[0].detail
    assert torn.outcomes[1].ok
    assert len(source.asked) < 60


async def test_an_aggregator_below_is_asked_in_slices_too() -> None:
    """Its leaves' outcomes and the counts of nodes by column come through."""
    answers = cluster(SHAPE, now_unix_ms=NOW_MS)
    async with asking([Windowed(answer) for answer in answers], 64 << 20) as lower:
        whole = await ask(lower, MatrixQuery())
        server = await serve_cluster(lower, listen="127.0.0.1:0")
        root = Aggregator(
            StaticPeers([server.address], ClientShared(max_message_bytes=size_of(whole) // 4)),
            settings=FanoutSettings(timeout_s=20),
            node_id="root",
            wall_clock=lambda: NOW_MS / 1000,
        )
        answer = await ask(root, MatrixQuery())
        await root.close()
        await server.drain()
    assert told_by(answer, writes=True) == told_by(whole, writes=True)
    assert [outcome.node_id for outcome in answer.outcomes] == [outcome.node_id for outcome in whole.outcomes]
    assert answer.column_nodes is not None
    assert set(answer.column_nodes.tolist()) == {2}


async def test_a_full_ring_of_ten_thousand_routes_does_not_fail_at_the_cap() -> None:
    """Every cell of 10 000 x 1440 counted, three times the cap: in slices of time, of which nothing is lost."""
    rows, columns = 10_000, NOW_MS // 60_000 * 60_000 - 60_000 * np.arange(1440)[::-1]
    catalogue = Catalogue(tuple(Row(f"route:{n}", b"%06d" % n, b"%06d" % (n + 1)) for n in range(rows)))
    values = np.random.default_rng(1).integers(1, 256, (rows, 1440), dtype=np.uint64)
    matrix = Matrix(Series.READS, columns, catalogue, values)
    outcome = Outcome("", node_id="n1", incarnation=1, step_ms=60_000)
    full = Answer(matrix, (outcome,), "n1", 1, step_ms=60_000, oldest_unix_ms=int(columns[0]))
    source, cap = Windowed(full), 5 << 20
    assert values.size > 2.7 * cap
    async with asking([source], cap, FanoutSettings(timeout_s=60)) as aggregator:
        answer = await aggregator.matrix(MatrixQuery(Series.READS, rows=1024), Deadline.after(90))
    assert answer.matrix.shape == (1024, 1440)
    assert answer.matrix.columns.tolist() == columns.tolist()
    assert answer.matrix.values.sum(axis=0).tolist() == values.sum(axis=0).tolist()
    assert 4 < len(source.asked) < 20


def stretched(answer: Answer, times: int) -> Answer:
    """The same with columns so many times as long and as far apart, the newest about where it was."""
    columns, step_ms = answer.matrix.columns, answer.step_ms * times
    apart = columns[-1] // step_ms * step_ms - (columns[-1] - columns) * times
    matrix = replace(answer.matrix, columns=apart)
    return replace(answer, matrix=matrix, step_ms=step_ms, oldest_unix_ms=int(apart[0]))


@pytest.mark.parametrize("behind_ms", [0, 40 * 86_400_000], ids=["now", "forty days ago"])
@pytest.mark.parametrize("times", [1, 600], ids=["minutes", "ten hours"])
async def test_a_first_column_is_found_whatever_the_step_and_wherever_it_is(times: int, behind_ms: int) -> None:
    """Of a ring of years, and of one that ended long ago; and what is found is what one call would have given."""
    [answer] = cluster(replace(SHAPE, nodes=1), now_unix_ms=NOW_MS - behind_ms)
    source = Windowed(stretched(answer, times))
    async with asking([source], size_of(answer) // 3) as aggregator:
        found = await ask(aggregator, MatrixQuery())
        assert found.matrix.columns.tolist() == source.answer.matrix.columns.tolist()
        assert found.matrix.values.tolist() == source.answer.matrix.values.tolist()
        calls = len(source.asked)
        await ask(aggregator, MatrixQuery())
    assert calls < 40
    assert len(source.asked) - calls < 20  # planned, without a search


async def test_a_long_sleep_costs_few_calls() -> None:
    """Columns of two months ago and of now: slices grow where there is nothing."""
    [answer] = cluster(replace(SHAPE, nodes=1), now_unix_ms=NOW_MS)
    slept = answer.matrix.columns.copy()
    slept[:500] -= 60 * 86_400_000
    long = replace(answer, matrix=replace(answer.matrix, columns=slept), oldest_unix_ms=int(slept[0]))
    sources = [Windowed(long)]
    async with asking(sources, size_of(long) // 5) as aggregator:
        found = await ask(aggregator, MatrixQuery())
    assert found.matrix.columns.tolist() == slept.tolist()
    assert len(sources[0].asked) < 60
    sources = [Windowed(long)]
    async with asking(sources, 8 << 20) as aggregator:
        for _ in range(3):
            await ask(aggregator, MatrixQuery())
    assert len(sources[0].asked) == 3


async def test_a_request_under_way_survives_that_the_peer_is_forgotten() -> None:
    """Another request to the same peer fails while this one is between two slices."""
    [answer] = cluster(replace(SHAPE, nodes=1), now_unix_ms=NOW_MS)
    source, cap = Windowed(answer), size_of(answer) // 5
    slicer = Slicer(cap, lambda: NOW_MS)

    async def once(query: MatrixQuery) -> Reply:
        slicer.forget()
        part = source.matrix(query)
        size = size_of(part)
        over = size > cap
        failed = replace(part.outcomes[0], kind=FailureKind.MESSAGE_TOO_LARGE)
        return Reply(failed if over else part, size, over_cap=over)

    found = await slicer.ask(MatrixQuery(), once, lambda: None)
    assert isinstance(found, Answer)
    assert found.matrix.columns.tolist() == answer.matrix.columns.tolist()


async def held_when_asked(cap: int) -> list[tuple[Window, int]]:
    """Each question to a node whose answer is over the cap, with what was held of earlier ones when it came."""
    [answer] = cluster(replace(SHAPE, nodes=1), now_unix_ms=NOW_MS)
    held: list[int] = []
    budget = BytesBudget(1 << 30)

    def note(_: int, told: Answer) -> Answer:
        held.append(budget.total_bytes - budget.left_bytes)
        return told

    source = Windowed(answer, change=note)
    async with await serve_node(source, listen="127.0.0.1:0") as node:
        client = PeerClient(node.address, ClientShared(max_message_bytes=cap))
        found = await client.matrix(MatrixQuery(), Deadline.after(30), budget)
        await client.close()
    assert isinstance(found, Answer)
    assert found.matrix.columns.tolist() == answer.matrix.columns.tolist()
    return list(zip(source.asked, held, strict=True))


async def test_what_is_thrown_away_is_not_held_while_slices_are_asked_for() -> None:
    """Nor what was learned from: the first slice finds all the room there is."""
    [answer] = cluster(replace(SHAPE, nodes=1), now_unix_ms=NOW_MS)
    noted = await held_when_asked(size_of(answer) // 5)
    first = next(number for number, (window, _) in enumerate(noted) if window.to_unix_ms)
    assert first > 1, "one that is too large, and a look"
    assert {held for _, held in noted[: first + 1]} == {0}
    assert all(held >= before for (_, before), (_, held) in pairwise(noted[first:]))
    assert noted[-1][1] > 0


async def test_an_answer_of_too_many_cells_is_given_back_before_a_shorter_one_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It came whole and was paid for."""
    most = 60 * 1000 // 5
    monkeypatch.setattr("keyviz_grpc.reading.decode_answer", partial(decode_answer, max_cells=most))
    noted = await held_when_asked(64 << 20)
    assert [held for _, held in noted[:2]] == [0, 0]
    # Slices that are kept add up; one with too many cells comes to nothing.
    assert max(held for _, held in noted) < size_of(cluster(SHAPE)[0]) + (60 * 1000 + most) * HELD_CELL_BYTES
