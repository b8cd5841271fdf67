"""One table of identities for several."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.merge.identities import standing, unite
from keyviz_grpc.model import NO_IDENTITIES


def table(*identities: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """As answers carry it."""
    return np.array(identities, np.uint64).reshape(-1, 2)


@pytest.mark.parametrize(
    "tables",
    [
        [[(0, 0), (1, 1), (1, 2)], [(0, 0), (1, 1), (1, 2)]],
        [[(0, 0), (1, 2), (1, 1)], [(0, 0), (1, 2), (1, 1)]],
        [[(0, 0), (2, 1), (1, 2)]],
        [[(0, 0), (1, 1), (1, 1)]],
        [[(1, 1), (2, 2)]],
        [[(0, 3), (1, 1)]],
        [[(3, 0), (4, 1)]],
        [[(0, 0), (0, 3), (1, 1)]],
        [[(0, 0), (1, 0), (1, 1)]],
        [[(0, 0), (0, 0)]],
        [[]],
        [[], [(0, 0), (2, 1)]],
        [[(0, 0), (5, 5)], [(0, 0), (2, 9), (5, 4)], [(7, 1), (0, 2), (5, 5)]],
        [[(0, 0), (2**64 - 1, 1)], [(0, 0), (1, 2**64 - 1)]],
    ],
)
def test_every_code_means_the_same_identity_in_the_united_table(tables: list[list[tuple[int, int]]]) -> None:
    """Sorted, each once, code 0 unknown; half-known identities are unknown."""
    expected = sorted({(0, 0)} | {one if all(one) else (0, 0) for own in tables for one in own})
    united, remaps = unite([table(*own) for own in tables])
    assert [tuple(one) for one in united.tolist()] == expected
    for own, remap in zip(tables, remaps, strict=True):
        codes = range(len(own)) if remap is None else remap.tolist()
        assert [expected[code] for code in codes] == [one if all(one) else (0, 0) for one in own]


def test_tables_that_are_the_same_and_in_order_keep_their_codes() -> None:
    """Nothing is mapped then; no table at all is the table of the unknown alone."""
    own = table((0, 0), (1, 1), (1, 2), (2, 1))
    united, remaps = unite([own, own.copy()])
    assert united is own
    assert remaps == [None, None]
    assert unite([])[0].tolist() == NO_IDENTITIES.tolist()


def test_of_equal_counts_the_higher_term_leads_and_then_the_higher_group() -> None:
    """Whoever is unknown stands below all others; terms and groups may be as large as can be."""
    told = [(0, 0), (1, 2**64 - 1), (2, 7), (2, 8), (3, 7), (2**64 - 1, 1)]
    stand = standing(table(*told))
    assert [told[code] for code in stand.codes.tolist()] == sorted(told, key=lambda one: (one[1], one[0]))
    assert stand.ranks.take(stand.codes).tolist() == list(range(len(told)))
