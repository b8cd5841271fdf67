"""The packed form: whole matrices in a few blocks, as `KeyVizColumnar` in the proto file describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from keyviz_grpc.codec import known
from keyviz_grpc.codec.crowd import HARMLESS_BYTES, rows_in_catalogue
from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.codec.rows import encode_row
from keyviz_grpc.errors import MalformedAnswer, TooLarge
from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import NO_IDENTITIES, NO_SHARES, Busy, Catalogue, Matrix, Series, Shares
from keyviz_grpc.proto import keyviz_pb2 as pb

VERSION: Final = 1
CATALOGUE: Final = "KeyVizCatalogue"
WIDTHS: Final = (1, 2, 4, 8)
_IS_WIDTH: Final = np.isin(np.arange(256), (0, *WIDTHS))
KEPT_CELLS: Final = 1 << 21
FEW_CELLS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Packed:
    """What a matrix is in an answer, serialized: `column_unix_ms` and `columnar`, with a catalogue and without one.

    Pieces, to be joined; the bytes are the same ones in both, those of the catalogue are those of every matrix with it.
    """

    whole: Sequence[bytes]
    without_rows: Sequence[bytes]

    @classmethod
    def of(cls, columns: NDArray[np.int64], catalogue: bytes, rest: bytes) -> Packed:
        """catalogue: serialized. rest: the serialized KeyVizColumnar without it."""
        stamps = pb.GetKeyVizMatrixResponse(column_unix_ms=columns.tolist()).SerializeToString()
        number = pb.GetKeyVizMatrixResponse.COLUMNAR_FIELD_NUMBER
        rows = as_field(pb.KeyVizColumnar.CATALOGUE_FIELD_NUMBER, [catalogue]) if catalogue else []
        return cls([stamps, *as_field(number, [*rows, rest])], [stamps, *as_field(number, [rest])])


# Catalogues change rarely: one side keeps the bytes, the other what they meant.
_encoded: KeptByIdentity[bytes] = KeptByIdentity(16)

# A node hands out the same matrix until its next window closes, however many ask.
_packed: KeptByIdentity[Packed] = KeptByIdentity(KEPT_CELLS)


def encode_columnar(matrix: Matrix) -> Packed:
    """The packed form of a matrix."""
    return _packed.get((matrix,), lambda: _encode(matrix), matrix.values.size + 1)


def is_encoded(matrix: Matrix) -> bool:
    """Whether its packed form is there already."""
    return _packed.has((matrix,))


def _encode(matrix: Matrix) -> Packed:
    tops = matrix.values.max(axis=1, initial=0)
    widths = np.zeros(len(tops), np.uint8)
    for width, floor in ((1, 0), (2, 0xFF), (4, 0xFFFF), (8, 0xFFFFFFFF)):
        widths[tops > np.uint64(floor)] = width
    blocks = [matrix.values[widths == width].astype(f"<u{width}").tobytes() for width in WIDTHS]
    message = pb.KeyVizColumnar(
        version=VERSION,
        widths=widths.tobytes(),
        values=b"".join(blocks),
        soft=_bits(matrix.soft),
        conflicts=_bits(matrix.conflicts),
    )
    if matrix.codes is not None or len(matrix.shares):
        _encode_identities(matrix, message)
    return Packed.of(matrix.columns, _catalogue_bytes(matrix.catalogue), message.SerializeToString())


def _encode_identities(matrix: Matrix, message: pb.KeyVizColumnar) -> None:
    shares = matrix.shares
    run_codes, run_lengths = _runs(matrix)
    used, renumbered = np.unique(np.concatenate([np.zeros(1, np.uint32), run_codes, shares.codes]), return_inverse=True)
    message.identity_groups.extend(matrix.identities[used[1:], 0].tolist())
    message.identity_terms.extend(matrix.identities[used[1:], 1].tolist())
    share_codes = renumbered[1 + len(run_codes) :]
    if run_codes.any():
        message.run_codes.extend(renumbered[1 : 1 + len(run_codes)].tolist())
        message.run_lengths.extend(run_lengths.tolist())
    cells = shares.rows * len(matrix.columns) + shares.columns
    message.share_cell_deltas.extend(np.diff(cells, prepend=0).tolist())
    message.share_codes.extend(share_codes.tolist())
    message.share_values.extend(shares.values.tolist())


def _runs(matrix: Matrix) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Codes of the cells with traffic, in cell order, as (codes, lengths) of runs."""
    if matrix.codes is None:
        return np.zeros(0, np.uint32), np.zeros(0, np.int64)
    codes = matrix.codes.ravel().take(np.flatnonzero(matrix.values.ravel() != 0))
    if len(codes) == 0:
        return codes, np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([np.ones(1, np.bool_), codes[1:] != codes[:-1]]))
    return codes[starts], np.diff(np.append(starts, len(codes)))


