"""Unions of catalogues that are remembered, in bounded memory."""

from __future__ import annotations

import pytest

from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.merge import rows
from keyviz_grpc.model import Catalogue, Row


def catalogue(first: int, count: int = 4) -> Catalogue:
    """Routes from `first` on."""
    return Catalogue(tuple(Row(f"route:{n}", b"%04d" % n, b"%04d" % (n + 1)) for n in range(first, first + count)))


def test_unions_keep_no_more_rows_alive_than_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same catalogues are joined once; they give way to others, and too many of them are joined each time."""
    monkeypatch.setattr(rows, "_joined", KeptByIdentity(12))
    one, two, three, four = (catalogue(first) for first in (0, 3, 6, 9))
    small = rows.join([one, two])
    assert rows.join([one, two]) is small
    assert rows.join([one, two, one, two]) is rows.join([one, two, one, two])  # each counts once
    rows.join([three, four])
    assert rows.join([one, two]) is not small
    assert rows.join([one, two, three, four]) is not rows.join([one, two, three, four])
