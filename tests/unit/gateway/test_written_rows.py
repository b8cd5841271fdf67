"""Rows that were written once are written again only when the matrix is another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.synthetic import Shape, cluster
from gateway import matrix_body, row_texts
from gateway.matrix_body import MatrixRenderer
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import merge
from keyviz_grpc.merge.columns import select_columns
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.outcome import Answer, Outcome, PeerWarning, WarningCode
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import Shelf
from keyviz_grpc.remembered.continued import Continued

FAILED = Outcome("p", kind=FailureKind.UNREACHABLE)


@pytest.fixture(name="long", autouse=True, params=[False, True], ids=["short rows", "long rows"])
def _long(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways of writing rows."""
    long = bool(request.param)
    if long:
        monkeypatch.setattr(matrix_body, "NARROW", -1)
    return long


def answer(seed: int, *, degraded: bool = False) -> Answer:
    """A merged one with conflicts and flips."""
    parts: list[Answer | Outcome] = [*cluster(Shape(2, 30, 8, seed=seed)), *([FAILED] if degraded else [])]
    return merge(parts, query=MatrixQuery(), now_unix_ms=seed)


@pytest.mark.parametrize("identity", [True, False])
def test_bodies_are_the_same_with_and_without_a_shelf(identity: bool) -> None:
    """First, second and third time; another matrix in between; times and outcomes are those of each answer."""
    shelf = Shelf(1 << 24)
    kept, plain = MatrixRenderer(shelf=shelf), MatrixRenderer()
    one, other = answer(1), answer(2)
    later = replace(one, generated_at_unix_ms=1_777_290_300_000)
    for shown in (one, one, later, other, one, later, other, other, other):
        assert kept.render(shown, identity=identity) == plain.render(shown, identity=identity)
    assert 0 < shelf.used_bytes <= 1 << 24


def test_nothing_of_a_degraded_answer_is_kept() -> None:
    """However often it is shown."""
    shelf = Shelf(1 << 24)
    renderer, degraded = MatrixRenderer(shelf=shelf), answer(1, degraded=True)
    assert renderer.render(degraded) == renderer.render(degraded) == MatrixRenderer().render(degraded)
    assert shelf.used_bytes == 0


def test_with_and_without_identities_are_two_things() -> None:
    """The one is never shown for the other."""
    renderer, one = MatrixRenderer(shelf=Shelf(1 << 24)), answer(1)
    for _ in range(3):
        assert b"leader_terms" in renderer.render(one)
        assert b"leader_terms" not in renderer.render(one, identity=False)


def test_columns_written_before_are_not_written_again_and_read_the_same() -> None:
    """Windows that move on by some columns, lose some or all, and one that does not follow from what was shown."""
    shelf = Shelf(1 << 24)
    kept, whole = MatrixRenderer(shelf=shelf), answer(1)
    before: Matrix | None = None
    for first, end in ((0, 3), (0, 4), (1, 5), (1, 5), (3, 6), (3, 8), (7, 8), (0, 2), (0, 8)):
        cut = select_columns(whole.matrix, slice(first, end))
        if before is not None:
            old = np.searchsorted(before.columns, cut.columns[0])
            if first < end and np.array_equal(before.columns[old:], cut.columns[: len(before.columns) - old]):
                cut = Continued.of(cut, before, slice(int(old), len(before.columns)))
        shown = replace(whole, matrix=cut, column_nodes=np.ones(end - first, np.int64))
        assert kept.render(shown) == MatrixRenderer().render(shown), (first, end)
        before = cut


def test_only_what_is_new_is_written_of_a_matrix_that_continues_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of the columns before come from memory, of long rows: they would show it if those had been altered."""
    monkeypatch.setattr(matrix_body, "NARROW", -1)
    kept, whole = MatrixRenderer(shelf=Shelf(1 << 24)), answer(1)
    early = select_columns(whole.matrix, slice(0, 7))
    altered = whole.matrix.values.copy()
    altered[:, :7] = np.minimum(altered[:, :7], 7)
    late = Continued.of(replace(whole.matrix, values=altered), early, slice(0, 7))
    kept.render(replace(whole, matrix=early, column_nodes=np.ones(7, np.int64)))
    first, second = (kept.render(replace(whole, matrix=matrix)) for matrix in (late, replace(late)))
    assert first == MatrixRenderer().render(whole)
    assert second == MatrixRenderer().render(replace(whole, matrix=replace(late)))


def test_rows_that_become_long_are_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of short ones no texts are kept, and those of long ones are not read once the window is short again."""
    kept, whole = MatrixRenderer(shelf=Shelf(1 << 24)), answer(1)
    before = select_columns(whole.matrix, slice(0, 3))
    for first, end, narrow in ((0, 4, 3), (0, 5, 3), (2, 5, 3), (2, 6, 3), (2, 6, 3), (0, 6, 9)):
        monkeypatch.setattr(matrix_body, "NARROW", narrow)
        cut = select_columns(whole.matrix, slice(first, end))
        if first >= int(np.searchsorted(whole.matrix.columns, before.columns[0])):
            old = int(np.searchsorted(before.columns, cut.columns[0]))
            cut = Continued.of(cut, before, slice(old, len(before.columns)))
        shown = replace(whole, matrix=cut, column_nodes=np.ones(end - first, np.int64))
        assert kept.render(shown) == MatrixRenderer().render(shown), (first, end)
        before = cut


