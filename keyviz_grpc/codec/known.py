"""Catalogues, columns and tables of identities that were read before: they change rarely, and come with every answer.

Equal ones become one object, so that what is found by which objects it is made of is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec.rows import decode_catalogue
from keyviz_grpc.codec.weight import ROUTE_ID_BYTES, ROW_BYTES
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue
from keyviz_grpc.proto import keyviz_pb2 as pb

_Array = TypeVar("_Array", bound="NDArray[Any]")

CATALOGUE_BYTES: Final = 192 << 20
"""Room for 300 catalogues of 1024 rows that all differ: where fewer fit than there are nodes, none is found again."""

ENTRY_BYTES: Final = 512
"""What an array and its place take besides their numbers, which are in its key once more: most are of a few numbers."""

TABLE_BYTES: Final = 64 << 20
MAX_IDENTITIES: Final = 1 << 16

COLUMNS_BYTES: Final = 8 << 20
MAX_COLUMNS: Final = 1 << 14

RECENT_BYTES: Final = 64 << 20
"""Of the catalogues that were met last, of any node and of each: comparing bytes takes an eighth of hashing them."""


@dataclass(frozen=True, slots=True)
class _Known:
    packed: bytes
    catalogue: Catalogue
    size_bytes: int


_catalogues: Kept[tuple[str, bytes], _Known] = Kept(CATALOGUE_BYTES)
_recent: Kept[tuple[str, int, str], _Known] = Kept(RECENT_BYTES)
"""By kind, length, and the node that sent it last, "" = whichever."""
_tables: Kept[bytes, NDArray[np.uint64]] = Kept(TABLE_BYTES)
_columns: Kept[bytes, NDArray[np.int64]] = Kept(COLUMNS_BYTES)


def catalogue_of(kind: str, packed: bytes, rows: Callable[[], Sequence[pb.KeyVizRow]], node_id: str = "") -> Catalogue:
    """The catalogue that the bytes stand for. rows: reads them, called where they are not known.

    kind: of which message they are, for the same bytes mean other rows in another one, and any peer may send them.
    node_id: who sent them, "" = nobody says; only where to look first.
    """
    size = len(packed)
    places = ((kind, size, ""), (kind, size, node_id)) if node_id else ((kind, size, ""),)
    for place in places:
        known = _recent.get(place)
        if known is not None and known.packed == packed:
            return known.catalogue
    known = _catalogues.get((kind, packed)) or _read(kind, packed, rows)
    for place in places:
        _recent.put(place, known, known.size_bytes + len(node_id) + ENTRY_BYTES)
    return known.catalogue


def _read(kind: str, packed: bytes, rows: Callable[[], Sequence[pb.KeyVizRow]]) -> _Known:
    catalogue = decode_catalogue(rows())
    listed = sum(len(row.route_ids) for row in catalogue.rows)
    known = _Known(packed, catalogue, len(packed) + ROW_BYTES * len(catalogue) + ROUTE_ID_BYTES * listed)
    _catalogues.put((kind, packed), known, known.size_bytes)
    return known


def table_like(
    table: NDArray[np.uint64], check: Callable[[NDArray[np.uint64]], None] | None = None
) -> NDArray[np.uint64]:
    """The table, or the equal one that was given before. check: raises for a bad one, called where it is not known."""
    return _like(_tables, table, MAX_IDENTITIES, check)


def columns_like(columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stamps, or the equal ones that were given before: most peers of a cluster have the same."""
    return _like(_columns, columns, MAX_COLUMNS)


def _like(
    kept: Kept[bytes, _Array], array: _Array, longest: int, check: Callable[[_Array], None] | None = None
) -> _Array:
    packed = array.tobytes() if len(array) <= longest else b""
    known = kept.get(packed)
    if known is not None:
        return known
    if check is not None:
        check(array)
    if packed:
        array.setflags(write=False)
        kept.put(packed, array, 2 * len(packed) + ENTRY_BYTES)
    return array
