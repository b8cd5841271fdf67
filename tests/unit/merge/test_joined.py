"""Unions of catalogues that are remembered, in bounded memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keyviz_grpc.kept import Kept, KeptByIdentity
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


def test_a_union_weighs_what_it_says_of_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts may have one catalogue, and each has places of its own in the union; they are kept once."""
    monkeypatch.setattr(rows, "_joined", KeptByIdentity(12))
    one, two = catalogue(0), catalogue(3)
    some, many = [one, two], [one] * 125 + [two] * 125
    assert rows.join(some) is rows.join(some)
    assert rows.join(many) is not rows.join(many)
    joined = rows.join(many)
    assert joined.places is not None
    for first, places in zip(joined.places.firsts, joined.maps, strict=True):
        assert places is not None
        assert np.shares_memory(places, joined.places.rows[first : first + 4])


@pytest.mark.parametrize("field", ["end", "label", "lineage_id", "route_ids"])
def test_rows_with_long_texts_weigh_more(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay alive with the union, and so does what they became in it."""
    long = {"end": b"9" * 6000, "label": "x" * 6000, "lineage_id": "x" * 6000, "route_ids": tuple(range(750))}[field]
    short = catalogue(0)
    one = Catalogue((replace(short.rows[0], **{field: long}), *short.rows[1:]))  # type: ignore[arg-type]
    for limit, is_kept in ((20, True), (19, False)):
        monkeypatch.setattr(rows, "_joined", KeptByIdentity(limit))
        monkeypatch.setattr(rows, "_united", Kept(limit - 4))
        parts = [one, Catalogue(tuple(replace(row, sample_roles=(1,)) for row in short.rows))]
        joined = rows.join(parts)
        assert (rows.join(parts) is joined) is is_kept
        again = rows.join([*parts, Catalogue(())]).catalogue
        assert (again.rows[0] is joined.catalogue.rows[0]) is is_kept


def test_rows_in_other_roles_are_the_same_objects_in_every_union() -> None:
    """Of rows that are the same objects: what is kept of one union's rows holds for the next one's."""
    own = catalogue(0)
    led = Catalogue(tuple(replace(row, sample_roles=(1,)) for row in own.rows))
    read = Catalogue(tuple(replace(row, sample_roles=(3,)) for row in own.rows))
    more = Catalogue((*led.rows, Row("route:4", b"0004", b"0005")))
    before, after = rows.join([led, read]).catalogue.rows, rows.join([more, read]).catalogue.rows
    assert [row.sample_roles for row in after] == [(1, 3)] * 4 + [()]
    assert all(row is known for row, known in zip(after, before, strict=False))
    assert [row.sample_roles for row in rows.join([own, read, led]).catalogue.rows] == [(1, 3)] * 4


def test_places_in_one_are_those_of_the_parts_one_after_the_other() -> None:
    """Of parts of different lengths; also of those that have exactly the rows of the union."""
    whole, one, two = catalogue(0, 7), catalogue(0, 3), catalogue(2, 5)
    joined = rows.join([one, whole, two])
    assert joined.places is not None
    assert joined.places.rows.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6]
    assert tuple(joined.places.firsts) == (0, 3, 10)
    assert joined.maps[1] is None
    assert rows.join([whole, catalogue(0, 7)]).places is None
