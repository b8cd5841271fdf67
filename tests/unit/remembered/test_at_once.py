"""Polls in which nothing or little is new: told without a thread, and told as merging would tell them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.synthetic import STEP_MS, Shape, cluster
from gateway.matrix_body import MatrixRenderer
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import fold, merge, select_range
from keyviz_grpc.merge.columns import select_columns
from keyviz_grpc.model import Catalogue, KeyRange, Matrix, Series, Window
from keyviz_grpc.outcome import Answer, History, Outcome, WarningCode
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import MergedColumns, Shelf, merged
from keyviz_grpc.remembered.blocks import FAR
from keyviz_grpc.remembered.look import Parts
from keyviz_grpc.remembered.recollected import Recollected
from keyviz_grpc.traffic import Leaders

ROWS, COLUMNS, NUMBER = 30, 8, 7
FOUR_BYTES = (1 << 32) - 1
QUERY = MatrixQuery(rows=1024)
SHOWN = replace(QUERY, for_display=True)


def nodes(first: int = 0, end: int = COLUMNS, *, number: int = NUMBER) -> list[Answer]:
    """Two nodes, and the columns of theirs from `first` to `end`, all of them put together from memory."""
    return [
        replace(one, matrix=Recollected(Series.WRITES, one.matrix.catalogue, [(one.matrix, slice(0, end - first))]))
        for one in in_full(first, end, number=number)
    ]


def in_full(first: int = 0, end: int = COLUMNS, *, number: int = NUMBER) -> list[Answer]:
    """The same, as they are the first time."""
    told = cluster(Shape(2, ROWS, COLUMNS + 2))
    return [
        replace(
            answer,
            matrix=select_columns(answer.matrix, slice(first, end)),
            history=History(number, int(answer.matrix.columns[end - 1])),
        )
        for answer in told
    ]


def told(query: MatrixQuery, now_unix_ms: int = 5) -> dict[str, Any]:
    """What a merge is told besides."""
    return {"query": query, "now_unix_ms": now_unix_ms, "node_id": "gw", "incarnation": 3}


def whole(parts: Sequence[Answer | Outcome], query: MatrixQuery, now_unix_ms: int = 5) -> bytes:
    """The body by merging all of it."""
    merged = merge(parts, **told(query, now_unix_ms))
    return MatrixRenderer().render(fold(select_range(merged, query.keys), query.rows))


def remembered(parts: Sequence[Answer | Outcome], query: MatrixQuery = QUERY) -> MergedColumns:
    """The memory of whoever merged these."""
    memory = MergedColumns(Shelf(1 << 24))
    assert memory.merge(parts, **told(query)) is not None
    return memory


def at_once(
    memory: MergedColumns, parts: Sequence[Answer | Outcome], *, little: bool = False, **told: Any
) -> Answer | None:
    """What is told without a thread; little: whether what is new may be merged for that."""
    look = memory.look(parts, told["query"])
    return None if look is None else memory.at_once(look, lambda *_: little, **told)


@pytest.mark.parametrize(
    "query",
    [QUERY, MatrixQuery(), MatrixQuery(rows=7), MatrixQuery(rows=9, keys=KeyRange(b"\x20", b"\x60"))],
)
def test_the_same_columns_are_told_as_merging_tells_them(query: MatrixQuery) -> None:
    """As they are, and folded or cut as before; the clock of a node is judged by what is now."""
    memory = remembered(nodes(), query)
    skewed = []
    for now_unix_ms in (nodes()[0].generated_at_unix_ms, 5):
        answer = at_once(memory, nodes(), **told(query, now_unix_ms))
        assert answer is not None
        assert MatrixRenderer().render(answer) == whole(nodes(), query, now_unix_ms)
        codes = [warning.code for outcome in answer.outcomes for warning in outcome.warnings]
        skewed.append(WarningCode.CLOCK_SKEW in codes)
    assert skewed == [False, True]


def test_of_each_node_the_last_column_comes_along() -> None:
    """Wherever what is new begins: by it a node's clock is judged. Nodes without columns have none."""
    late, none = (nodes(end=end)[1] for end in (COLUMNS - 2, 1))
    parts = Parts.of([nodes()[0], late], QUERY)
    assert parts is not None
    for start in (int(parts.union[-1]), FAR):
        assert [answer.matrix.columns.tolist() for answer in parts.since(start)] == [
            parts.union[-3:].tolist(),
            [parts.union[-3]],
        ]
    empty = replace(none, matrix=select_columns(none.matrix, slice(0, 0)))
    parts = Parts.of([empty], QUERY)
    assert parts is not None
    assert [len(answer.matrix.columns) for answer in parts.since(0)] == [0]


