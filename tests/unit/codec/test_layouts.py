"""Which rows of the packed form have which width: found once for the same widths, and never for wrong ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from keyviz_grpc.codec import decode_answer, encode_answer, known, unpacking
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb


def told(widths: bytes, rows: int, columns: Sequence[int] = (1000,)) -> Matrix:
    """What `bare` says."""
    return decode_answer(bare(widths, rows, columns), series=Series.READS, outcome=Outcome("p")).matrix


def bare(widths: bytes, rows: int, columns: Sequence[int] = (1000,)) -> pb.GetKeyVizMatrixResponse:
    """So many rows; every one that has a width has the count 1 in all columns."""
    names = [f"r{number:05}" for number in range(rows)]
    message = pb.GetKeyVizMatrixResponse(column_unix_ms=columns, node_id="n1", step_ms=1000)
    message.columnar.version, message.columnar.widths = 1, widths
    filled = filter(None, sorted(widths))
    message.columnar.values = b"".join((1).to_bytes(width, "little") * len(columns) for width in filled)
    catalogue = pb.KeyVizCatalogue(rows=[pb.KeyVizRow(bucket_id=name, start=name.encode()) for name in names])
    message.columnar.catalogue = catalogue.SerializeToString()
    return message


@pytest.mark.parametrize("widths", [b"", b"\0\0\0", b"\4\1\0", b"\10\2\4\1\1\0\2"])
def test_counts_stand_in_their_rows_whether_or_not_their_widths_are_known(widths: bytes) -> None:
    """And the rows of the strips are the very same ones then."""
    first, again = told(widths, len(widths)), told(widths, len(widths), columns=(1000, 2000))
    for matrix in (first, again):
        expected = np.repeat([[int(width > 0)] for width in widths] or np.empty((0, 1)), len(matrix.columns), axis=1)
        np.testing.assert_array_equal(matrix.values, expected)
    assert first.busy is not None
    assert again.busy is not None
    assert len(again.busy.strips) == len(set(widths) - {0})
    for one, other in zip(first.busy.strips, again.busy.strips, strict=True):
        assert one.rows is other.rows
        assert not one.rows.flags.writeable


@pytest.mark.parametrize("size", [0, 7, 9])
def test_values_that_do_not_fit_the_widths_are_refused(size: int) -> None:
    """Two rows of a byte a count and one of two, of two columns each."""
    message = bare(b"\1\0\1\2", 4, columns=[1000, 2000])
    message.columnar.values = b"\1" * size
    with pytest.raises(MalformedAnswer, match=f"{size} bytes of values, 8 expected"):
        decode_answer(message, series=Series.READS, outcome=Outcome("p"))


def test_an_answer_that_leaves_rows_out_has_no_catalogue() -> None:
    """Its caller knows the rows; whose are right nobody could say."""
    message = bare(b"\1", 1)
    message.history.number = 7
    message.history.left_out_below_unix_ms = 1000
    rows = told(b"\1", 1).catalogue
    with pytest.raises(MalformedAnswer, match="a catalogue where rows are left out"):
        decode_answer(message, series=Series.READS, outcome=Outcome("p"), rows=rows)


@pytest.mark.parametrize("width", [8, 4])
def test_a_row_is_as_wide_as_its_largest_count(width: int) -> None:
    """Just as wide, whatever the width of the counts that it is written from, and all of them are read again."""
    tops = [0, 1, 2**8 - 1, 2**8, 2**16 - 1, 2**16, 2**32 - 1, *([2**32, 2**64 - 1] if width == 8 else [])]
    rows = Catalogue(tuple(Row(f"route:{n}", b"%02d" % n, b"%02d" % (n + 1)) for n in range(len(tops))))
    values = np.array([[0, top, 0] for top in tops], f"<u{width}")
    matrix = Matrix.of_counts(Series.READS, np.array([1000, 2000, 3000]), rows, values, None)
    packed = encode_answer(Answer(matrix, (Outcome("p"),), step_ms=1000), accept=(pb.MATRIX_ENCODING_COLUMNAR,))
    assert list(packed.columnar.widths) == [0, 1, 1, 2, 2, 4, 4, 8, 8][: len(tops)]
    again = decode_answer(packed, series=Series.READS, outcome=Outcome("p")).matrix
    assert again.values.tolist() == values.tolist()


@pytest.mark.parametrize("widths", [b"\1\3\1", b"\377", b"\0\11"])
def test_wrong_widths_are_refused_every_time(widths: bytes) -> None:
    """What was refused is not remembered."""
    for _ in range(2):
        with pytest.raises(MalformedAnswer, match=f"{len(widths)} widths for {len(widths)} rows, or one that is not"):
            told(widths, len(widths))


def test_layouts_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many are kept of few rows, and none of more rows than any cluster has as a rule."""
    kept: Kept[bytes, known.Layout] = Kept(4 * known.ENTRY_BYTES)
    monkeypatch.setattr(known, "_layouts", kept)
    for bit in range(8):
        told(bytes(int(row == bit) for row in range(8)), 8)
    assert kept.get(b"\0\0\0\0\0\0\0\1") is not None
    assert kept.get(b"\1\0\0\0\0\0\0\0") is None
    monkeypatch.setattr(known, "MAX_WIDTHS", 7)
    told(bytes(8), 8)
    assert kept.get(bytes(8)) is None


def test_bytes_of_few_columns_are_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than a node has, nothing is kept."""
    monkeypatch.setattr(known, "MAX_COLUMNS", 2)
    for count, kept in ((2, True), (3, False)):
        columns, packed = np.arange(count), b"stamps of %d" % count
        known.meet_columns(packed, columns)
        assert (known.columns_met(packed) is columns) == kept


@pytest.mark.parametrize("columns", [(2000, 1000), (1000, 1000), (-5, 1000), (0,), (1 << 62,)])
def test_wrong_columns_are_refused_every_time(columns: Sequence[int]) -> None:
    """Packed answers have them checked nowhere else, and what was refused is not remembered."""
    for _ in range(2):
        with pytest.raises(MalformedAnswer, match="column_unix_ms"):
            told(b"\1\1", 2, columns)


@pytest.mark.parametrize("identities", [[(2, 1), (1, 1)], [(1, 1), (1, 1)], [(0, 1)], [(1, 0)]])
def test_wrong_identities_are_refused_every_time(identities: Sequence[tuple[int, int]]) -> None:
    """And right ones are the same table every time, which nobody can write to."""

    def table(pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        groups, terms = (np.array(numbers, np.uint64) for numbers in zip(*pairs, strict=True))
        message = pb.KeyVizColumnar(identity_groups=groups.tolist(), identity_terms=terms.tolist())
        return unpacking._decode_table(message)

    for _ in range(2):
        with pytest.raises(MalformedAnswer, match="identities must be known, and ascend"):
            table(identities)
    first = table([(1, 1), (1, 2)])
    assert table([(1, 1), (1, 2)]) is first
    assert not first.flags.writeable
