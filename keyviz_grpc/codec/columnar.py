"""The packed form on its way out: whole matrices in a few blocks, see `KeyVizColumnar` in the proto file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec.catalogues import encode_catalogue, is_encoded
from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.codec.varints import varints
from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import Catalogue, Matrix
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.traffic import NO_RUNS, Counts, Runs, where

VERSION: Final = 1
WIDTHS: Final = (1, 2, 4, 8)
KEPT_CELLS: Final = 1 << 21
ENTRY_CELLS: Final = 512
"""What a packed form weighs besides its cells and rows: there are some of no cells at all."""
PACKED_AT_ONCE_CELLS: Final = 1 << 16
PACKED_AT_ONCE_SHARES: Final = 1 << 10
"""Of a matrix that may be packed while an event loop waits for it."""
KINDS_OF_ROWS: Final = 2
"""Of the same cells: with roles and without."""

_COLUMNAR: Final = pb.GetKeyVizMatrixResponse.COLUMNAR_FIELD_NUMBER


@dataclass(frozen=True, slots=True)
class Packed:
    """What a matrix of this shape is in an answer, serialized: `column_unix_ms` and `columnar`, with and without rows.

    Pieces, to be joined; the bytes are the same ones in both, those of the catalogue are those of every matrix with it.
    """

    shape: tuple[int, int]
    whole: Sequence[bytes]
    without_rows: Sequence[bytes]


class _Cells:
    """The packed form of some cells, in the rows of each catalogue that they were last asked for in."""

    def __init__(self, matrix: Matrix) -> None:
        stamps = pb.GetKeyVizMatrixResponse(column_unix_ms=matrix.columns.tolist()).SerializeToString()
        rest = _encode(matrix)
        self._stamps, self._rest, self._without_rows = stamps, rest, [stamps, *as_field(_COLUMNAR, rest)]
        self._packed: tuple[tuple[Catalogue, Packed], ...] = ()

    def found(self, rows: Catalogue) -> Packed | None:
        """The packed form with these rows where it is there already."""
        return next((packed for catalogue, packed in self._packed if catalogue is rows), None)

    def packed(self, matrix: Matrix) -> Packed:
        """That of a matrix of these cells."""
        found = self.found(matrix.catalogue)
        if found is not None:
            return found
        encoded = encode_catalogue(matrix.catalogue)
        rows = as_field(pb.KeyVizColumnar.CATALOGUE_FIELD_NUMBER, [encoded]) if encoded else []
        made = Packed(matrix.shape, [self._stamps, *as_field(_COLUMNAR, [*rows, *self._rest])], self._without_rows)
        self._packed = (*self._packed[1 - KINDS_OF_ROWS :], (matrix.catalogue, made))
        return made


# A node hands out the same matrix until its next window closes, however many ask, with roles and without.
_cells: KeptByIdentity[_Cells] = KeptByIdentity(KEPT_CELLS)


def encode_columnar(matrix: Matrix) -> Packed:
    """The packed form of a matrix."""
    weight = matrix.cells + len(matrix.catalogue) + ENTRY_CELLS
    return _cells.get(_parts(matrix), lambda: _Cells(matrix), weight).packed(matrix)


def _parts(matrix: Matrix) -> tuple[object, ...]:
    """All that is packed but its rows."""
    told = matrix.narrowest, matrix.codes, matrix.shares, matrix.soft, matrix.conflicts
    return (matrix.columns, matrix.identities, *told)


def encoded_columnar(matrix: Matrix) -> Packed | None:
    """The packed form of a matrix where it is there already, or little work."""
    cells = _cells.found(_parts(matrix))
    if cells is not None and (found := cells.found(matrix.catalogue)) is not None:
        return found
    little = matrix.cells <= PACKED_AT_ONCE_CELLS and len(matrix.shares) <= PACKED_AT_ONCE_SHARES
    return encode_columnar(matrix) if (cells is not None or little) and is_encoded(matrix.catalogue) else None


def _encode(matrix: Matrix) -> Sequence[bytes]:
    """The serialized KeyVizColumnar of a matrix without its catalogue, in pieces."""
    # In one place, for those of few columns are mostly a slice of many.
    counts = np.ascontiguousarray(matrix.narrowest)
    tops = counts.max(axis=1, initial=0)
    widths = (tops > 0).view(np.uint8)
    for width, floor in ((2, 0xFF), (4, 0xFFFF), (8, 0xFFFFFFFF)):
        if tops.dtype.itemsize >= width and len(above := where(tops > np.uint64(floor))):
            widths[above] = width
    packed = widths.tobytes()
    head = pb.KeyVizColumnar(
        version=VERSION,
        widths=packed,
        values=b"".join(
            [
                counts.take(where(widths == width), axis=0).astype(f"<u{width}").tobytes()
                for width in WIDTHS
                if width in packed
            ]
        ),
    )
    tail = pb.KeyVizColumnar(soft=_bits(matrix.soft), conflicts=_bits(matrix.conflicts))
    runs: Sequence[bytes] = ()
    if matrix.codes is not None or len(matrix.shares):
        runs = _encode_identities(matrix, counts, head, tail)
    return [head.SerializeToString(), *runs, tail.SerializeToString()]


def _encode_identities(
    matrix: Matrix, counts: Counts, head: pb.KeyVizColumnar, tail: pb.KeyVizColumnar
) -> Sequence[bytes]:
    """The serialized fields of runs, of which every cell may be one; what stands before and behind goes to messages."""
    shares = matrix.shares
    runs = NO_RUNS if matrix.codes is None else Runs.found(counts, matrix.codes)
    used = np.zeros(len(matrix.identities), np.bool_)
    used[runs.codes] = used[shares.codes] = used[:1] = True
    renumbered = used.cumsum(dtype=np.uint32) - np.uint32(1)
    identities = matrix.identities[used]
    head.identity_groups.extend(identities[1:, 0].tolist())
    head.identity_terms.extend(identities[1:, 1].tolist())
    if len(shares):
        cells = shares.rows * len(matrix.columns) + shares.columns
        tail.share_cell_deltas.extend(np.diff(cells, prepend=0).tolist())
        tail.share_codes.extend(renumbered.take(shares.codes).tolist())
        tail.share_values.extend(shares.values.tolist())
    if not runs.codes.any():
        return ()
    fields = pb.KeyVizColumnar
    return [
        *as_field(fields.RUN_CODES_FIELD_NUMBER, [varints(renumbered.take(runs.codes))]),
        *as_field(fields.RUN_LENGTHS_FIELD_NUMBER, [varints(runs.lengths)]),
    ]


def _bits(marks: NDArray[np.bool_] | None) -> bytes:
    return b"" if marks is None or not marks.any() else np.packbits(marks.ravel()).tobytes()