def _catalogue_bytes(catalogue: Catalogue) -> bytes:
    return _encoded.get(
        (catalogue,),
        lambda: pb.KeyVizCatalogue(rows=[encode_row(row) for row in catalogue.rows]).SerializeToString(),
    )


def _bits(marks: NDArray[np.bool_] | None) -> bytes:
    return b"" if marks is None or not marks.any() else np.packbits(marks.ravel()).tobytes()


def decode_columnar(
    message: pb.KeyVizColumnar,
    *,
    series: Series,
    columns: NDArray[np.int64],
    max_cells: int,
    rows: Catalogue | None = None,
) -> Matrix:
    """rows: in place of a catalogue, which the message must then lack.

    Raises MalformedAnswer for lengths that do not fit together, TooLarge for more than `max_cells` cells.
    """
    if message.version != VERSION:
        raise MalformedAnswer(f"columnar: version {message.version} is not known, only {VERSION}")
    if rows is not None and message.catalogue:
        raise MalformedAnswer("columnar: a catalogue where rows are left out")
    catalogue = decode_packed_catalogue(message.catalogue, len(message.widths)) if rows is None else rows
    shape = (len(catalogue), len(columns))
    if shape[0] * shape[1] > max_cells:
        raise TooLarge(f"{shape[0]} rows x {shape[1]} columns are more than {max_cells} cells")
    rows_, values = _decode_values(message, shape)
    soft, conflicts = _marks("soft", message.soft, shape), _marks("conflicts", message.conflicts, shape)
    if not series.is_write:
        busy = Busy(rows_, values, None)
        return Matrix.of_busy(series, columns, catalogue, busy, soft=soft, conflicts=conflicts)
    identities = _decode_table(message)
    busy = Busy(rows_, values, *_decode_codes(message, values, len(identities)))
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


def decode_packed_catalogue(packed: bytes, expected: int | None = None) -> Catalogue:
    """Of a serialized KeyVizCatalogue; the same object for the same bytes, while it is remembered.

    expected: how many rows it must have, or MalformedAnswer before anything is made of them.
    """
    return known.catalogue_of(CATALOGUE, packed, lambda: _rows_of(packed, expected))


def _rows_of(packed: bytes, expected: int | None) -> Sequence[pb.KeyVizRow]:
    if expected is not None and len(packed) > HARMLESS_BYTES and rows_in_catalogue(packed, expected) > expected:
        raise MalformedAnswer(f"columnar: {expected} widths for more rows than that")
    message = pb.KeyVizCatalogue()
    try:
        message.ParseFromString(packed)
    except DecodeError as error:
        raise MalformedAnswer("columnar: the catalogue is not a KeyVizCatalogue") from error
    if expected is not None and len(message.rows) != expected:
        raise MalformedAnswer(f"columnar: {expected} widths for {len(message.rows)} rows")
    return message.rows


