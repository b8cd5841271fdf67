"""A body's rows in the pieces to send: together the JSON of all of them, and about as long as they are to be."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from gateway.row_texts import LEAST_PIECE_BYTES, MOST_PIECE_BYTES, PIECES, SAMPLED, ShownRow, in_pieces, json_of

COUNTS = [0, 1, SAMPLED - 1, SAMPLED, SAMPLED + 1, 2 * SAMPLED - 1, 2 * SAMPLED, 1000, 5000]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("columns", [0, 1, 60])
def test_pieces_together_are_the_json_of_all_rows(count: int, columns: int) -> None:
    """None, one, and so many that they are several pieces; arrays and ready JSON in them."""
    numbers = np.random.default_rng(count).integers(0, 2**63, (count, columns))
    rows = [{"bucket_id": orjson.Fragment(b'"%d","a":1' % at), "values": own} for at, own in enumerate(numbers)]
    pieces = in_pieces(rows)
    assert b"[%b]" % b"".join(pieces) == json_of(rows)
    assert len(pieces) > 1 if count * columns > 50_000 else len(pieces) <= 2


@pytest.mark.parametrize("megabytes", [1, 3, 12])
def test_pieces_are_about_as_long_as_they_are_to_be(megabytes: int) -> None:
    """An eighth of the body, within bounds, where rows are about equally long; the last one is what is left."""
    rows: list[ShownRow] = [{"values": "x" * (1000 + at % 7)} for at in range(1000 * megabytes)]
    lengths = [len(piece) for piece in in_pieces(rows)]
    wanted = min(max(sum(lengths) // PIECES, LEAST_PIECE_BYTES), MOST_PIECE_BYTES)
    assert all(0.95 < length / wanted < 1.05 for length in lengths[:-1])
    assert 0 < lengths[-1] < 1.05 * wanted


@pytest.mark.parametrize("every", [1, 125, 128, 1250])
@pytest.mark.parametrize("others", [0, 40_000])
def test_pieces_are_bounded_whatever_rows_were_sampled(every: int, others: int) -> None:
    """Long rows among short ones and short ones among long ones; whoever sends a catalogue chooses its keys."""
    rows: list[ShownRow] = [{"start": "x" * (40_000 - others if at % every == 0 else others)} for at in range(1250)]
    pieces = in_pieces(rows)
    assert b"[%b]" % b"".join(pieces) == json_of(rows)
    lengths = list(map(len, pieces))
    assert max(lengths) <= 2 * MOST_PIECE_BYTES
    assert len(lengths) <= 2 + 2 * sum(lengths) // LEAST_PIECE_BYTES