def test_nothing_is_told_before_it_was_merged() -> None:
    """Nor of another series, nor after forgetting."""
    assert at_once(MergedColumns(Shelf(1 << 24)), nodes(), **told(QUERY)) is None
    memory = remembered(nodes())
    memory.forget()
    assert at_once(memory, nodes(), **told(QUERY)) is None


OTHERS: dict[str, Callable[[], Sequence[Answer | Outcome]]] = {
    "a new column": lambda: nodes(end=COLUMNS + 1),
    "a new column of one node": lambda: [nodes()[0], nodes(end=COLUMNS + 1)[1]],
    "a column less": lambda: nodes(first=1),
    "another history": lambda: nodes(number=NUMBER + 1),
    "another life": lambda: [replace(nodes()[0], incarnation=1), nodes()[1]],
    "a node that fails": lambda: [nodes()[0], Outcome("p", kind=FailureKind.UNREACHABLE)],
    "a node less": lambda: nodes()[:1],
    "nodes in another order": lambda: nodes()[::-1],
    "a node that tells all again": lambda: [in_full()[0], nodes()[1]],
    "no history": lambda: [replace(nodes()[0], history=None), nodes()[1]],
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_differs_is_merged(name: str) -> None:
    """Whatever it is."""
    memory = remembered(nodes())
    assert at_once(memory, OTHERS[name](), **told(QUERY)) is None
    assert at_once(memory, nodes(), **told(QUERY)) is not None


@pytest.mark.parametrize("name", OTHERS)
def test_what_differs_is_told_as_merging_tells_it(name: str) -> None:
    """By what is remembered, as far as that is of the same columns, or by the caller."""
    memory, parts = remembered(nodes(), SHOWN), OTHERS[name]()
    answer = memory.merge(parts, **told(SHOWN))
    assert answer is None or MatrixRenderer().render(answer) == whole(parts, SHOWN)


@pytest.mark.parametrize(
    "query",
    [
        MatrixQuery(rows=7),
        MatrixQuery(rows=1024, keys=KeyRange(b"\x20", b"\x60")),
        MatrixQuery(rows=1024, window=Window(0, STEP_MS * 3)),
        MatrixQuery(rows=1024, bucket_ids=("route:1",)),
        MatrixQuery(rows=1024, node_id="n1"),
    ],
)
def test_another_question_is_not_answered_from_the_one_before(query: MatrixQuery) -> None:
    """What has to be folded, cut or chosen again takes longer than an event loop may stand still."""
    memory = remembered(nodes())
    assert at_once(memory, nodes(), **told(query)) is None


def test_many_rows_have_no_books_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only whoever merges again wants them."""
    memory = remembered(nodes())
    assert at_once(memory, nodes(), **told(QUERY)) is not None
    monkeypatch.setattr(merged, "FEW_ROWS", 2 * ROWS - 3)
    assert at_once(memory, nodes(), **told(QUERY)) is None
    shown = replace(QUERY, for_display=True)
    there = remembered(nodes(), shown)
    assert at_once(there, nodes(), **told(shown)) is not None


def goes_on(query: MatrixQuery = SHOWN, *, little: bool = True) -> Answer | None:
    """What is told at once of a column more and one less, where the same happened just before."""
    memory = remembered(nodes(), query)
    assert memory.merge(nodes(end=COLUMNS + 1), **told(query)) is not None
    return at_once(memory, nodes(1, COLUMNS + 2), little=little, **told(query))


def test_little_that_is_new_is_merged_at_once() -> None:
    """Where it is written behind what is remembered, and told as merging tells it."""
    answer = goes_on()
    assert answer is not None
    assert MatrixRenderer().render(answer) == whole(nodes(1, COLUMNS + 2), SHOWN)


def test_much_that_is_new_is_not_merged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what has to be folded or cut, what lists shares, a large picture, or one without room behind it."""
    assert goes_on(little=False) is None
    assert goes_on(replace(SHOWN, rows=7)) is None
    assert goes_on(replace(SHOWN, keys=KeyRange(b"\x20", b"\x60"))) is None
    assert goes_on(QUERY) is None
    assert at_once(remembered(nodes(), SHOWN), nodes(end=COLUMNS + 1), little=True, **told(SHOWN)) is None
    rows = len(whole_rows())
    for most, there in ((rows * (COLUMNS + 1), True), (rows * (COLUMNS + 1) - 1, False)):
        monkeypatch.setattr(merged, "FEW_CELLS", most)
        assert (goes_on() is not None) == there


@pytest.mark.parametrize(
    ("before", "after"),
    [((COLUMNS + 1, COLUMNS), (COLUMNS + 1,) * 2), ((COLUMNS + 1,) * 2, (COLUMNS + 2, COLUMNS + 1))],
)
def test_a_node_that_is_late_is_not_waited_for_by_an_event_loop(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    """To merge a column twice, all others are copied; of that nothing is begun at once. end: of each node."""

    def of(ends: tuple[int, int]) -> list[Answer]:
        return [nodes(end=end)[number] for number, end in enumerate(ends)]

    memory = remembered(nodes(), SHOWN)
    assert memory.merge(of(before), **told(SHOWN)) is not None
    look = memory.look(of(after), SHOWN)
    assert look is not None
    assert memory.at_once(look, lambda *_: pytest.fail("looked at"), **told(SHOWN)) is None
    answer = memory.merge(of(after), **told(SHOWN))
    assert answer is not None
    assert MatrixRenderer().render(answer) == whole(of(after), SHOWN)


@pytest.mark.parametrize("top", [1 << 16, 1 << 40])
def test_wider_counts_are_not_written_at_once(top: int) -> None:
    """They do not fit behind the others, so that all would be copied. top: of the newest column."""
    memory = remembered(narrow(nodes()), SHOWN)
    assert memory.merge(narrow(nodes(end=COLUMNS + 1)), **told(SHOWN)) is not None
    there = narrow(nodes(end=COLUMNS + 2), top)
    assert (at_once(memory, there, little=True, **told(SHOWN)) is not None) == (top < FOUR_BYTES)
    answer = memory.merge(there, **told(SHOWN))
    assert answer is not None
    assert MatrixRenderer().render(answer) == whole(there, SHOWN)


def narrow(parts: Sequence[Answer], top: int = 0) -> list[Answer]:
    """In counts of four bytes, with so much more in a cell of the newest column, which may be wider."""
    several = []
    for part in parts:
        values = part.matrix.values % np.uint64(1 << 16)
        values[0, -1] += np.uint64(top)
        newest = slice(values.shape[1] - 1, values.shape[1])
        blocks = [(counted(part.matrix, slice(0, newest.start), values, FOUR_BYTES), slice(0, newest.start))]
        blocks.append((counted(part.matrix, newest, values, max(top, FOUR_BYTES)), slice(0, 1)))
        several.append(replace(part, matrix=Recollected(Series.WRITES, part.matrix.catalogue, blocks)))
    return several


def counted(matrix: Matrix, columns: slice, values: NDArray[np.uint64], top: int) -> Matrix:
    """Some columns of a matrix, with other values, which have leaders."""
    own = values[:, columns].astype(np.min_scalar_type(top))
    codes = np.zeros(own.shape, np.uint32) if matrix.codes is None else np.where(own, matrix.codes[:, columns], 0)
    return Matrix.of_leaders(
        Series.WRITES,
        matrix.columns[columns],
        matrix.catalogue,
        own,
        Leaders.found(own, codes.astype(np.uint32)),
        identities=matrix.identities,
    )


def whole_rows() -> Catalogue:
    """Of both nodes."""
    return merge(nodes(), **told(SHOWN)).matrix.catalogue