def test_a_column_more_of_no_rows() -> None:
    """A cluster that has no routes yet closes windows too."""
    kept, whole = MatrixRenderer(shelf=Shelf(1 << 24)), answer(1)
    columns = whole.matrix.columns
    early, late = (
        Matrix(whole.matrix.series, columns[:count], Catalogue(()), np.empty((0, count), np.uint64)) for count in (3, 4)
    )
    for matrix in (early, Continued.of(late, early, slice(0, 3))):
        shown = Answer(matrix, whole.outcomes, merged=True)
        assert kept.render(shown) == MatrixRenderer().render(shown)


def test_a_matrix_that_two_keep_is_weighed_once() -> None:
    """On the shelf, until both have let go of it."""
    shelf, matrix = Shelf(1 << 24), answer(1).matrix
    shelf.put("a", 1, "", size_bytes=10, shared=(matrix,))
    alone = shelf.used_bytes
    shelf.put("b", 1, "", size_bytes=10, shared=(matrix,))
    assert shelf.used_bytes == alone + 10
    shelf.drop("a", 1)
    assert shelf.used_bytes == alone
    shelf.drop("b", 1)
    assert shelf.used_bytes == 0


def test_rows_that_are_written_are_quick(monkeypatch: pytest.MonkeyPatch, long: bool) -> None:
    """Short ones from the second time on, long ones at once; of the very same matrix, in the same form, and of no
    degraded answer.
    """
    renderer, one, degraded = MatrixRenderer(shelf=Shelf(1 << 24)), answer(1), answer(2, degraded=True)
    monkeypatch.setattr(matrix_body, "FEW_CELLS", one.matrix.shape[1])
    told = []
    for _ in range(3):
        told.append(renderer.is_quick(one))
        renderer.render(one)
    assert told == [False, long, True]
    assert not renderer.is_quick(one, identity=False)
    assert not renderer.is_quick(answer(1))
    for _ in range(3):
        renderer.render(degraded)
        assert not renderer.is_quick(degraded)


def test_few_cells_of_known_rows_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were never written have keys of any length; warnings are counted too."""
    renderer, one = MatrixRenderer(), answer(1)
    assert not renderer.is_quick(one)
    renderer.render(one)
    assert renderer.is_quick(answer(1))
    monkeypatch.setattr(matrix_body, "FEW_CELLS", one.matrix.cells - 1)
    assert not renderer.is_quick(one)
    monkeypatch.undo()
    words = tuple(PeerWarning(WarningCode.CATALOG_DIVERGENCE, f"route:{n}", "") for n in range(matrix_body.FEW_WORDS))
    loud = replace(one, outcomes=(replace(one.outcomes[0], warnings=words), *one.outcomes[1:]))
    assert not renderer.is_quick(loud)


def test_what_leaves_say_is_weighed_by_its_length() -> None:
    """An aggregator below may pass on words of any length."""
    renderer, one = MatrixRenderer(), answer(1)
    renderer.render(one)
    long = "x" * (matrix_body.FEW_CHARS + 1)
    warning = PeerWarning(WarningCode.CATALOG_DIVERGENCE, "route:1", long)
    for change in ({"detail": long}, {"node_id": long}, {"warnings": (warning,)}):
        loud = replace(one, outcomes=(replace(one.outcomes[0], **change), *one.outcomes[1:]))
        assert not renderer.is_quick(loud)


def test_many_columns_are_not_quick() -> None:
    """Of no rows they are no cells, and of written rows they are written anew."""
    renderer, columns = MatrixRenderer(shelf=Shelf(1 << 24)), matrix_body.FEW_CELLS + 1
    stamps = np.arange(1, columns + 1, dtype=np.int64)
    matrix = Matrix(Series.WRITES, stamps, Catalogue(()), np.empty((0, columns), np.uint64))
    shown = Answer(matrix, answer(1).outcomes, merged=True)
    for _ in range(3):
        renderer.render(shown)
        assert not renderer.is_quick(shown)


def test_rows_with_long_keys_are_not_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are known, and take as long to write as they are long."""
    renderer, one = MatrixRenderer(), answer(1)
    renderer.render(one)
    assert renderer.is_quick(one)
    heads = sum(len(row_texts.head_of(row)) for row in one.matrix.catalogue.rows)
    monkeypatch.setattr(matrix_body, "FEW_HEAD_BYTES", heads)
    assert renderer.is_quick(one)
    monkeypatch.setattr(matrix_body, "FEW_HEAD_BYTES", heads - 1)
    assert not renderer.is_quick(one)
