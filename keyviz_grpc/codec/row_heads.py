"""What describes the rows of the row form: the beginning of each, which a node sends with every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec.catalogues import decode_catalogue, is_catalogue
from keyviz_grpc.codec.fields import tag_of_bytes, varint
from keyviz_grpc.codec.spans import all_of
from keyviz_grpc.codec.weight import ROUTE_ID_BYTES, ROW_BYTES
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue
from keyviz_grpc.proto import keyviz_pb2 as pb

MET_BYTES: Final = 192 << 20
"""Room for 290 nodes of 1024 rows or 29 of 10 000: where fewer fit than there are, none is met again. Most catalogues
are in `known` too, and then take their part of it only once.
"""

HEAD_BYTES: Final = 64
"""What a row's beginning takes besides its bytes, which stand in packed once more: an object and its place."""


@dataclass(slots=True, eq=False)
class Heads:
    """The beginnings of rows: sizes[i] bytes (int64[R]) describe row i, and heads[i] are these and the tag behind them.

    packed: the serialized KeyVizCatalogue of them, catalogue: what it means, None where nobody has read it.
    """

    heads: Sequence[bytes]
    sizes: NDArray[np.int64]
    packed: bytes
    catalogue: Catalogue | None = None

    @classmethod
    def of(cls, rows: Sequence[bytes], sizes: NDArray[np.int64]) -> Self:
        """Of rows of which so many bytes describe each."""
        each = sizes.tolist()
        pieces = [b""] * (2 * len(rows))
        pieces[::2] = map(_before, each)
        pieces[1::2] = [row[:size] for row, size in zip(rows, each, strict=True)]
        heads = [row[: size + 1] for row, size in zip(rows, each, strict=True)]
        return cls(heads, sizes, b"".join(pieces))

    def begin(self, rows: Sequence[bytes]) -> bool:
        """Whether these are the rows' beginnings."""
        return len(rows) == len(self.heads) and all(map(bytes.startswith, rows, self.heads))

    def can_be_read(self) -> bool:
        """Whether these are descriptions at all; what they tell may be wrong all the same."""
        return self.catalogue is not None or is_catalogue(self.packed)

    def read(self, sender: str) -> Catalogue:
        """What they mean; met again from now on where that sender has them. MalformedAnswer as from `Catalogue`."""
        if self.catalogue is None:
            self.catalogue = decode_catalogue(all_of(self.packed))
            _met.put(sender, self, _held_bytes(self, self.catalogue) + len(sender))
        return self.catalogue


def _held_bytes(heads: Heads, catalogue: Catalogue) -> int:
    """What both keep alive, told in a pass over the rows."""
    listed = sum(len(row.route_ids) for row in catalogue.rows)
    own = 2 * len(heads.packed) + HEAD_BYTES * len(heads.heads)
    return own + ROW_BYTES * len(catalogue) + ROUTE_ID_BYTES * listed


_met: Kept[str, Heads] = Kept(MET_BYTES)

_TAG: Final = tag_of_bytes(pb.KeyVizCatalogue.ROWS_FIELD_NUMBER)


def heads_met(sender: str, rows: Sequence[bytes]) -> Heads | None:
    """Those of its last answer where these rows begin with them."""
    heads = _met.get(sender)
    return heads if heads is not None and heads.begin(rows) else None


@lru_cache(1 << 10)
def _before(size: int) -> bytes:
    """What stands before a row of so many bytes in a catalogue."""
    return _TAG + varint(size)
