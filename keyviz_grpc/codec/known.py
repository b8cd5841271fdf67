"""Catalogues, columns and tables of identities that were read before: they change rarely, and come with every answer.

Equal ones become one object, so that what is found by which objects it is made of is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec.spans import Span
from keyviz_grpc.codec.weight import ROUTE_ID_BYTES, ROW_BYTES
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue, Row
from keyviz_grpc.traffic import freeze

_Array = TypeVar("_Array", bound="NDArray[Any]")

Layout: TypeAlias = "Sequence[tuple[int, NDArray[np.int64]]]"
"""Bytes a count, and the rows whose counts take so many; narrow ones first."""

Codes: TypeAlias = "tuple[NDArray[np.uint64], NDArray[np.uint32]]"
"""A table of identities, and the codes in it that runs have."""

CATALOGUE_BYTES: Final = 192 << 20
"""Room for 300 catalogues of 1024 rows that all differ: where fewer fit than there are nodes, none is found again."""

ENTRY_BYTES: Final = 512
"""What an array and its place take besides their numbers, which are in its key once more: most are of a few numbers."""

TABLE_BYTES: Final = 64 << 20
MAX_IDENTITIES: Final = 1 << 16

TOLD_BYTES: Final = 16 << 20

COLUMNS_BYTES: Final = 8 << 20
MAX_COLUMNS: Final = 1 << 14

LAYOUT_BYTES: Final = 4 << 20
MAX_WIDTHS: Final = 1 << 14

RECENT_BYTES: Final = 64 << 20
"""Of the catalogues that were met last, of any node and of each: comparing bytes takes an eighth of hashing them."""


@dataclass(frozen=True, slots=True)
class _Known:
    packed: bytes
    catalogue: Catalogue
    size_bytes: int


_catalogues: Kept[bytes, _Known] = Kept(CATALOGUE_BYTES)
_recent: Kept[tuple[int, str], _Known] = Kept(RECENT_BYTES)
"""By length, and the node that sent it last, "" = whichever."""
_tables: Kept[bytes, NDArray[np.uint64]] = Kept(TABLE_BYTES)
_told_codes: Kept[tuple[int, str], tuple[bytes, Codes]] = Kept(TOLD_BYTES)
"""What was told in so many bytes last, by each node."""
_columns: Kept[bytes, NDArray[np.int64]] = Kept(COLUMNS_BYTES)
_stamps: Kept[bytes, NDArray[np.int64]] = Kept(COLUMNS_BYTES)
"""The same by the bytes of the field that they came in."""
_layouts: Kept[bytes, Layout] = Kept(LAYOUT_BYTES)


def catalogue_of(packed: Span, rows: Callable[[], Iterable[Row]], node_id: str = "") -> Catalogue:
    """The catalogue that the bytes stand for. rows: reads them, called where they are not known.

    node_id: who sent them, "" = nobody says; only where to look first.
    """
    if (met := catalogue_met(packed, node_id)) is not None:
        return met
    own = packed.copy()
    known = _catalogues.get(own) or _read(own, rows)
    for place in _places(packed.size, node_id):
        _recent.put(place, known, known.size_bytes + len(node_id) + ENTRY_BYTES)
    return known.catalogue


def catalogue_met(packed: Span, node_id: str) -> Catalogue | None:
    """The same, where bytes of that length, of whichever node or of that one, were these when they last came."""
    for place in _places(packed.size, node_id):
        known = _recent.get(place)
        if known is not None and packed.is_equal(known.packed):
            return known.catalogue
    return None


def _places(size: int, node_id: str) -> Sequence[tuple[int, str]]:
    """Where to look first."""
    return ((size, ""), (size, node_id)) if node_id else ((size, ""),)


def _read(packed: bytes, rows: Callable[[], Iterable[Row]]) -> _Known:
    catalogue = Catalogue(tuple(rows()))
    listed = sum(len(row.route_ids) for row in catalogue.rows)
    known = _Known(packed, catalogue, len(packed) + ROW_BYTES * len(catalogue) + ROUTE_ID_BYTES * listed)
    _catalogues.put(packed, known, known.size_bytes)
    return known


def table_of(
    groups: NDArray[np.uint64], terms: NDArray[np.uint64], check: Callable[[NDArray[np.uint64]], None]
) -> NDArray[np.uint64]:
    """The table of these identities, or the equal one that was given before.

    check: raises for a bad one, called where it is not known.
    """
    packed = groups.tobytes() + terms.tobytes() if len(groups) <= MAX_IDENTITIES else b""
    known = _tables.get(packed)
    if known is not None:
        return known
    table = np.zeros((len(groups) + 1, 2), np.uint64)
    table[1:, 0], table[1:, 1] = groups, terms
    check(table)
    return _put(_tables, packed, table)


def codes_told(packed: bytes, node_id: str, read: Callable[[bytes], Codes]) -> Codes:
    """What a large answer tells in those bytes, whoever sent them. read: called where they are not known."""
    place = len(packed), node_id
    known = _told_codes.get(place)
    if known is not None and known[0] == packed:
        return known[1]
    table, codes = read(packed)
    codes.setflags(write=False)
    held = len(packed) + table.nbytes + codes.nbytes + len(node_id) + ENTRY_BYTES
    _told_codes.put(place, (packed, (table, codes)), held)
    return table, codes


def columns_met(stamps: bytes) -> NDArray[np.int64] | None:
    """Those that stamps in these bytes were when they came last."""
    return _stamps.get(stamps)


def meet_columns(stamps: bytes, columns: NDArray[np.int64]) -> None:
    """From now on bytes like these are known to be them."""
    if len(columns) <= MAX_COLUMNS:
        _stamps.put(stamps, columns, len(stamps) + columns.nbytes + ENTRY_BYTES)


def columns_like(columns: NDArray[np.int64], check: Callable[[NDArray[np.int64]], None]) -> NDArray[np.int64]:
    """The stamps, or the equal ones that were given before: most peers of a cluster have the same. check: as above."""
    packed = columns.tobytes() if len(columns) <= MAX_COLUMNS else b""
    known = _columns.get(packed)
    if known is not None:
        return known
    check(columns)
    return _put(_columns, packed, columns)


def layout_of(widths: bytes, find: Callable[[bytes], Layout]) -> Layout:
    """Which rows have which width; a node's change with its traffic alone. find: looks, called where not known."""
    known = _layouts.get(widths)
    if known is not None:
        return known
    layout = find(widths)
    freeze(*(rows for _, rows in layout))
    if len(widths) <= MAX_WIDTHS:
        held = sum(rows.nbytes for _, rows in layout)
        _layouts.put(widths, layout, len(widths) + held + ENTRY_BYTES * (1 + len(layout)))
    return layout


def _put(kept: Kept[bytes, _Array], packed: bytes, array: _Array) -> _Array:
    array.setflags(write=False)
    if packed:
        kept.put(packed, array, 2 * len(packed) + ENTRY_BYTES)
    return array
