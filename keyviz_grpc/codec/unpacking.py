"""The packed form on its way in: what it holds is looked at as a whole, and stays a view of what came where it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec import known
from keyviz_grpc.codec.apart import Large
from keyviz_grpc.codec.catalogues import decode_catalogue
from keyviz_grpc.codec.columnar import VERSION, WIDTHS
from keyviz_grpc.codec.parsing import parse
from keyviz_grpc.codec.spans import Span
from keyviz_grpc.errors import MalformedAnswer, TooLarge
from keyviz_grpc.model import NO_IDENTITIES, NO_SHARES, Catalogue, Matrix, Series, Shares
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.traffic import Busy, Counts, Runs, Strip, freeze, where

FEW: Final = 32
"""Numbers of a field that are an array sooner by way of a list."""

_COUNTS: Final = {width: np.dtype(f"<u{width}") for width in WIDTHS}

_Number = TypeVar("_Number", np.uint32, np.uint64)


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
