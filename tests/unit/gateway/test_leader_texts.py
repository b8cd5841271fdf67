"""What rows of one leader say is kept, and written anew for the rows alone whose leader is another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway import leader_texts
from gateway.leader_texts import LeaderTexts, of_several, told_apart
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.traffic import Leaders

NOBODY = b"nobody"


class Counted:
    """A form that counts what it is given."""

    def __init__(self) -> None:
        self.given: list[bytes] = []

    def __call__(self, text: bytes) -> bytes:
        self.given.append(text)
        return b"<%b>" % text


def table(*leaders: tuple[int, int]) -> NDArray[np.uint64]:
    """Of identities: nobody first."""
    return np.array([(0, 0), *leaders], np.uint64)


def codes(*numbers: int) -> NDArray[np.int64]:
    """Of rows."""
    return np.array(numbers, np.int64)


def test_groups_and_terms_are_repeated_over_all_columns() -> None:
    """The groups are told without a name."""
    texts = LeaderTexts(bytes, NOBODY)
    identities = table((7, 3), (2**64 - 1, 8))
    expected = [b'[7,7],"leader_terms":[3,3]', b'[%d,%d],"leader_terms":[8,8]' % ((2**64 - 1,) * 2), NOBODY]
    assert texts.of_rows(identities, codes(1, 2, 0), 2) == expected
    assert texts.of_rows(identities, codes(1), 1) == [b'[7],"leader_terms":[3]']
    assert texts.of_rows(identities, codes(0, 0), 2) == [NOBODY, NOBODY]
    assert texts.of_rows(identities, codes(), 2) == []


def test_the_same_leaders_are_not_written_again() -> None:
    """In whatever table they stand."""
    form = Counted()
    texts = LeaderTexts(form, NOBODY)
    first = texts.of_rows(table((7, 3), (8, 4)), codes(1, 2, 0, 1), 3)
    assert len(form.given) == 2
    assert texts.of_rows(table((6, 1), (7, 3), (8, 4)), codes(2, 3, 0, 2), 3) is first
    assert len(form.given) == 2


@pytest.mark.parametrize("leader", [(7, 4), (9, 3), (9, 4)])
def test_one_new_leader_is_written_alone(leader: tuple[int, int]) -> None:
    """Another term, group or both; what was given out before stays as it is."""
    form = Counted()
    texts = LeaderTexts(form, NOBODY)
    before = texts.of_rows(table((7, 3), (8, 4)), codes(1, 2, 1), 2)
    told = list(before)
    after = texts.of_rows(table((7, 3), (8, 4), leader), codes(1, 2, 3), 2)
    assert after == [*told[:2], b'<[%d,%d],"leader_terms":[%d,%d]>' % (leader[0], *leader, leader[1])]
    assert all(new is old for new, old in zip(after[:2], told[:2], strict=True))
    assert before == told
    assert len(form.given) == 3


def test_matrices_of_several_sizes_are_kept_beside_each_other() -> None:
    """Those of fewer columns, or of fewer rows."""
    texts, identities = LeaderTexts(Counted(), NOBODY), table((7, 3))
    given = [texts.of_rows(identities, codes(*rows), times) for rows in ((1, 1), (1, 1, 1)) for times in (2, 3)]
    again = [texts.of_rows(identities, codes(*rows), times) for rows in ((1, 1), (1, 1, 1)) for times in (2, 3)]
    assert all(one is other for one, other in zip(given, again, strict=True))


def test_texts_are_not_kept_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows times columns count: of too many nothing, of others the last ones."""
    monkeypatch.setattr(leader_texts, "KEPT_NUMBERS", 7)
    texts, identities = LeaderTexts(Counted(), NOBODY), table((7, 3))
    assert texts.of_rows(identities, codes(1, 1), 4) is not texts.of_rows(identities, codes(1, 1), 4)
    first = texts.of_rows(identities, codes(1, 1), 3)
    assert texts.of_rows(identities, codes(1, 1), 3) is first
    texts.of_rows(identities, codes(1), 3)
    assert texts.of_rows(identities, codes(1, 1), 3) is not first


@pytest.mark.parametrize("largest", [1, 2**31, 2**32 - 1, 2**32, 2**33 - 1, 2**64 - 1])
def test_numbers_of_several_leaders_are_whole(largest: int) -> None:
    """Also those that just do not fit half a word, as group or as term."""
    leaders = [[0, 0], [largest, 2], [3, largest]]
    matrix = Matrix(
        Series.WRITES,
        np.array([1000, 2000, 3000]),
        Catalogue((Row("route:1", b"a", b"b"), Row("route:2", b"b", b""))),
        np.array([[5, 5, 0], [5, 5, 5]], np.uint64),
        identities=np.array(leaders, np.uint64),
        codes=np.array([[1, 2, 0], [1, 1, 1]], np.uint32),
    )
    told = matrix.row_leaders()
    assert told is not None
    shown, others = told_apart(told)
    rows, groups, terms = of_several(matrix, told, others)
    assert (shown.tolist(), rows.tolist()) == ([0, 1], [0])
    assert (groups.tolist(), terms.tolist()) == ([[largest, 3, 0]], [[2, largest, 0]])


def test_a_mixed_row_that_names_nobody_says_nothing() -> None:
    """As one that folding has left without a leader; its neighbour still says its own."""
    values = np.ones((2, 2), np.uint8)
    told = Leaders(codes(-1, -2), np.array([[0, 0], [0, 1]], np.uint32), np.ones(2, np.bool_))
    catalogue = Catalogue((Row("route:1", b"a", b"b"), Row("route:2", b"b", b"")))
    stamps, identities = np.array([1000, 2000]), table((7, 3))
    matrix = Matrix.of_leaders(Series.WRITES, stamps, catalogue, values, told, identities=identities)
    rows, groups, terms = of_several(matrix, told, told_apart(told)[1])
    assert (rows.tolist(), groups.tolist(), terms.tolist()) == ([1], [[0, 7]], [[0, 3]])


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), max_size=5))
def test_what_is_kept_reads_as_if_it_were_written_now(told: list[list[int]]) -> None:
    """Rows that get a leader, lose it, or change places."""
    texts, identities = LeaderTexts(bytes, NOBODY), table((7, 3), (7, 4), (8, 4))
    for rows in told:
        assert texts.of_rows(identities, codes(*rows), 2) == LeaderTexts(bytes, NOBODY).of_rows(
            identities, codes(*rows), 2
        )
