"""Joining the rows of several answers, and who holds which row under which range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.aggregates import aggregate_id
from keyviz_grpc.kept import Kept, KeptByIdentity
from keyviz_grpc.model import Catalogue, Row
from keyviz_grpc.outcome import Answer, LeafRange
from keyviz_grpc.unchanging import unchanging


@unchanging(frozen=True, slots=True, eq=False)
class Places:
    """Where the rows of all parts go: row i of part p is the union's row rows[firsts[p] + i]."""

    rows: NDArray[np.int64]
    firsts: Sequence[int]

    @classmethod
    def of(cls, maps: Sequence[NDArray[np.int64] | None], union_rows: int) -> Places | None:
        """Of maps as `Joined` has them; None where each is None."""
        if all(rows is None for rows in maps):
            return None
        every = np.arange(union_rows)
        whole = [every if rows is None else rows for rows in maps]
        return cls(np.concatenate(whole), (0, *accumulate(map(len, whole[:-1]))))


@unchanging(frozen=True, slots=True, eq=False)
class Joined:
    """The union of several catalogues in key order; maps[p][i] is the union's number of row i of part p.

    maps[p] None: part p has exactly the union's rows, in order. diverging[p]: numbers of the rows of part p, ascending,
    whose range is not the one that the union shows. places: the maps in one, None: every part has the union's rows.
    """

    catalogue: Catalogue
    maps: tuple[NDArray[np.int64] | None, ...]
    diverging: tuple[tuple[int, ...], ...]
    places: Places | None = None


KEPT_ROWS: Final = 1 << 19
"""Of different catalogues, of which a union is remembered: they stay alive with it."""

UNITED_ROWS: Final = 1 << 15
"""With other roles than a catalogue has them; twice as many bytes each."""

ROW_BYTES: Final = 500
"""What a row takes with short keys; one with long ones, or that lists many routes, counts as several."""

PLACES_A_ROW: Final = 64
"""So many places of rows in the union, of which each part has its own, take what a row does."""

# Peers hold the same rows from one request to the next, and their catalogues are the same objects then.
_joined: KeptByIdentity[Joined] = KeptByIdentity(KEPT_ROWS)

# By which object a row is, which is kept with what it became, and its roles.
_united: Kept[tuple[int, tuple[int, ...]], tuple[Row, Row]] = Kept(UNITED_ROWS)


def join(catalogues: Sequence[Catalogue]) -> Joined:
    """Rows joined on bucket id: what a row says comes from the first catalogue that has it; roles are united."""
    if not catalogues:
        return Joined(Catalogue(()), (), ())
    first = catalogues[0]
    if first.in_key_order and all(catalogue is first for catalogue in catalogues):
        return Joined(first, (None,) * len(catalogues), ((),) * len(catalogues))
    found = joined_before(catalogues)
    return found or _joined.get(tuple(catalogues), lambda: _join(catalogues), _weight(catalogues))


def joined_before(catalogues: Sequence[Catalogue]) -> Joined | None:
    """Their union where `join` has it at hand."""
    return _joined.found(tuple(catalogues))


def _weight(catalogues: Sequence[Catalogue]) -> int:
    """Of their union, in rows."""
    texts = sum([_text_bytes(catalogue.rows) for catalogue in {id(each): each for each in catalogues}.values()])
    places = sum([len(catalogue) for catalogue in catalogues])
    return most_rows(catalogues) + texts // ROW_BYTES + places // PLACES_A_ROW


def _text_bytes(rows: Sequence[Row]) -> int:
    """Of what may be long in them; whoever sends rows may make it as long as an answer."""
    ids = sum([8 * len(row.route_ids) for row in rows if row.route_ids])
    names = [len(row.bucket_id) + len(row.label) + len(row.lineage_id) for row in rows]
    return sum([len(row.start) + len(row.end) for row in rows]) + sum(names) + ids


def most_rows(catalogues: Iterable[Catalogue]) -> int:
    """How many rows their union has at most: those of every object, whose rows several may have in common."""
    return sum({id(catalogue): len(catalogue) for catalogue in catalogues}.values())


def _join(catalogues: Sequence[Catalogue]) -> Joined:
    first = catalogues[0]
    if first.in_key_order and all(catalogue == first for catalogue in catalogues):
        return Joined(first, (None,) * len(catalogues), ((),) * len(catalogues))
    found: dict[str, Row] = {}
    for catalogue in catalogues:
        for row in catalogue.rows:
            known = found.setdefault(row.bucket_id, row)
            if known is not row and known.sample_roles != row.sample_roles:
                roles = tuple(sorted({*known.sample_roles, *row.sample_roles}))
                if roles != known.sample_roles:
                    found[row.bucket_id] = _with_roles(known, roles)
    union = Catalogue(tuple(sorted(found.values(), key=lambda row: row.key_order)))
    index = union.index
    maps = []
    for catalogue in catalogues:
        numbers = np.fromiter((index[row.bucket_id] for row in catalogue.rows), np.int64, len(catalogue))
        same = len(numbers) == len(union) and bool((numbers == np.arange(len(union))).all())
        maps.append(None if same else numbers)
    diverging = tuple(_diverging(catalogue, union, rows) for catalogue, rows in zip(catalogues, maps, strict=True))
    places = Places.of(maps, len(union))
    if places is not None:
        # What they say is kept once.
        own = zip(places.firsts, maps, strict=True)
        maps = [None if rows is None else places.rows[first : first + len(rows)] for first, rows in own]
    return Joined(union, tuple(maps), diverging, places)


