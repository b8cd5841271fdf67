"""Columns put together again: leaders row by row as cell by cell, and in few pieces that are not kept for ever."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, History, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import Shelf, pieces
from keyviz_grpc.remembered.blocks import FAR, Block, Narrow, Piece, between, size_bytes_of
from keyviz_grpc.remembered.columns import NodeColumns
from keyviz_grpc.remembered.joining import joined
from keyviz_grpc.remembered.pieces import FEW_JOINED, JOINED, Remembered
from keyviz_grpc.remembered.recollected import _LATER, Recollected
from keyviz_grpc.traffic import Leaders

IDENTITIES = np.array([[0, 0], [1, 1], [1, 2], [2, 1]], np.uint64)


def rows(count: int) -> Catalogue:
    """That many."""
    return Catalogue(tuple(Row(f"route:{n}", b"%03d" % n, b"%03d" % (n + 1)) for n in range(count)))


def drawn(chance: np.random.Generator, catalogue: Catalogue, columns: np.ndarray, silence: float) -> Matrix:
    """Rows under one leader, some under several, some unknown; with leaders and without an array of codes."""
    shape = (len(catalogue), len(columns))
    values = chance.integers(1, 9, shape, np.uint64) * (chance.random(shape) >= silence)
    codes = np.broadcast_to(chance.integers(0, 3, (shape[0], 1), np.uint32), shape).copy()
    codes[chance.random(shape) < chance.choice([0.0, 0.1])] = 3
    codes[values == 0] = 0
    return Matrix.of_leaders(
        Series.WRITES, columns, catalogue, values, Leaders.found(values, codes), identities=IDENTITIES
    )


@pytest.mark.parametrize("silence", [0.0, 0.05, 0.6])
@pytest.mark.parametrize("seed", range(30))
def test_leaders_of_blocks_are_those_of_their_cells(seed: int, silence: float) -> None:
    """Blocks cut at either end, of which each has rows with a leader of its own."""
    chance = np.random.default_rng(seed)
    catalogue = rows(12)
    blocks: list[tuple[Matrix, slice]] = []
    for number in range(int(chance.integers(1, 4))):
        width = int(chance.integers(1, 7))
        block = drawn(chance, catalogue, np.arange(number * 10 + 1, number * 10 + 1 + width), silence)
        first, end = sorted(chance.integers(0, width + 1, 2).tolist())
        blocks.append((block, slice(first, end)))
    told = joined(Series.WRITES, catalogue, blocks)
    cut = [(block.values[:, part], block.codes[:, part]) for block, part in blocks if block.codes is not None]
    values, codes = (np.concatenate(each, axis=1) for each in zip(*cut, strict=True))
    assert told.values.tolist() == values.tolist()
    assert (np.zeros_like(codes) if told.codes is None else told.codes).tolist() == codes.tolist()
    if told.leaders is not None:
        assert told.leaders.spread(values).tolist() == codes.tolist()
        busy = np.array([row.all() for row in values])
        assert not (told.leaders.whole & ~busy).any()
        some = told.leaders.of != 0
        assert told.leaders.whole[some].tolist() == busy[some].tolist()


def test_what_is_recollected_has_every_field() -> None:
    """The leaders too, read before anything else of it."""
    chance = np.random.default_rng(3)
    catalogue = rows(5)
    blocks: list[tuple[Block, slice]] = [
        (drawn(chance, catalogue, np.arange(first, first + 3), 0.1), slice(0, 3)) for first in (1, 10)
    ]
    told, whole = Recollected(Series.WRITES, catalogue, blocks), joined(Series.WRITES, catalogue, blocks)
    leaders, expected = told.row_leaders(), whole.row_leaders()
    assert leaders is not None
    assert expected is not None
    assert leaders.spread(told.values).tolist() == expected.spread(whole.values).tolist()


def told_by(chance: np.random.Generator, catalogue: Catalogue, width: int, number: int) -> Answer:
    """All of a node's columns from number - width to number at first, the newest alone later."""
    full = number == width
    columns = np.arange(1 if full else number, number + 1) * 1000
    matrix = drawn(chance, catalogue, columns, 0.2)
    oldest = max(1, number - width + 1) * 1000
    history = History(7, number * 1000, 0 if full else (number - 1) * 1000 + 1, 0 if full else width - 1)
    outcome = Outcome("a:1", node_id="n1", incarnation=5)
    return Answer(
        matrix,
        (outcome,),
        node_id="n1",
        incarnation=5,
        step_ms=1000,
        generated_at_unix_ms=number * 1000,
        oldest_unix_ms=oldest,
        history=history,
    )


