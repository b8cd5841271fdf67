"""Answers that are nearly right, chosen byte by byte: what no mutation of encoded bytes reaches quickly."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from keyviz_grpc.proto import keyviz_pb2 as pb

NUMBERS: Final = (0, 1, 2, 3, 255, 256, 65_536, 2**32, 2**63, 2**64 - 1)
KEYS: Final = (b"", b"a", b"m", b"\xff")
STAMPS: Final = (1, 59_999, 60_000, 60_001, 120_000, 180_000, 2**53, 2**63 - 1)
STEPS: Final = (0, 0, 1, 1000, 60_000, 60_000, 86_400_000)


class Take:
    """Hands bytes out one by one, then zeros."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)

    def below(self, limit: int) -> int:
        """A number below `limit`, at most 256."""
        return next(self._bytes, 0) % limit

    def of(self, choices: tuple[int, ...]) -> int:
        """One of them."""
        return choices[self.below(len(choices))]

    def rarely(self) -> bool:
        """Once in sixteen."""
        return self.below(16) == 15

    def length(self, right: int) -> int:
        """The right one, nearly always."""
        return max(0, right + self.below(3) - 1) if self.rarely() else right


def nearly_right(take: Take) -> pb.GetKeyVizMatrixResponse:
    """Up to three rows and four columns, in either form, merged or not."""
    take.below(8)  # the target's own choice
    stamps = [take.of(STAMPS) for _ in range(take.below(5))]
    rows = [_row(take, number, len(stamps)) for number in range(take.below(4))]
    message = pb.GetKeyVizMatrixResponse(
        column_unix_ms=stamps if take.rarely() else sorted(set(stamps)),
        node_id="n" * take.below(2),
        incarnation=take.below(3),
        step_ms=take.of(STEPS),
        generated_at_unix_ms=take.of((0, -1, *STAMPS)),
        oldest_unix_ms=take.of(STAMPS),
    )
    for row in rows:
        width = take.length(len(message.column_unix_ms))
        for name in ("values", "soft_columns", "raft_group_ids", "leader_terms"):
            values = list(getattr(row, name))
            row.ClearField(name)
            getattr(row, name).extend((values * (width + 1))[:width])
    if take.below(2):
        _columnar(take, message, rows)
    else:
        message.rows.extend(rows)
        _shares(take, message)
    if take.below(3) == 2:
        _books(take, message)
    if take.rarely():
        message.history.number, message.history.left_out_below_unix_ms = take.below(3), take.below(3)
    return message


def _row(take: Take, number: int, columns: int) -> pb.KeyVizRow:
    row = pb.KeyVizRow(
        bucket_id=f"route:{0 if take.rarely() else number}",
        start=KEYS[take.below(4)],
        end=KEYS[take.below(4)],
        aggregate=take.below(4) == 3,
        route_ids=[take.of(NUMBERS) for _ in range(take.below(3))],
        route_count=take.of(NUMBERS),
        sample_roles=[take.below(6) for _ in range(take.below(3))],  # type: ignore[misc]
        values=[take.of(NUMBERS) for _ in range(columns)],
    )
    if take.below(2):
        row.raft_group_ids.extend(take.of(NUMBERS) for _ in range(columns))
        row.leader_terms.extend(take.of(NUMBERS) for _ in range(columns))
    if take.below(4) == 3:
        row.soft_columns.extend(bool(take.below(2)) for _ in range(columns))
    return row


def _shares(take: Take, message: pb.GetKeyVizMatrixResponse) -> None:
    for _ in range(take.below(6)):
        message.shares.append(
            pb.KeyVizShare(
                row=take.below(4),
                column=take.below(5),
                raft_group_id=take.of(NUMBERS),
                leader_term=take.of(NUMBERS),
                value=take.of(NUMBERS),
            )
        )
    for _ in range(take.below(3)):
        message.conflicts.append(pb.KeyVizConflicts(row=take.below(4), columns=[take.below(5)]))