def _with_roles(row: Row, roles: tuple[int, ...]) -> Row:
    """The same object for the same ones: nodes differ in the roles of most rows, and unions change in a few of them."""
    kept = _united.get((id(row), roles))
    if kept is None:
        kept = row, replace(row, sample_roles=roles)
        _united.put((id(row), roles), kept, 1 + _text_bytes([row]) // ROW_BYTES)
    return kept[1]


def _diverging(own: Catalogue, union: Catalogue, rows: NDArray[np.int64] | None) -> tuple[int, ...]:
    places = range(len(own)) if rows is None else rows.tolist()
    pairs = zip(own.rows, (union.rows[at] for at in places), strict=True)
    return tuple(n for n, (row, shown) in enumerate(pairs) if row.start != shown.start or row.end != shown.end)


def with_range_ids(catalogue: Catalogue) -> Catalogue:
    """Aggregates of a node that has no id take the id of (range, group 0): their own mean nothing elsewhere.

    Raises MalformedAnswer when two aggregates have one range.
    """
    if not any(row.aggregate for row in catalogue.rows):
        return catalogue
    return Catalogue(
        tuple(
            replace(row, bucket_id=aggregate_id(row.start, row.end)) if row.aggregate else row for row in catalogue.rows
        )
    )


@unchanging(frozen=True, slots=True, eq=False)
class Holders:
    """Which leaves hold which row: leaf_sets[row_leaf_set[i]], or all that are ok when row_leaf_set is None."""

    leaf_sets: tuple[tuple[int, ...], ...]
    row_leaf_set: NDArray[np.int64] | None


NO_BOOKS: Final = Holders((), None)


def holders(answers: Sequence[Answer], first_leaves: Sequence[int], joined: Joined) -> Holders:
    """Presence of every row in every leaf, numbered over all leaves of the merge.

    answers: those that contribute; first_leaves[p]: the number that leaf 0 of part p has in the merge.
    """
    if all(rows is None for rows in joined.maps) and all(answer.row_leaf_set is None for answer in answers):
        return Holders((), None)
    combined = np.zeros(len(joined.catalogue), np.int64)
    sets: list[tuple[int, ...]] = [()]
    for answer, first, rows in zip(answers, first_leaves, joined.maps, strict=True):
        options, own = _own_sets(answer, first)
        choice = np.zeros(len(joined.catalogue), np.int64)
        choice[slice(None) if rows is None else rows] = own + 1
        pairs, combined = np.unique(combined * (len(options) + 1) + choice, return_inverse=True)
        sets = [
            sets[pair // (len(options) + 1)]
            + (options[pair % (len(options) + 1) - 1] if pair % (len(options) + 1) else ())
            for pair in pairs.tolist()
        ]
    combined.setflags(write=False)
    return Holders(tuple(sets), combined)


def _own_sets(answer: Answer, first: int) -> tuple[list[tuple[int, ...]], NDArray[np.int64]]:
    if answer.row_leaf_set is None:
        everyone = tuple(first + number for number in contributing(answer))
        return [everyone], np.zeros(len(answer.matrix.catalogue), np.int64)
    return [tuple(first + leaf for leaf in leaves) for leaves in answer.leaf_sets], answer.row_leaf_set


def contributing(answer: Answer) -> list[int]:
    """Numbers of the leaves of an answer whose data is in it."""
    return [number for number, outcome in enumerate(answer.outcomes) if outcome.contributes]


def leaf_ranges(answers: Sequence[Answer], first_leaves: Sequence[int], joined: Joined) -> tuple[LeafRange, ...]:
    """Every leaf that holds a row under another range than the union shows, sorted by (row, leaf)."""
    found: list[LeafRange] = []
    parts = zip(answers, first_leaves, joined.maps, joined.diverging, strict=True)
    for answer, first, rows, diverging in parts:
        exceptions: dict[int, dict[int, LeafRange]] = {}
        for item in answer.leaf_ranges:
            exceptions.setdefault(item.row, {})[item.leaf] = item
        for number in {*diverging, *exceptions}:
            row = answer.matrix.catalogue.rows[number]
            at = number if rows is None else int(rows[number])
            shown = joined.catalogue.rows[at]
            for leaf in _leaves_of(answer, number):
                held = exceptions.get(number, {}).get(leaf)
                start, end = (held.start, held.end) if held else (row.start, row.end)
                if (start, end) != (shown.start, shown.end):
                    found.append(LeafRange(at, first + leaf, start, end))
    return tuple(sorted(found, key=lambda item: (item.row, item.leaf)))


def _leaves_of(answer: Answer, row: int) -> Sequence[int]:
    if answer.row_leaf_set is None:
        return contributing(answer)
    return answer.leaf_sets[int(answer.row_leaf_set[row])]