def _decode_values(message: pb.KeyVizColumnar, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The rows that have a width, ascending, and their values."""
    widths = np.frombuffer(message.widths, np.uint8)
    if len(widths) != shape[0] or not _IS_WIDTH.take(widths).all():
        raise MalformedAnswer(f"columnar: {len(widths)} widths for {shape[0]} rows, or one that is not 0, 1, 2, 4 or 8")
    expected = int(widths.astype(np.int64).sum()) * shape[1]
    if len(message.values) != expected:
        raise MalformedAnswer(f"columnar: {len(message.values)} bytes of values, {expected} expected")
    busy = np.flatnonzero(widths)
    own = widths.take(busy)
    values = np.empty((len(busy), shape[1]), np.uint64)
    at = 0
    for width in WIDTHS:
        rows = np.flatnonzero(own == width)
        if len(rows) == 0:
            continue
        count = len(rows) * shape[1]
        block = np.frombuffer(message.values, f"<u{width}", count, at)
        at += count * width
        # Widened first: rows that are only copied go to their places several times faster.
        values[rows] = block.reshape(len(rows), shape[1]).astype(np.uint64)
    return busy, values


def _marks(name: str, packed: bytes, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    if not packed:
        return None
    cells = shape[0] * shape[1]
    if len(packed) != (cells + 7) // 8:
        raise MalformedAnswer(f"columnar: {len(packed)} bytes of {name} for {cells} cells")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=cells)
    return bits.astype(np.bool_).reshape(shape)


def _decode_table(message: pb.KeyVizColumnar) -> NDArray[np.uint64]:
    groups, terms = message.identity_groups, message.identity_terms
    if len(groups) != len(terms):
        raise MalformedAnswer(f"columnar: {len(groups)} identity_groups, {len(terms)} identity_terms")
    if not groups:
        return NO_IDENTITIES
    table = np.zeros((len(groups) + 1, 2), np.uint64)
    table[1:, 0] = groups
    table[1:, 1] = terms
    return known.table_like(table, _check_table)


def _check_table(table: NDArray[np.uint64]) -> None:
    groups, terms = table[1:, 0], table[1:, 1]
    rising = (groups[1:] > groups[:-1]) | ((groups[1:] == groups[:-1]) & (terms[1:] > terms[:-1]))
    if not table[1:].all() or not rising.all():
        raise MalformedAnswer("columnar: identities must be known, and ascend by group, then term")


def _decode_codes(
    message: pb.KeyVizColumnar, values: NDArray[np.uint64], identities: int
) -> tuple[NDArray[np.uint32] | None, NDArray[np.int64] | None]:
    """(codes, in how many cells each row has traffic); both None where no cell has an identity."""
    if not message.run_codes and not message.run_lengths:
        return None, None
    run_codes = np.array(message.run_codes, np.uint32)
    run_lengths = np.array(message.run_lengths, np.int64)
    busy = values != 0
    counts = busy.view(np.uint8).sum(axis=1, dtype=np.uint32).astype(np.int64)
    row_ends = counts.cumsum()
    if len(run_codes) != len(run_lengths) or int(run_lengths.sum()) != (int(row_ends[-1]) if len(row_ends) else 0):
        raise MalformedAnswer("columnar: the runs of identities do not cover the cells with traffic")
    if int(run_codes.max()) >= identities:
        raise MalformedAnswer(f"columnar: run_codes names identity {int(run_codes.max())} of {identities}")
    if values.size > FEW_CELLS:
        return spread_by_rows(busy, row_ends, run_codes, run_lengths.cumsum()), counts
    codes = np.zeros(values.shape, np.uint32)
    codes[busy] = run_codes.repeat(run_lengths)
    return codes, counts


def spread_by_rows(
    busy: NDArray[np.bool_], row_ends: NDArray[np.int64], run_codes: NDArray[np.uint32], run_ends: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """The code of every cell. row_ends, run_ends: how many cells with traffic there are up to the end of each."""
    row_starts = np.concatenate([np.zeros(1, np.int64), row_ends[:-1]])
    # Runs of no cell and rows without traffic are passed over: a run counts where its end lies beyond a cell.
    first = np.searchsorted(run_ends, row_starts, side="right")
    last = np.searchsorted(run_ends, row_ends - 1, side="right")
    # One leader throughout is the rule, and multiplying is faster than finding each cell.
    of_row = run_codes.take(np.minimum(first, len(run_codes) - 1))
    codes: NDArray[np.uint32] = busy * of_row[:, np.newaxis]
    mixed = np.flatnonzero(first < last)
    if len(mixed):
        counts = (row_ends - row_starts)[mixed]
        before = np.concatenate([np.zeros(1, np.int64), counts.cumsum()[:-1]])
        cells = np.arange(int(counts.sum())) + (row_starts[mixed] - before).repeat(counts)
        spread = np.zeros((len(mixed), busy.shape[1]), np.uint32)
        spread[busy[mixed]] = run_codes.take(np.searchsorted(run_ends, cells, side="right"))
        codes[mixed] = spread
    return codes


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
    if not ordered.all() or bool((amounts > busy.at(rows, columns)[0]).any()):
        raise MalformedAnswer("columnar: shares are not sorted by cell and code, or one is larger than its cell")
    return Shares(rows, columns, codes, amounts)
