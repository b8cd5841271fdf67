"""What an answer will take in memory and time, told from its message before anything is made of it."""

from __future__ import annotations

from typing import Final, NamedTuple

from keyviz_grpc.bytes_budget import HELD_CELL_BYTES
from keyviz_grpc.proto import keyviz_pb2 as pb

ROW_BYTES: Final = 512
"""A row apart from its traffic: names, range, and where it stands."""

ROUTE_ID_BYTES: Final = 40
"""A route id that a row lists; in a message it may be two."""

SHARE_BYTES: Final = 64

FEW_ENTRIES: Final = 4096
FEW_CELLS: Final = 1 << 20


class Weight(NamedTuple):
    """decoded_bytes: at most; what its leaves answered, columns that it leaves out as known, and their rows, aside.

    is_little: whether it is decoded and remembered in a few milliseconds: no aggregator's, few cells, little one by
    one. In few bytes there may be many of anything: an empty message takes two, and a column of rows without traffic
    as few.
    """

    decoded_bytes: int
    is_little: bool


def weight_of(response: pb.GetKeyVizMatrixResponse, *, columns: int = 0, rows_known: bool = False) -> Weight:
    """Told in no time, whatever is in it. columns: known ones, which it lacks. rows_known: of those that it has in
    packed form nothing is read.
    """
    columns += len(response.column_unix_ms)
    rows, shares = len(response.rows), len(response.shares)
    entries, packed = rows + shares + len(response.conflicts), 0
    if response.HasField("columnar"):
        columnar = response.columnar
        packed, shares = len(columnar.widths), len(columnar.share_values)
        if not rows_known:
            entries += packed
    cells = (packed + rows) * columns
    size = (packed + rows) * ROW_BYTES + HELD_CELL_BYTES * cells + SHARE_BYTES * shares
    is_aggregated = response.outcomes or response.leaf_answers
    return Weight(size, entries <= FEW_ENTRIES and cells <= FEW_CELLS and not is_aggregated)


def leaves_bytes(response: pb.GetKeyVizMatrixResponse) -> int:
    """What the answers of its leaves will take at most; they may be many, and so may be what stands in each."""
    answers = [leaf.answer for leaf in response.leaf_answers]
    return sum([weight_of(answer).decoded_bytes + leaves_bytes(answer) for answer in answers])