def _columnar(take: Take, message: pb.GetKeyVizMatrixResponse, rows: list[pb.KeyVizRow]) -> None:
    packed, columns = message.columnar, len(message.column_unix_ms)
    packed.version = 2 if take.rarely() else 1
    packed.catalogue = pb.KeyVizCatalogue(rows=[_described(row) for row in rows]).SerializeToString()
    widths = [take.of((0, 1, 2, 4, 8)) for _ in rows]
    packed.widths = bytes(widths[: take.length(len(rows))])
    cells = sum(widths) * columns
    packed.values = bytes(take.below(256) for _ in range(take.length(cells)))
    count = len(rows) * columns
    for name in ("soft", "conflicts"):
        if take.below(3) == 2:
            setattr(packed, name, bytes(take.below(256) for _ in range(take.length((count + 7) // 8))))
    packed.identity_groups.extend(sorted(take.of(NUMBERS) for _ in range(take.below(4))))
    packed.identity_terms.extend(take.of(NUMBERS) for _ in range(take.length(len(packed.identity_groups))))
    hot = _hot(widths, packed.values, columns)
    while hot > 0 and take.below(4):
        run = min(hot, 1 + take.below(4))
        packed.run_codes.append(take.below(5))
        packed.run_lengths.append(take.length(run))
        hot -= run
    for _ in range(take.below(4)):
        packed.share_cell_deltas.append(take.of((0, 1, 2, 5, 2**32)))
        packed.share_codes.append(take.below(5))
        packed.share_values.append(take.of(NUMBERS))


def _described(row: pb.KeyVizRow) -> pb.KeyVizRow:
    own = pb.KeyVizRow()
    own.CopyFrom(row)
    for field in ("values", "raft_group_ids", "leader_terms", "soft_columns"):
        own.ClearField(field)
    return own


def _hot(widths: list[int], values: bytes, columns: int) -> int:
    """How many cells have traffic, if the lengths are right."""
    hot, at = 0, 0
    for width in (1, 2, 4, 8):
        count = widths.count(width) * columns
        block = values[at : at + count * width]
        if len(block) == count * width:
            hot += int(np.count_nonzero(np.frombuffer(block, f"<u{width}")))
        at += count * width
    return hot


def _books(take: Take, message: pb.GetKeyVizMatrixResponse) -> None:
    for _ in range(take.below(4)):
        message.outcomes.append(
            pb.KeyVizOutcome(
                node_id=f"n{take.below(2)}",
                address=f"h{take.below(3)}:1",
                kind=take.below(11),  # type: ignore[arg-type]
                incarnation=take.below(2),
                step_ms=take.of(STEPS),
                generated_at_unix_ms=take.of((0, -1, -(2**63), *STAMPS)),
                latency_ms=(0.0, 1.5, -1.0, math.nan, math.inf, 1e308)[take.below(6)],
                warnings=[pb.KeyVizWarning(code="clock_skew")] * take.below(2),
            )
        )
    if take.below(2):
        message.column_nodes.extend(take.below(4) for _ in range(take.length(len(message.column_unix_ms))))
    message.leaf_sets.extend(pb.LeafSet(leaves=[take.below(4)]) for _ in range(take.below(3)))
    if take.below(2):
        rows = len(message.rows) or len(message.columnar.widths)
        message.row_leaf_set.extend(take.below(3) for _ in range(take.length(rows)))
    for _ in range(take.below(3)):
        message.leaf_ranges.append(
            pb.LeafRange(row=take.below(4), leaf=take.below(4), start=KEYS[take.below(4)], end=KEYS[take.below(4)])
        )
    for _ in range(take.below(3)):
        own = pb.GetKeyVizMatrixResponse(column_unix_ms=[take.of(STAMPS)], node_id="n0", step_ms=take.of(STEPS))
        own.rows.append(_row(take, 0, 1))
        message.leaf_answers.append(pb.LeafAnswer(leaf=take.below(4), answer=own))