@pytest.mark.parametrize("few", [0, 3], ids=["heavy columns", "light columns"])
@pytest.mark.parametrize("width", [1, 5, 60])
def test_columns_that_come_one_by_one_are_kept_in_few_pieces(
    width: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the node no longer holds are let go, and every answer is whole cell by cell."""
    monkeypatch.setattr(pieces, "MANY_CELLS", few)
    chance, catalogue, shelf = np.random.default_rng(width), rows(3), Shelf(1 << 24)
    memory = NodeColumns(shelf)
    every: list[np.ndarray] = []
    for number in range(width, 600):
        recalled = memory.recall(MatrixQuery(Series.WRITES))
        answer = told_by(chance, catalogue, width, number)
        every.extend(answer.matrix.values.T)
        whole = recalled.whole(answer, 100)
        assert whole.matrix.columns.tolist() == [1000 * each for each in range(number - width + 1, number + 1)]
        if number % 50 == 0:
            assert whole.matrix.values.T.tolist() == [each.tolist() for each in every[-width:]]
        held = shelf.get(memory, (Series.WRITES, False))
        assert isinstance(held, Remembered)
        assert len(held.columns) <= width + width // 3 + 1
        assert len(held.pieces) <= 2 * JOINED + 6


@pytest.mark.parametrize(("few", "widths"), [(0, [4, 4, 4, 1, 1, 1]), (3, [1] * 15)])
def test_small_pieces_wait_for_more(few: int, widths: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not copied before there are many of them. widths: of what came after the first answer."""
    monkeypatch.setattr(pieces, "MANY_CELLS", few)
    chance, catalogue, shelf = np.random.default_rng(1), rows(3), Shelf(1 << 24)
    memory = NodeColumns(shelf)
    for number in range(200, 216):
        memory.recall(MatrixQuery(Series.WRITES)).whole(told_by(chance, catalogue, 200, number), 100)
    held = shelf.get(memory, (Series.WRITES, False))
    assert isinstance(held, Remembered)
    assert [piece.width for piece in held.pieces] == [200, *widths]


def test_a_new_column_is_kept_as_it_came() -> None:
    """Whoever merges the newest columns gets the very matrix; it is weighed with all that its readers may spread."""
    chance, catalogue, shelf = np.random.default_rng(2), rows(300), Shelf(1 << 24)
    memory = NodeColumns(shelf)
    memory.recall(MatrixQuery(Series.WRITES)).whole(told_by(chance, catalogue, 60, 60), 100)
    before, answer = shelf.used_bytes, told_by(chance, catalogue, 60, 61)
    whole = memory.recall(MatrixQuery(Series.WRITES)).whole(answer, 100)
    assert isinstance(whole.matrix, Recollected)
    assert whole.matrix.since(61_000) is answer.matrix
    assert whole.matrix.since(60_000).columns.tolist() == [60_000, 61_000]
    added = shelf.used_bytes - before
    assert answer.matrix.codes is not None
    assert added >= size_bytes_of(answer.matrix)
    assert Piece.as_told(answer.matrix, 1 << 20).size_bytes - Piece.as_told(answer.matrix, 0).size_bytes == 1 << 20


@pytest.mark.parametrize("new", [FEW_JOINED - 1, FEW_JOINED])
def test_only_few_new_columns_are_kept_as_they_came(new: int) -> None:
    """As many as are joined at once are copied at once, narrow."""
    catalogue, shelf = rows(3), Shelf(1 << 24)
    memory = NodeColumns(shelf)
    memory.recall(MatrixQuery(Series.WRITES)).whole(told_by(np.random.default_rng(2), catalogue, 60, 60), 100)
    tail = matrix_of([1000 * number for number in range(61, 61 + new)])
    tail = Matrix(tail.series, tail.columns, catalogue, tail.values.repeat(3, axis=0))
    answer = replace(
        told_by(np.random.default_rng(2), catalogue, 60, 61),
        matrix=tail,
        oldest_unix_ms=1000,
        history=History(7, (60 + new) * 1000, 60_001, 60),
    )
    memory.recall(MatrixQuery(Series.WRITES)).whole(answer, 100)
    held = shelf.get(memory, (Series.WRITES, False))
    assert isinstance(held, Remembered)
    kinds = [type(piece.block) for piece in held.pieces if piece.first_unix_ms > 60_000]
    assert kinds == [Matrix if new < FEW_JOINED else Narrow]


def test_a_new_column_over_rows_of_its_own_is_copied() -> None:
    """The rows of an answer in full are other objects, which nobody would weigh."""
    chance, shelf = np.random.default_rng(2), Shelf(1 << 24)
    memory = NodeColumns(shelf)
    memory.recall(MatrixQuery(Series.WRITES)).whole(told_by(chance, rows(3), 60, 60), 100)
    answer = told_by(chance, rows(3), 60, 61)
    memory.recall(MatrixQuery(Series.WRITES)).whole(answer, 100)
    held = shelf.get(memory, (Series.WRITES, False))
    assert isinstance(held, Remembered)
    assert (held.pieces[-1].first_unix_ms, held.pieces[-1].width) == (61_000, 1)
    assert isinstance(held.pieces[-1].block, Narrow)


def test_a_piece_that_is_kept_as_it_came_is_cut_when_the_ring_lets_go_of_most() -> None:
    """A node that holds three columns, of which every poll finds two new ones."""
    chance, catalogue, shelf = np.random.default_rng(4), rows(3), Shelf(1 << 24)
    memory, every = NodeColumns(shelf), list[list[int]]()
    for newest in (3, 5, 7, 9):
        first = 1 if newest == 3 else newest - 1
        matrix = drawn(chance, catalogue, np.arange(first, newest + 1) * 1000, 0.2)
        every += matrix.values.T.tolist()
        known = 0 if newest == 3 else 1
        history = History(7, newest * 1000, known * (newest - 2) * 1000 + known, known)
        told = told_by(chance, catalogue, 3, newest)
        answer = replace(told, matrix=matrix, oldest_unix_ms=(newest - 2) * 1000, history=history)
        whole = memory.recall(MatrixQuery(Series.WRITES)).whole(answer, 100).matrix
        assert whole.columns.tolist() == [1000 * number for number in range(newest - 2, newest + 1)]
        assert whole.values.T.tolist() == every[-3:]
    held = shelf.get(memory, (Series.WRITES, False))
    assert isinstance(held, Remembered)
    assert [type(piece.block) for piece in held.pieces] == [Narrow, Matrix]
    assert held.columns.tolist() == [7000, 8000, 9000]


def matrix_of(stamps: list[int]) -> Matrix:
    """One row, a count of one in every column."""
    return Matrix(Series.WRITES, np.array(stamps, np.int64), rows(1), np.ones((1, len(stamps)), np.uint64))


@pytest.mark.parametrize("seed", range(60))
def test_how_much_is_copied_is_known_before(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides whether a thread does it: columns that come one by one, many at once or none, and holes in time."""
    copied = 0
    copy = Piece.narrow

    def counted(block: Narrow) -> Piece:
        nonlocal copied
        copied += len(block.columns)
        return copy(block)

    monkeypatch.setattr(Piece, "narrow", counted)
    chance = np.random.default_rng(seed)
    ring, now = int(chance.choice([5, 20, 60, 200])), 1
    held = Remembered("n1", 5, 7, 0, 1, rows(1), (), np.empty(0, np.int64))
    every: list[int] = []
    for _ in range(60):
        more = int(chance.choice([0, 0, 1, 1, 1, 2, 5, ring // 2, ring]))
        every = [*every, *range(now, now + more)][-ring:]
        oldest = every[0] + int(chance.choice([0, 0, 0, ring])) if every else 0
        new = [stamp for stamp in every if stamp >= now]
        now += more
        expected, copied = held.copied_columns(len(new), oldest), 0
        held = held.extended(matrix_of(new), now, 1000, series=Series.WRITES, oldest=oldest)
        assert copied <= expected
        assert all(piece.width == len(piece.block.columns) > 0 for piece in held.pieces)
        stamps = [piece.block.columns for piece in held.pieces]
        assert held.columns.tolist() == [stamp for each in stamps for stamp in each.tolist()]


def test_columns_that_a_node_says_it_does_not_hold_are_not_kept() -> None:
    """New ones too. Where it says later that it holds them after all, that is found out, and all is asked for anew."""
    memory = NodeColumns(Shelf(1 << 20))

    def told(stamps: list[int], history: History, oldest: int) -> list[int]:
        outcome = Outcome("a:1", node_id="n1", incarnation=5)
        answer = Answer(matrix_of(stamps), (outcome,), node_id="n1", incarnation=5, oldest_unix_ms=oldest)
        whole = memory.recall(MatrixQuery(Series.WRITES)).whole(replace(answer, history=history), 10)
        return [int(stamp) for stamp in whole.matrix.columns]

    assert told([1, 2, 3], History(7, 3), 1) == [1, 2, 3]
    assert told([4], History(7, 4, 4, 0), 9) == [4]
    assert told([5], History(7, 5, 5, 0), 9) == [5]
    with pytest.raises(MalformedAnswer, match="2 columns are left out, 0 are known"):
        told([6], History(7, 6, 6, 2), 4)
    assert told([4, 5, 6], History(7, 6), 4) == [4, 5, 6]
    assert told([7], History(7, 7, 7, 3), 4) == [4, 5, 6, 7]


@pytest.mark.parametrize("left_out", [False, True])
def test_columns_after_the_newest_that_its_node_holds_are_not_kept(left_out: bool) -> None:
    """Nor is anything of that node: what comes after them would stand behind them. The answer is as it was told."""
    memory, query = NodeColumns(Shelf(1 << 20)), MatrixQuery(Series.WRITES)
    outcome = Outcome("a:1", node_id="n1", incarnation=5)
    good = Answer(matrix_of([1, 2]), (outcome,), node_id="n1", incarnation=5, oldest_unix_ms=1, history=History(7, 2))
    memory.recall(query).whole(good, 10)
    assert memory.recall(query).held is not None
    history = History(7, 3, 3, 2) if left_out else History(7, 3)
    odd = replace(good, matrix=matrix_of([3, 4] if left_out else [1, 2, 3, 4]), history=history)
    assert memory.recall(query).whole(odd, 10).matrix.columns.tolist() == [1, 2, 3, 4]
    assert memory.recall(query).held is None


def test_leaders_are_weighed() -> None:
    """Of rows in which they change as many bytes as an array of all cells, and that may be made beside them."""
    chance = np.random.default_rng(1)
    matrix = drawn(chance, rows(12), np.arange(1, 9), 0.0)
    told = matrix.leaders
    assert told is not None
    before = size_bytes_of(matrix)
    assert before >= matrix.values.nbytes + told.of.nbytes + told.codes.nbytes + told.whole.nbytes + 4 * 12 * 8
    assert matrix.codes is not None
    assert size_bytes_of(matrix) == before


def test_what_is_recollected_may_be_read_by_others_while_it_is_put_together() -> None:
    """Whatever is filled already: fields are set one by one, and another thread may look after each."""
    chance, catalogue = np.random.default_rng(5), rows(3)
    blocks: list[tuple[Block, slice]] = [(drawn(chance, catalogue, np.arange(1, 4), 0.1), slice(0, 3))]
    whole = joined(Series.WRITES, catalogue, blocks)
    for filled in range(len(_LATER)):
        for name in ("narrowest", "values", "codes", "shares", "leaders", "identities"):
            lazy = Recollected(Series.WRITES, catalogue, blocks)
            for field in filter(whole.is_filled, _LATER[:filled]):
                object.__setattr__(lazy, field, getattr(whole, field))
            told = getattr(lazy, name)
            if isinstance(told, np.ndarray):
                assert told.tolist() == getattr(whole, name).tolist()


def test_pieces_say_which_of_their_columns_are_asked_for() -> None:
    """As looking at all of them does, bounds that are stamps included."""
    pieces = (Piece.of(matrix_of([10, 20, 30])), Piece.of(matrix_of([40])), Piece.of(matrix_of([50, 60])))
    columns = np.arange(10, 61, 10)
    held = Remembered("n1", 5, 7, 0, 61, rows(1), pieces, columns)
    for first in (0, 10, 11, 30, 31, 40, 60, 61):
        for end in (9, 10, 11, 30, 31, 41, 60, FAR):
            parts, stamps = held.between(first, end)
            assert parts == [(piece.block, between(piece.block, first, end)) for piece in pieces]
            assert stamps.tolist() == columns[(columns >= first) & (columns < end)].tolist()
