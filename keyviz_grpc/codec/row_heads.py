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
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue
from keyviz_grpc.proto import keyviz_pb2 as pb

MET_BYTES: Final = 32 << 20
HEAD_BYTES: Final = 64
"""What a row's beginning takes besides its bytes, which are in the catalogue's once more."""


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
            _met.put(sender, self, 2 * len(self.packed) + HEAD_BYTES * len(self.heads) + len(sender))
        return self.catalogue


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
