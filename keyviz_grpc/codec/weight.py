"""What an answer will take in memory and time, told from its message before anything is made of it."""

from __future__ import annotations

from typing import Final

from keyviz_grpc.bytes_budget import HELD_CELL_BYTES
from keyviz_grpc.proto import keyviz_pb2 as pb

ROW_BYTES: Final = 512
"""A row apart from its traffic: names, range, and where it stands."""

ROUTE_ID_BYTES: Final = 40
"""A route id that a row lists; in a message it may be two."""

SHARE_BYTES: Final = 64

FEW_ENTRIES: Final = 4096
FEW_CELLS: Final = 1 << 20


def decoded_bytes(response: pb.GetKeyVizMatrixResponse) -> int:
    """At most, that of its leaves included; columns that it leaves out as known, and their rows, aside."""
    if response.HasField("columnar"):
        columnar = response.columnar
        rows, shares = len(columnar.widths), len(columnar.share_values)
    else:
        rows, shares = len(response.rows), len(response.shares)
    own = rows * (ROW_BYTES + HELD_CELL_BYTES * len(response.column_unix_ms)) + SHARE_BYTES * shares
    leaves = response.leaf_answers
    return own + sum(decoded_bytes(leaf.answer) for leaf in leaves) if leaves else own


def is_little(response: pb.GetKeyVizMatrixResponse, *, rows_known: bool = False) -> bool:
    """Whether it is decoded and remembered in a few milliseconds: no aggregator's, few cells, little one by one.

    rows_known: nothing is read of those that it has in packed form.
    In few bytes there may be many of anything: an empty message takes two, and a column of rows without traffic as few.
    """
    packed, rows = len(response.columnar.widths), len(response.rows)
    entries = rows + len(response.shares) + len(response.conflicts) + len(response.leaf_answers)
    if not rows_known:
        entries += packed
    cells = (packed + rows) * len(response.column_unix_ms)
    return not response.outcomes and entries <= FEW_ENTRIES and cells <= FEW_CELLS
