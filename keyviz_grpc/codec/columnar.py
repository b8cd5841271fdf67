"""The packed form: whole matrices in a few blocks, as `KeyVizColumnar` in the proto file describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec import known
from keyviz_grpc.codec.apart import Large
from keyviz_grpc.codec.catalogues import decode_catalogue, encode_catalogue, is_encoded
from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.codec.parsing import parse
from keyviz_grpc.codec.spans import Span
from keyviz_grpc.codec.varints import varints
from keyviz_grpc.errors import MalformedAnswer, TooLarge
from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import NO_IDENTITIES, NO_SHARES, Catalogue, Matrix, Series, Shares
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.traffic import NO_RUNS, Busy, Counts, Runs, Strip, freeze, where

VERSION: Final = 1
WIDTHS: Final = (1, 2, 4, 8)
_COUNTS: Final = {width: np.dtype(f"<u{width}") for width in WIDTHS}
KEPT_CELLS: Final = 1 << 21
ENTRY_CELLS: Final = 512
"""What a packed form weighs besides its cells and rows: there are some of no cells at all."""
PACKED_AT_ONCE_CELLS: Final = 1 << 16
PACKED_AT_ONCE_SHARES: Final = 1 << 10
"""Of a matrix that may be packed while an event loop waits for it."""
FEW: Final = 32
KINDS_OF_ROWS: Final = 2
"""Of the same cells: with roles and without."""

_COLUMNAR: Final = pb.GetKeyVizMatrixResponse.COLUMNAR_FIELD_NUMBER

_Number = TypeVar("_Number", np.uint32, np.uint64)


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


def decode_columnar(
    message: pb.KeyVizColumnar,
    *,
    series: Series,
    columns: NDArray[np.int64],
    max_cells: int,
    rows: Catalogue | None = None,
    node_id: str = "",
    large: Large | None = None,
) -> Matrix:
    """rows: in place of a catalogue, which the message must then lack. node_id: who sent it, "" = nobody says.

    large: what the message lacks because it is read where it came.
    Raises MalformedAnswer for lengths that do not fit together, TooLarge for more than `max_cells` cells.
    """
    if message.version != VERSION:
        raise MalformedAnswer(f"columnar: version {message.version} is not known, only {VERSION}")
    large = large or Large.of(message)
    if rows is not None and large.catalogue.size:
        raise MalformedAnswer("columnar: a catalogue where rows are left out")
    catalogue = large.rows if rows is None else rows
    if catalogue is None:
        catalogue = decode_catalogue(large.catalogue, len(message.widths), node_id)
    shape = (len(catalogue), len(columns))
    if shape[0] * shape[1] > max_cells:
        raise TooLarge(f"{shape[0]} rows x {shape[1]} columns are more than {max_cells} cells")
    strips = _decode_values(message.widths, large.values, shape)
    soft, conflicts = _marks("soft", message.soft, shape), _marks("conflicts", message.conflicts, shape)
    if not series.is_write:
        return Matrix.of_busy(series, columns, catalogue, Busy(strips, None), soft=soft, conflicts=conflicts)
    identities, codes = _decode_codes(message) if large.codes is None else _codes_of(large.codes, node_id)
    busy = Busy(strips, _decode_runs(codes, message, large.lengths, strips))
    return Matrix.of_busy(
        series,
        columns,
        catalogue,
        busy,
        identities=identities,
        shares=_decode_shares(message, busy, shape, len(identities)),
        soft=soft,
        conflicts=conflicts,
    )


def _decode_values(widths: bytes, packed: Span, shape: tuple[int, int]) -> list[Strip]:
    """The rows that have a width, a strip for each width; their values stay where they came."""
    if len(widths) != shape[0]:
        raise MalformedAnswer(_wrong_widths(len(widths), shape[0]))
    layout = known.layout_of(widths, _rows_by_width)
    expected = sum([width * len(rows) for width, rows in layout]) * shape[1]
    if packed.size != expected:
        raise MalformedAnswer(f"columnar: {packed.size} bytes of values, {expected} expected")
    strips = []
    raw, at = packed.raw, packed.start
    for width, rows in layout:
        size = width * len(rows) * shape[1]
        # Wide ones are copied where they do not stand as they are read fastest.
        own, first = (raw[at : at + size], 0) if at % width else (raw, at)
        strips.append(Strip(rows, np.ndarray((len(rows), shape[1]), _COUNTS[width], own, first)))
        at += size
    return strips


def _rows_by_width(packed: bytes) -> known.Layout:
    """Which rows have which width, of the widths of all, narrow ones first."""
    widths = np.frombuffer(packed, np.uint8)
    layout = [(width, where(widths == width)) for width in WIDTHS if width in packed]
    if packed.count(0) + sum([len(rows) for _, rows in layout]) != len(packed):
        raise MalformedAnswer(_wrong_widths(len(packed), len(packed)))
    return layout


def _wrong_widths(widths: int, rows: int) -> str:
    return f"columnar: {widths} widths for {rows} rows, or one that is not 0, 1, 2, 4 or 8"


def _marks(name: str, packed: bytes, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    if not packed:
        return None
    cells = shape[0] * shape[1]
    if len(packed) != (cells + 7) // 8:
        raise MalformedAnswer(f"columnar: {len(packed)} bytes of {name} for {cells} cells")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=cells)
    return bits.astype(np.bool_).reshape(shape)


def _decode_table(message: pb.KeyVizColumnar) -> NDArray[np.uint64]:
    groups, terms = _array(message.identity_groups, np.uint64), _array(message.identity_terms, np.uint64)
    if len(groups) != len(terms):
        raise MalformedAnswer(f"columnar: {len(groups)} identity_groups, {len(terms)} identity_terms")
    return known.table_of(groups, terms, _check_table) if len(groups) else NO_IDENTITIES


def _decode_codes(message: pb.KeyVizColumnar) -> known.Codes:
    table, codes = _decode_table(message), _array(message.run_codes, np.uint32)
    if len(codes) and (highest := int(codes[codes.argmax()])) >= len(table):
        raise MalformedAnswer(f"columnar: run_codes names identity {highest} of {len(table)}")
    return table, codes


def _codes_of(told: bytes, node_id: str) -> known.Codes:
    """Of those fields alone, which are read where that node has not told the same before."""
    return known.codes_told(told, node_id, lambda packed: _decode_codes(parse(pb.KeyVizColumnar, packed)))


def _check_table(table: NDArray[np.uint64]) -> None:
    groups, terms = table[1:, 0], table[1:, 1]
    rising = (groups[1:] > groups[:-1]) | ((groups[1:] == groups[:-1]) & (terms[1:] > terms[:-1]))
    if not table[1:].all() or not rising.all():
        raise MalformedAnswer("columnar: identities must be known, and ascend by group, then term")


def _decode_runs(
    codes: NDArray[np.uint32], message: pb.KeyVizColumnar, told: bytes | None, strips: Sequence[Strip]
) -> Runs | None:
    """told: the lengths where each takes one byte, None: the message has them."""
    lengths: Counts
    if told is None:
        lengths = _array(message.run_lengths, np.uint32)
        covered = int(np.add.reduce(lengths.astype(np.int64)))
    else:
        lengths, covered = np.frombuffer(told, np.uint8), sum(told)
    if len(codes) == len(lengths) == 0:
        return None
    busy = sum([np.count_nonzero(strip.values) for strip in strips])
    if len(codes) != len(lengths) or covered != busy:
        raise MalformedAnswer("columnar: the runs of identities do not cover the cells with traffic")
    if 0 in (told or lengths):
        # Runs of no cell say nothing, and there may be millions of them in an answer of few cells.
        kept = where(lengths > 0)
        codes, lengths = codes[kept], lengths[kept]
    freeze(codes, lengths)
    return Runs(codes, lengths)


def _array(numbers: Sequence[int], kind: type[_Number]) -> NDArray[_Number]:
    # A field becomes an array in one go, however long it is, but few numbers are there sooner by way of a list.
    return np.array(numbers[:] if len(numbers) <= FEW else numbers, kind)


def _decode_shares(message: pb.KeyVizColumnar, busy: Busy, shape: tuple[int, int], identities: int) -> Shares:
    size = shape[0] * shape[1]
    count = len(message.share_cell_deltas)
    if not count == len(message.share_codes) == len(message.share_values):
        raise MalformedAnswer("columnar: share_cell_deltas, share_codes and share_values differ in length")
    if count == 0:
        return NO_SHARES
    deltas = np.array(message.share_cell_deltas, np.uint64)
    if int(deltas.max()) >= size:
        raise MalformedAnswer(f"columnar: share_cell_deltas leaves the {size} cells")
    cells = np.cumsum(deltas.astype(np.int64))
    codes = np.array(message.share_codes, np.uint32)
    amounts = np.array(message.share_values, np.uint64)
    if int(cells[-1]) >= size or int(codes.max()) >= identities or not amounts.all():
        raise MalformedAnswer("columnar: a share lies outside the matrix, has no identity, or has value 0")
    rows, columns = np.divmod(cells, shape[1])
    ordered = (deltas[1:] > 0) | (codes[1:] > codes[:-1])
    if not ordered.all() or bool((amounts > busy.at(rows, columns)).any()):
        raise MalformedAnswer("columnar: shares are not sorted by cell and code, or one is larger than its cell")
    return Shares(rows, columns, codes, amounts)
